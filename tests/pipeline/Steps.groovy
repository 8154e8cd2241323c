// The steps that a Jenkinsfile of ours may call, behaving as their plugins do.
//
// DESIGN. junit and recordCoverage set a result and return: they stop nothing. junit throws where no
// report matches, and where reports hold no test, unless the build has already failed. recordCoverage
// does nothing once the build has failed, marks it FAILED for a missing report only with failOnError,
// and lets a gate pass whose metric the report lacks. Anything else called here is a Defect.
class Steps {
    // The parameter that may be given without its name comes first.
    static final KNOWN = [
        sh: ['script', 'returnStdout'], echo: ['message'], error: ['message'], checkout: ['scm'],
        junit: ['testResults', 'allowEmptyResults'], recordCoverage: ['tools', 'qualityGates', 'failOnError'],
        archiveArtifacts: ['artifacts', 'allowEmptyArchive'], stash: ['name', 'includes'], unstash: ['name'],
        milestone: ['ordinal'], readFile: ['file'],
        script: [], withEnv: ['overrides'], withCredentials: ['bindings'], timeout: ['time', 'unit'],
        catchError: ['buildResult', 'stageResult', 'message'], node: ['label'], lock: ['resource'],
    ]
    static final BINDINGS = [
        usernamePassword: ['credentialsId', 'usernameVariable', 'passwordVariable'], file: ['credentialsId', 'variable'],
        string: ['credentialsId', 'variable'],
    ]
    static final NEED_NODE = ['sh', 'checkout', 'junit', 'recordCoverage', 'archiveArtifacts', 'stash', 'unstash', 'readFile', 'withCredentials']

    Jenkins jenkins
    Script code
    Map stashes = [:]

    static Map check(String name, Map named, List known) {
        named.keySet().each { if (!(it in known)) throw new Defect("$name has no parameter '$it'") }
        return named
    }
    static int minutes(Map named) {
        check('timeout', named, ['time', 'unit'])
        def factor = [MINUTES: 1, HOURS: 60][named.unit ?: 'MINUTES']
        if (!factor) throw new Defect("timeout: what is $named.unit?")
        return named.time * factor
    }
    static String lockName(argument) { argument instanceof Map ? check('lock', argument, ['resource']).resource : argument }

    def methodMissing(String name, Object args) { call(name, args as Object[]) }
    def propertyMissing(String name) {
        if (!(name in ['env', 'currentBuild', 'scm'])) throw new Defect("there is no variable '$name'")
        return code.binding.getVariable(name)
    }

    def call(String name, Object[] args) {
        if (BINDINGS[name]) return [type: name] + check(name, args[0] as Map, BINDINGS[name])
        if (!KNOWN.containsKey(name)) {
            def own = code.metaClass.getMetaMethod(name, args)
            if (own) return own.invoke(code, args)
            throw new Defect("there is no step '$name'")
        }
        if (name in NEED_NODE && !jenkins.node) throw new Defect("$name needs an agent")
        def list = args as List
        def inner = list && list[-1] instanceof Closure ? list.pop() : null
        def named = list && list[0] instanceof Map ? list[0] : list ? [(KNOWN[name][0]): list[0]] : [:]
        check(name, named, KNOWN[name])
        return inner ? "${name}Step"(named, inner) : "${name}Step"(named)
    }

    // ---- blocks -----------------------------------------------------------------------------------

    def enter(Closure inner) { Sections.enter(inner, this) }
    def scriptStep(Map named, Closure inner) { enter(inner) }
    def timeoutStep(Map named, Closure inner) { within(minutes(named)) { enter(inner) } }
    def lockStep(Map named, Closure inner) { locked(named.resource) { enter(inner) } }
    def nodeStep(Map named, Closure inner) { onNode({ enter(inner) }, false) }

