// The Jenkinsfile with all but one of its layers of guards taken out.
class Layers {
    static String withoutReports(String text) {
        text.replaceAll(/(?m)^.*\bjunit testResults.*\n/, '').replaceAll(/(?s)recordCoverage\(.*?failOnError: true\)/, '')
    }
    static String withoutStop(String text) { text.replaceAll(/error "a report says[^\n]*/, '') }
    static String withoutResults(String text) { text.replaceAll(/(?m)^.*expression \{ currentBuild\.currentResult == 'SUCCESS' \}\n/, '') }
    static String withoutGate(String text) { text.replace("sh 'ci/gate'", "sh 'ci/gate || true'") }
    static String deafTests(String text) { text.replaceAll(/sh '((?:ci\/step|make test|ci\/scan)[^']*)'/, "sh '\$1 || true'") }

    static final Map ALONE = [
        // The commands' exit status.
        shell: { withoutGate(withoutResults(withoutStop(withoutReports(it)))) },
        // ci/gate, which reads the reports itself.
        gate: { deafTests(withoutResults(withoutStop(withoutReports(it)))) },
        // The plugins, and the stop on their verdict.
        reports: { withoutResults(withoutGate(deafTests(it))) },
        // It sees what the reports say, and has no eyes of its own.
        result: { withoutStop(withoutGate(deafTests(it))) },
    ]
}
