// What a build acts on: commands, registry, cluster, chat; and what goes wrong with them in a case.
//
// DESIGN. `faults` maps a command to what happens in it: fail (status 1), hang, abort (somebody stops
// the build), leak (status 0, but its report tells of a failure), worsen (another plugin marks the
// build UNSTABLE meanwhile), or words that only one command knows. ci/environment and
// ci/check-promotion are the real scripts; the others leave behind what the real ones leave behind.
class World {
    static final Map real = [:]
    static int serial = 0

    Map faults = [:]
    Map registry = [:]   // tag -> digest
    Map cluster = [:]    // environment -> digest
    String edge = 'blue'
    String tree = 'tree1', version = ''
    String thresholds = '# per cent\nLINES=90\nBRANCHES=80\n'
    List missingCredentials = []
    String environmentSays   // what a changed ci/environment prints
    Map leftBehind = [:]     // files of an earlier build in the workspace
    int newerPassed = 0  // milestones that a newer build has passed
    List pushed = [], deployed = [], marked = [], told = []
    int waited = 0       // minutes spent in something that hangs

    Map good = [passed: 5, failed: 0, skipped: 0]
    Map bad = [passed: 4, failed: 1, skipped: 0]

    def hang(Jenkins jenkins, String what) {
        if (!jenkins.timeouts) throw new Defect("$what hangs for ever: there is no time limit")
        waited += jenkins.timeouts.min()
        throw new Interrupted('ABORTED', "$what: time limit")
    }
    // Returns the fault where it is none of those that are the same for all.
    def meet(Jenkins jenkins, String what) {
        def fault = faults[what]
        if (fault == 'hang') hang(jenkins, what)
        if (fault == 'abort') throw new Interrupted('ABORTED', 'somebody stopped the build')
        if (fault == 'worsen') jenkins.build.result = 'UNSTABLE'
        if (fault == 'overtaken') newerPassed = 1000
        return fault
    }
    def waitForLock(Jenkins jenkins, String name) { meet(jenkins, "lock $name") }
    def waitForNode(Jenkins jenkins) { meet(jenkins, jenkins.path ? 'node' : 'last node') }
    def answer(Jenkins jenkins) { meet(jenkins, 'input') }
    def checkout(Jenkins jenkins) {
        def fault = meet(jenkins, "checkout ${jenkins.path ? jenkins.path[-1] : 'at the end'}".toString())
        if (fault == 'fail') throw new Failed('checkout failed')
    }

    Map shell(Jenkins jenkins, String command) {
        def deaf = command.endsWith(' || true')
        command = command.replace(' || true', '')
        if (!jenkins.node.checkedOut) throw new Defect("'$command' on an agent without a checkout")
        jenkins.note(kind: 'sh', command: command)
        def outcome = run(jenkins, command)
        return deaf ? [status: 0, output: outcome.output] : outcome
    }

    Map run(Jenkins jenkins, String command) {
        def files = jenkins.node.files
        if (command.startsWith('ci/with-images ')) {
            if (!files['build/images.env']) return ended(1)
            return run(jenkins, command - 'ci/with-images ')
        }
        def fault = meet(jenkins, command)
        def status = fault == 'fail' ? 1 : 0
        switch (command) {
        case 'git rev-parse "HEAD^{tree}"': return ended(status, tree)
        case 'ci/environment': if (environmentSays) return ended(0, environmentSays)
        case 'ci/check-promotion': return script(jenkins, command)
        case 'ci/prepare': return ended(status)
        case 'ci/step lint': return tested(files, fault, 'step.lint')
        case 'make test-unit': return tested(files, fault, 'unit.asan.test_a', 'unit.cov.test_a')
        case 'make test-integration': return tested(files, fault, 'integration.test_a')
        case 'ci/step coverage': return covered(files, fault)
        case 'make images': jenkins.node.images = [digest: "sha256:built${++serial}".toString()]; return ended(status)
        case 'ci/step e2e': return jenkins.node.images ? tested(files, fault, 'step.e2e') : ended(1)
        case 'ci/scan': return jenkins.node.images ? scanned(files, fault) : ended(1)
        case 'ci/gate': return gate(jenkins, files)
        case 'ci/push': return push(jenkins, fault)
        case 'ci/find-tested': return findTested(jenkins)
        case 'ci/not-live "$PLACE"': return ended(status ?: jenkins.env.get('PLACE') == edge ? 1 : 0)
        case 'ci/deploy "$PLACE"': return deploy(jenkins, fault)
        case 'ci/smoke "$PLACE"': return ended(status)
        case 'ci/mark "tested-$TREE"': return mark(jenkins, status, "tested-$tree".toString())
        case 'ci/mark version': return version ? mark(jenkins, status, version) : ended(status)
        case 'ci/bluegreen release': return release(jenkins, fault)
        case 'ci/notify "$EVENT"': told << jenkins.env.get('EVENT'); return ended(status)
        }
        throw new Defect("there is no command '$command'")
    }
    Map ended(int status, String output = '') { [status: status, output: output] }

    // ---- reports ----------------------------------------------------------------------------------