    def within(int limit, Closure inner) {
        jenkins.timeouts << limit
        try { return inner.call() } finally { jenkins.timeouts.pop() }
    }
    def locked(name, Closure inner) {
        jenkins.world.waitForLock(jenkins, name.toString())
        jenkins.locks << name.toString()
        jenkins.note(kind: 'lock', name: name.toString())
        try { return inner.call() } finally { jenkins.locks.pop() }
    }
    // Each agent is another machine: what is needed there must be brought.
    def onNode(Closure inner, boolean checkout) {
        def before = jenkins.node
        jenkins.world.waitForNode(jenkins)
        jenkins.node = new Agent(checkedOut: checkout, files: new LinkedHashMap(jenkins.world.leftBehind))
        jenkins.note(kind: 'node')
        try { return inner.call() } finally { jenkins.node = before }
    }
    def withEnvStep(Map named, Closure inner) {
        over(named.overrides.collectEntries { def parts = it.toString().split('=', 2); [parts[0], parts[1]] }) { enter(inner) }
    }
    def over(Map values, Closure inner) {
        def before = jenkins.env.over
        jenkins.env.over = before + values
        try { return inner.call() } finally { jenkins.env.over = before }
    }
    def withCredentialsStep(Map named, Closure inner) {
        def ids = named.bindings*.credentialsId*.toString()
        ids.each { if (it in jenkins.world.missingCredentials) throw new Failed("there are no credentials $it") }
        def values = [:]
        named.bindings.each { binding -> binding.findAll { it.key.endsWith('ariable') }.each { values[it.value] = 'secret' } }
        jenkins.credentials.addAll(ids)
        jenkins.note(kind: 'bound', ids: ids)
        try {
            return over(values) { enter(inner) }
        } finally {
            ids.each { jenkins.credentials.pop() }
        }
    }
    def catchErrorStep(Map named, Closure inner) {
        try {
            enter(inner)
        } catch (Exception e) {
            Jenkins.resultOf(e)
            if (named.buildResult != 'SUCCESS') jenkins.build.result = named.buildResult ?: 'FAILURE'
            jenkins.note(kind: 'caught', why: e.message)
        }
    }

    // ---- steps ------------------------------------------------------------------------------------

    def echoStep(Map named) { }
    def errorStep(Map named) { throw new Failed(named.message.toString()) }
    def checkoutStep(Map named) { jenkins.world.checkout(jenkins); jenkins.node.checkedOut = true }
    def milestoneStep(Map named) {
        jenkins.note(kind: 'milestone', ordinal: named.ordinal)
        if (jenkins.world.newerPassed >= named.ordinal) throw new Interrupted('NOT_BUILT', 'a newer build has overtaken this one')
    }
    def readFileStep(Map named) {
        def text = named.file == 'tests/coverage.thresholds' ? jenkins.world.thresholds : jenkins.node.files[named.file]
        if (text == null) throw new Failed("there is no file $named.file")
        return text
    }
    def ask(message) {
        jenkins.note(kind: 'input', place: jenkins.env.get('PLACE'))
        jenkins.world.answer(jenkins)
    }
    def shStep(Map named) {
        if (named.script instanceof GString) throw new Defect("the shell is given an interpolated string: $named.script")
        def outcome = jenkins.world.shell(jenkins, named.script)
        if (outcome.status != 0) throw new Failed("'$named.script' ended with $outcome.status")
        return named.returnStdout ? outcome.output : null
    }

    List matching(String globs) {
        def patterns = globs.split(/\s*,\s*/).collect { it.replace('.', '\\.').replace('**', '\u0001').replace('*', '[^/]*').replace('\u0001', '.*') }
        return jenkins.node.files.findAll { entry -> patterns.any { entry.key ==~ it } }.collect { it.value }
    }
    def stashStep(Map named) {
        def files = jenkins.node.files.findAll { it.key == named.includes }
        if (!files) throw new Failed("nothing to stash: $named.includes")
        stashes[named.name] = files
    }
    def unstashStep(Map named) {
        if (!stashes[named.name]) throw new Failed("there is no stash $named.name")
        jenkins.node.files.putAll(stashes[named.name])
    }
    def archiveArtifactsStep(Map named) {
        if (!matching(named.artifacts) && !named.allowEmptyArchive) throw new Failed('no artifacts')
    }
    def junitStep(Map named) {
        def reports = matching(named.testResults)
        if (!reports && !named.allowEmptyResults) throw new Failed('no test report files were found')
        def sum = { key -> reports.sum(0) { it[key] ?: 0 } }
        if (sum('passed') + sum('failed') + sum('skipped') == 0 && jenkins.build.result != 'FAILURE' && !named.allowEmptyResults) {
            throw new Failed('none of the test reports contained any result')
        }
        if (sum('failed')) jenkins.build.result = 'UNSTABLE'
    }
    def recordCoverageStep(Map named) {
        if (!(jenkins.build.currentResult in ['SUCCESS', 'UNSTABLE'])) return
        named.tools.each { check('tool', it, ['parser', 'pattern']) }
        def reports = named.tools.collectMany { tool -> matching(tool.pattern).collect { tool.parser == 'COBERTURA' ? it : [LINE: it.LINE] } }
        if (!reports || reports.any { !it.LINE }) {
            if (named.failOnError) jenkins.build.result = 'FAILURE'
            return
        }
        named.qualityGates.each { gate ->
            check('quality gate', gate, ['metric', 'baseline', 'threshold', 'criticality'])
            def value = reports[0][gate.metric]
            def result = [NOTE: 'SUCCESS', UNSTABLE: 'UNSTABLE', FAILURE: 'FAILURE'][gate.criticality]
            if (!result) throw new Defect("there is no criticality $gate.criticality")
            if (value != null && value < gate.threshold) jenkins.build.result = result
        }
    }
}
