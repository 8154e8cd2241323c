// The harness itself: what Jenkins would refuse, or do in another way than one thinks, it does too.
class Validity {
    static final Map example = [env: [BRANCH_NAME: 'feature/x'], want: [:]]

    static String around(String steps, String options = '') {
        "pipeline { agent any\n $options\n stages { stage('one') { steps { $steps } }\n stage('two') { steps { echo 'reached' } } } }"
    }
    static String defect(String text) {
        try { Judge.play(text, example); return "it was taken for valid: $text" } catch (Defect e) { return null }
    }
    static String result(String text, String result, boolean reached) {
        def jenkins = Judge.play(text, example)
        def came = jenkins.events.any { it.kind == 'stage' && it.name == 'two' }
        return jenkins.build.currentResult == result && came == reached ? null : "result $jenkins.build.currentResult, next stage reached: $came"
    }

    static Map check() {
        def junit = "junit testResults: 'build/reports/junit/*.xml'"
        def skip = 'options { skipStagesAfterUnstable() }'
        def leak = [env: [BRANCH_NAME: 'feature/x'], want: [:], faults: ['make test-unit': 'leak']]
        def unstable = "sh 'make test-unit'; $junit"
        def below = "recordCoverage(tools: [[parser: 'COBERTURA', pattern: 'c.xml']], failOnError: %s, qualityGates: [])"
        return [
            'an unknown step is a defect': defect(around("slackSend 'x'")),
            'an unknown parameter is a defect': defect(around("sh(skript: 'x')")),
            'an unknown option is a defect': defect(around("echo 'x'", 'options { durability() }')),
            'an unknown section is a defect': defect("pipeline { agent any\n stages { stage('x') { step { } } } }"),
            'a stage without steps is a defect': defect("pipeline { agent any\n stages { stage('x') { agent any } } }"),
            'a step without an agent is a defect': defect("pipeline { agent none\n stages { stage('x') { steps { sh 'ci/scan' } } } }"),
            'an interpolated shell is a defect': defect(around('sh "echo ${env.X}"')),
            'an unknown when is a defect': defect("pipeline { agent any\n stages { stage('x') { when { tagged() }\n steps { echo 'x' } } } }"),
            'two sections of a name are a defect': defect("pipeline { agent any\n stages { stage('x') { steps { echo 'x' }\n steps { echo 'x' } } } }"),
            'the job definition compiles': compiles('infra/jenkins/tally.groovy'),
            'junit fails without reports': result(around(junit), 'FAILURE', false),
            'recordCoverage fails the build and goes on': result(around(String.format(below, 'true')), 'FAILURE', true),
            'recordCoverage without failOnError lets pass': result(around(String.format(below, 'false')), 'SUCCESS', true),
            'junit makes UNSTABLE and goes on': mark(around(unstable), leak, true),
            'skipStagesAfterUnstable stops after UNSTABLE': mark(around(unstable, skip), leak, false),
            'skipStagesAfterUnstable does not stop after FAILURE': result(around(String.format(below, 'true'), skip), 'FAILURE', true),
        ]
    }
    static String compiles(String path) {
        try {
            new GroovyShell().parse(new File(path))
            return null
        } catch (org.codehaus.groovy.control.CompilationFailedException e) {
            return e.message.readLines()[0]
        }
    }
    static String mark(String text, Map leak, boolean reached) {
        def jenkins = Judge.play(text, leak)
        def came = jenkins.events.any { it.kind == 'stage' && it.name == 'two' }
        return jenkins.build.currentResult == 'UNSTABLE' && came == reached ? null : "result $jenkins.build.currentResult, reached: $came"
    }
}
