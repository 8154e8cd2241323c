// Plays all cases against the Jenkinsfile, layer by layer, then with each guard taken out; speaks TAP.
def text = new File(args[0]).text
def number = 0
def bad = 0
def tell = { boolean good, String name, List why = [] ->
    println "${good ? 'ok' : 'not ok'} ${++number} - $name"
    why.each { println "# $it" }
    if (!good) bad++
}

def cases = Cases.all()
cases.each { example ->
    def wrong = Judge.faults(text, example)
    tell(!wrong, example.name, wrong)
}
Layers.ALONE.each { layer, strip ->
    def alone = strip(text)
    tell(alone != text, "with only the layer '$layer' the Jenkinsfile is another one")
    cases.findAll { layer in it.layers }.each { example ->
        def wrong = Judge.faults(alone, example, true)
        tell(!wrong, "$layer alone: $example.name", wrong)
    }
}
def table = []
Guards.of(text).each { guard ->
    def found = Guards.noticed(text, guard, cases)
    table << [guard.line, guard.what, found ?: 'NOBODY NOTICED']
    tell(found != null, "taken out: line $guard.line, $guard.what", found ? [] : ['no case fails without it'])
}
println '# guards of the Jenkinsfile, and the first case that fails without each:'
table.each { row -> println String.format('# %4d  %-72s %s', row[0], row[1].take(72), row[2]) }
def broken = Validity.check()
broken.each { name, wrong -> tell(!wrong, name, wrong ? [wrong] : []) }
println "1..$number"
System.exit(bad ? 1 : 0)
