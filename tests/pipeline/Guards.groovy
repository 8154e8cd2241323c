// Finds every guard in a Jenkinsfile, takes it out, and looks for a case that notices.
//
// DESIGN. Guards are found by their looks, line by line, so that a new one without a case fails the
// table by itself. Where layers back each other up, a guard is missed only while the others are
// out: after the whole Jenkinsfile each case is played with one layer alone.
class Guards {
    // What a guard looks like, and what is left of it.
    static final List LOOKS = [
        [/^\s*expression \{ .* \}\n/, ''], [/^\s*not \{ changeRequest\(\) \}\n/, ''], [/^\s*before(Input|Options|Agent) true\n/, ''],
        [/when \{ expression \{ .* \} \}/, ''],
        [/post \{ always \{ junit .* \} \}/, ''], [/,?\s*failOnError: true/, ''], [/qualityGates: .*,\n/, '\n'], [/criticality: 'FAILURE'/, "criticality: 'NOTE'"],
        [/error "a report says[^\n]*/, ''], [/(sh '(?!ci\/notify)[^']*)'/, "\$1 || true'"],
        [/options \{ lock\(.*\) \}/, ''], [/^\s*milestone \d+\n/, ''], [/steps \{ milestone \d+ \}/, "steps { echo 'ok' }"],
        [/options \{ timeout\(.*\) \}/, ''], [/^\s*timeout\(.*\)\n/, ''], [/timeout\(.*\) \{/, 'script {'],
        [/catchError\(.*\) \{/, 'script {'], [/if \(!env\.PLACE \|\| env\.CHANGE_ID\)/, 'if (false)'],
        [/^\s*(fixed|failure|unstable|aborted) \{ .* \}\n/, ''], [/^\s*announce\('.*'\)\n/, ''],
        [/agent none/, 'agent any'], [/parser: 'COBERTURA'/, "parser: 'LCOV'"],
        [/^\s*stash name: 'images'.*\n/, ''], [/unstash 'images'/, ''],
    ]

    static List of(String text) {
        def guards = []
        text.readLines().eachWithIndex { String line, int index ->
            def whole = line + '\n'
            LOOKS.each { look ->
                def left = whole.replaceFirst(look[0], look[1])
                if (left != whole) guards << [line: index + 1, what: line.trim(), left: left]
            }
        }
        return guards
    }

    static String without(String text, Map guard) {
        def lines = text.readLines().collect { it + '\n' }
        lines[guard.line - 1] = guard.left
        def left = lines.join('')
        // `when { }` is no section.
        return left.replaceAll(/when \{\s*((before\w+ true\s*)*)\}/, '')
    }

    static String noticed(String text, Map guard, List cases) {
        def mutant = without(text, guard)
        def found = cases.find { Judge.faults(mutant, it) }
        if (found) return found.name
        for (layer in Layers.ALONE) {
            def alone = layer.value(mutant)
            found = cases.find { layer.key in it.layers && Judge.faults(alone, it, true) }
            if (found) return "$layer.key alone: $found.name"
        }
        return null
    }
}