    Map tested(Map files, fault, String... names) {
        def report = fault in ['fail', 'leak'] ? bad : fault == 'empty' ? [passed: 0] : good
        if (!(fault in ['missing', 'crash'])) names.each { files["build/reports/junit/${it}.xml".toString()] = report }
        if (fault == 'one missing') files.remove("build/reports/junit/${names[0]}.xml".toString())
        return ended(fault in ['fail', 'crash'] ? 139 : 0)
    }
    Map scanned(Map files, fault) {
        def report = fault in ['fail', 'leak'] ? bad : fault == 'no scanner' ? [skipped: 1] : good
        if (fault != 'missing') files['build/reports/junit/step.scan.xml'] = report
        return ended(fault == 'fail' ? 1 : 0)
    }
    Map covered(Map files, fault) {
        def report = [LINE: 92.0, BRANCH: 85.0]
        if (fault in ['lines below', 'lines leak']) report.LINE = 89.9
        if (fault in ['branches below', 'branches leak']) report.BRANCH = 79.9
        if (fault == 'without branches') report.remove('BRANCH')
        if (fault == 'empty') report = [:]
        if (fault != 'missing') files['build/coverage/cobertura.xml'] = report
        return ended(fault in ['lines below', 'branches below', 'fail'] ? 1 : 0)
    }
    // As the real one, which tests/pipeline/test_scripts holds to the same table.
    Map gate(Jenkins jenkins, Map files) {
        def wanted = ['step.lint', 'unit.asan.test_a', 'unit.cov.test_a', 'integration.test_a']
        if (jenkins.env.get('PLACE') != 'blue') wanted += ['step.e2e', 'step.scan']
        def reports = wanted.collect { files["build/reports/junit/${it}.xml".toString()] }
        def coverage = files['build/coverage/cobertura.xml'] ?: [:]
        def good = reports.every { it && !it.failed && (it.passed || it.skipped) } && (coverage.LINE ?: 0) >= 90 && (coverage.BRANCH ?: 0) >= 80
        files['build/summary.txt'] = 'summary'
        return ended(good ? 0 : 1)
    }

    // ---- registry and cluster ---------------------------------------------------------------------

    void needs(Jenkins jenkins, String... ids) {
        ids.each { if (!(it in jenkins.credentials)) throw new Defect("without the credentials $it") }
    }
    String digest(Jenkins jenkins) { jenkins.node.files['build/images.env'] }

    Map push(Jenkins jenkins, fault) {
        needs(jenkins, 'tally-registry')
        if (fault == 'fail') return ended(1)
        if (!jenkins.node.images.digest) return ended(1)
        if (!('tally-registry' in jenkins.locks)) throw new Defect('pushed without the lock tally-registry')
        if (!registry[tree]) {
            registry[tree] = jenkins.node.images.digest
            pushed << tree
        }
        jenkins.node.files['build/images.env'] = registry[tree]
        return ended(0)
    }
    Map findTested(Jenkins jenkins) {
        needs(jenkins, 'tally-registry')
        def found = registry["tested-$tree".toString()]
        if (!found) return ended(1)
        jenkins.node.files['build/images.env'] = found
        return ended(0)
    }
    Map deploy(Jenkins jenkins, fault) {
        def place = jenkins.env.get('PLACE')
        needs(jenkins, "tally-kubeconfig-$place".toString(), "tally-secrets-$place".toString())
        if (!("tally-${place == 'develop' ? 'develop' : 'production'}".toString() in jenkins.locks)) throw new Defect('deployed without the lock')
        if (fault == 'fail') return ended(1)
        cluster[place] = digest(jenkins)
        deployed << place
        return ended(0)
    }
    Map mark(Jenkins jenkins, int status, String tag) {
        needs(jenkins, 'tally-registry')
        if (status) return ended(status)
        registry[tag] = digest(jenkins)
        marked << tag
        return ended(0)
    }
    // Green first, then the edge to green, then blue, then the edge back: what fails leaves the edge on green.
    Map release(Jenkins jenkins, fault) {
        needs(jenkins, 'tally-kubeconfig-blue', 'tally-secrets-blue')
        if (!('tally-production' in jenkins.locks)) throw new Defect('released without the lock')
        if (fault == 'other digest' || cluster.green != digest(jenkins)) return ended(1)
        edge = 'green'
        if (fault == 'fail') return ended(1)
        cluster.blue = digest(jenkins)
        deployed << 'blue'
        edge = 'blue'
        return ended(0)
    }

    // ---- the real scripts that depend on their environment alone ------------------------------------

    Map script(Jenkins jenkins, String command) {
        def names = ['BRANCH_NAME', 'CHANGE_ID', 'CHANGE_BRANCH', 'CHANGE_TARGET', 'CHANGE_FORK']
        def values = names.collectEntries { [it, jenkins.env.get(it)] }.findAll { it.value }
        def key = [command, values]
        if (!real.containsKey(key)) {
            def builder = new ProcessBuilder(command)
            names.each { builder.environment().remove(it) }
            builder.environment().putAll(values)
            def process = builder.redirectErrorStream(true).start()
            def output = process.inputStream.text
            real[key] = [status: process.waitFor(), output: output]
        }
        return real[key]
    }
}
