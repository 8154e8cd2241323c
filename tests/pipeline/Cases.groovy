// What can happen to a build, and what must have happened in the end.
//
// DESIGN. `want` lists what is to be seen: result, tags pushed, environments deployed, tags added to
// digests, where the edge is, what the chat was told, which credentials were ever bound (the chat's
// aside). What a case does not name must not have happened. `layers` names the guards each of
// which must hold alone: shell, reports, result.
class Cases {
    static final REGISTRY = 'tally-registry'
    // Who must notice alone: a failing command also by its status, a report by those who read it.
    static final READERS = ['gate', 'reports', 'result']
    static final GATES = ['shell'] + READERS

    static Map on(Map more, String branch) { [env: [BRANCH_NAME: branch]] + more }
    static List cluster(String place) { ["tally-kubeconfig-$place".toString(), "tally-secrets-$place".toString()] }
    static Map failed(Map more = [:]) { [result: 'FAILURE', told: ['start', 'failure']] + more }

    // What staging left behind.
    static Map tested() { [registry: [tree1: 'sha256:green', 'tested-tree1': 'sha256:green'], cluster: [green: 'sha256:green', blue: 'sha256:old']] }

    static List all() { green() + gates() + pushing() + deploying() + releasing() + strangers() + limits() + chat() }

    static List green() {[
        on('develop', name: 'develop is green', want: [pushed: ['tree1'], deployed: ['develop'], told: ['start'], bound: [REGISTRY] + cluster('develop'),
            locks: ['tally-registry', 'tally-develop']]),
        on('staging', name: 'staging is green', want: [pushed: ['tree1'], deployed: ['green'], marked: ['tested-tree1'], told: ['start'],
            bound: [REGISTRY] + cluster('green'), locks: ['tally-registry', 'tally-production']]),
        on('master', name: 'master is green', world: tested(), want: [deployed: ['blue'], told: ['start', 'release'], digest: 'sha256:green',
            smoked: false, bound: [REGISTRY] + cluster('blue'), locks: ['tally-production']]),
        on('main', name: 'main is master too', world: tested(), want: [deployed: ['blue'], told: ['start', 'release'], digest: 'sha256:green',
            bound: [REGISTRY] + cluster('blue')]),
        on('master', name: 'a version tag on the commit', world: tested() + [version: 'v1.2.3'], want: [deployed: ['blue'], marked: ['v1.2.3'],
            told: ['start', 'release'], digest: 'sha256:green', bound: [REGISTRY] + cluster('blue')]),
        on('develop', name: 'a repeated build reuses the digest', world: [registry: [tree1: 'sha256:first']], want: [deployed: ['develop'], told: ['start'],
            digest: 'sha256:first', bound: [REGISTRY] + cluster('develop')]),
        on('develop', name: 'green again', previous: 'FAILURE', want: [pushed: ['tree1'], deployed: ['develop'], told: ['start', 'recovery'],
            bound: [REGISTRY] + cluster('develop')]),
        on('develop', name: 'no scanner: skipped, and said', faults: ['ci/scan': 'no scanner'], want: [pushed: ['tree1'], deployed: ['develop'],
            told: ['start'], bound: [REGISTRY] + cluster('develop'), described: true]),
    ]}

    // On every branch: nothing is pushed, nothing bound.
    static List gates() {
        def table = [
            ['a unit test fails',           'make test-unit',        'fail',    GATES],
            ['a test program crashes',      'make test-unit',        'crash',   GATES],
            ['junit alone sees a failure',  'make test-unit',        'leak',    READERS],
            ['no unit report',              'make test-unit',        'missing', READERS],
            ['an empty unit report',        'make test-unit',        'empty',   READERS],
            ['one unit report is missing',  'make test-unit',        'one missing', ['gate']],
            ['an integration test fails',   'make test-integration', 'fail',    GATES],
            ['no integration report',       'make test-integration', 'missing', READERS],
            ['junit alone sees an integration failure', 'make test-integration', 'leak', READERS],
            ['lint fails beside the tests', 'ci/step lint',          'fail',    GATES],
            ['lint leaves no report',       'ci/step lint',          'missing', READERS],
            ['junit alone sees a lint finding', 'ci/step lint',      'leak',    READERS],
            ['lines one tenth below',       'ci/step coverage', 'lines below', GATES],
            ['branches one tenth below',    'ci/step coverage', 'branches below', GATES],
            ['recordCoverage alone sees lines below', 'ci/step coverage', 'lines leak', READERS],
            ['recordCoverage alone sees branches below', 'ci/step coverage', 'branches leak', READERS],
            ['a report without branches',   'ci/step coverage', 'without branches', ['gate']],
            ['no coverage report',          'ci/step coverage', 'missing', READERS],
            ['an empty coverage report',    'ci/step coverage', 'empty',   READERS],
            ['the coverage command fails',  'ci/step coverage', 'fail',    ['shell']],
        ]
        def images = [
            ['an end-to-end test fails',    'ci/step e2e',           'fail',    GATES],
            ['junit alone sees an end-to-end failure', 'ci/step e2e', 'leak',   READERS],
            ['no end-to-end report',        'ci/step e2e',           'missing', READERS],
            ['the scan finds a hole',       'ci/scan',               'fail',    GATES],
            ['junit alone sees the hole',   'ci/scan',               'leak',    READERS],
            ['no scan report',              'ci/scan',               'missing', READERS],
            ['the images cannot be built',  'make images',           'fail',    []],
            ['it does not compile',         'ci/prepare',            'fail',    []],
            ['the tree has no name',        'git rev-parse "HEAD^{tree}"', 'fail', []],
        ]
        def cases = []
        (table + images).each { row ->
            cases << on('staging', name: "staging: ${row[0]}", faults: [(row[1]): row[2]], layers: row[3],
                        want: failed(row[1].startsWith('git') ? [told: ['failure']] : [:]))
        }
        table.each { row ->
            cases << on('master', name: "master: ${row[0]}", faults: [(row[1]): row[2]], layers: row[3], world: tested(), want: failed())
        }
        return cases
    }

    static List pushing() {[
        on('develop', name: 'the push is refused', faults: ['ci/push': 'fail'], want: failed(bound: [REGISTRY])),
        on('develop', name: 'the push is refused where an older build left its digests', faults: ['ci/push': 'fail'],
            world: [leftBehind: ['build/images.env': 'sha256:stale']], want: failed(bound: [REGISTRY])),
        on('develop', name: 'no credentials for the registry', world: [missingCredentials: [REGISTRY]], want: failed()),
        on('develop', name: 'the result worsens before the push', faults: ['ci/gate': 'worsen'], layers: ['result'], want: failed()),
        on('develop', name: 'stopped in the tests', faults: ['make test-unit': 'abort'], layers: GATES, want: [result: 'ABORTED', told: ['start', 'failure']]),
        on('develop', name: 'overtaken before the push', world: [newerPassed: 10], want: [result: 'NOT_BUILT', told: ['start'], locks: ['tally-registry']]),
    ]}

    static List deploying() {[
        on('develop', name: 'the deployment fails', faults: ['ci/deploy "$PLACE"': 'fail'],
            want: failed(pushed: ['tree1'], bound: [REGISTRY] + cluster('develop'))),
        on('staging', name: 'the public is on green: nothing is tried there', world: [edge: 'green'],
            want: failed(pushed: ['tree1'], edge: 'green', bound: [REGISTRY] + cluster('green'))),
        on('staging', name: 'green fails: not marked as tested', faults: ['ci/deploy "$PLACE"': 'fail'],
            want: failed(pushed: ['tree1'], bound: [REGISTRY] + cluster('green'))),
        on('staging', name: 'green fails its smoke test: not marked as tested', faults: ['ci/smoke "$PLACE"': 'fail'],
            want: failed(pushed: ['tree1'], deployed: ['green'], bound: [REGISTRY] + cluster('green'))),
        on('staging', name: 'the mark is refused', faults: ['ci/mark "tested-$TREE"': 'fail'],
            want: failed(pushed: ['tree1'], deployed: ['green'], bound: [REGISTRY] + cluster('green'))),
        on('develop', name: 'the result worsens during the push', faults: ['ci/push': 'worsen'],
            want: [result: 'UNSTABLE', pushed: ['tree1'], told: ['start', 'failure'], bound: [REGISTRY], locks: ['tally-registry']]),
        on('develop', name: 'the result worsens at the lock', faults: ['checkout Take over': 'worsen'],
            want: [result: 'UNSTABLE', pushed: ['tree1'], told: ['start', 'failure'], bound: [REGISTRY]]),
        on('staging', name: 'the result worsens during the deployment', faults: ['ci/deploy "$PLACE"': 'worsen'],
            want: [result: 'UNSTABLE', pushed: ['tree1'], deployed: ['green'], told: ['start', 'failure'], bound: [REGISTRY] + cluster('green'), smoked: false]),
        on('staging', name: 'the result worsens during the smoke test', faults: ['ci/smoke "$PLACE"': 'worsen'],
            want: [result: 'UNSTABLE', pushed: ['tree1'], deployed: ['green'], told: ['start', 'failure'], bound: [REGISTRY] + cluster('green')]),
        on('develop', name: 'overtaken while it waited for the lock', faults: ['lock tally-develop': 'overtaken'],
            want: [result: 'NOT_BUILT', pushed: ['tree1'], told: ['start'], bound: [REGISTRY]]),
        on('develop', name: 'no credentials for the cluster', world: [missingCredentials: ['tally-kubeconfig-develop']],
            want: failed(pushed: ['tree1'], bound: [REGISTRY])),
        on('develop', name: 'stopped in the deployment', faults: ['ci/deploy "$PLACE"': 'abort'],
            want: [result: 'ABORTED', pushed: ['tree1'], told: ['start', 'failure'], bound: [REGISTRY] + cluster('develop')]),
    ]}

    static List releasing() {[
        on('master', name: 'no tested- tag', world: [cluster: [green: 'sha256:green', blue: 'sha256:old']], want: failed(bound: [REGISTRY], asked: false)),
        on('master', name: 'no tested- tag where an older build left its digests', want: failed(bound: [REGISTRY], asked: false),
            world: [cluster: [green: 'sha256:stale', blue: 'sha256:old'], leftBehind: ['build/images.env': 'sha256:stale']]),
        on('master', name: 'green runs another digest', world: tested() + [cluster: [green: 'sha256:other', blue: 'sha256:old']],
            want: failed(bound: [REGISTRY] + cluster('blue'))),
        on('master', name: 'blue fails: the edge stays on green', world: tested(), faults: ['ci/bluegreen release': 'fail'],
            want: failed(edge: 'green', bound: [REGISTRY] + cluster('blue'))),
        on('master', name: 'the version tag is refused', world: tested() + [version: 'v1.2.3'], faults: ['ci/mark version': 'fail'],
            want: failed(deployed: ['blue'], bound: [REGISTRY] + cluster('blue'))),
        on('master', name: 'nobody approves', world: tested(), faults: ['input': 'hang'], want: [result: 'ABORTED', told: ['start', 'failure'], bound: [REGISTRY], waited: 1440]),
        on('master', name: 'somebody says no', world: tested(), faults: ['input': 'abort'], want: [result: 'ABORTED', told: ['start', 'failure'], bound: [REGISTRY]]),
        on('master', name: 'overtaken while it waited for approval', world: tested(), faults: ['input': 'overtaken'],
            want: [result: 'NOT_BUILT', told: ['start'], bound: [REGISTRY], locks: []]),
        on('master', name: 'the result worsens before the tag is looked up', world: tested(), faults: ['ci/gate': 'worsen'], layers: ['result'], want: failed()),
        on('master', name: 'the result worsens in the look-up', world: tested(), faults: ['ci/find-tested': 'worsen'],
            want: [result: 'UNSTABLE', told: ['start', 'failure'], bound: [REGISTRY], asked: false]),
        on('master', name: 'the result worsens at the approval', world: tested(), faults: ['input': 'worsen'],
            want: [result: 'UNSTABLE', told: ['start', 'failure'], bound: [REGISTRY], locks: []]),
        on('master', name: 'the result worsens as the release begins', world: tested(), faults: ['checkout Take over': 'worsen'],
            want: [result: 'UNSTABLE', told: ['start', 'failure'], bound: [REGISTRY]]),
    ]}

    static List strangers() {
        def pull = { String name, Map env, Map want -> [name: name, env: [BRANCH_NAME: 'PR-7', CHANGE_ID: '7'] + env, want: want] }
        return [
            on('feature/x', name: 'a feature branch', want: [locks: []]),
            on('feature/x', name: 'a feature branch fails', faults: ['make test-unit': 'fail'], want: [result: 'FAILURE']),
            on('feature/x', name: 'a feature branch is green again', previous: 'FAILURE', want: [:]),
            on('develop2', name: 'a branch with a name nearly right', want: [:]),
            pull('a pull request', [CHANGE_BRANCH: 'feature/x', CHANGE_TARGET: 'develop'], [locks: []]),
            pull('a pull request from a fork', [CHANGE_BRANCH: 'feature/x', CHANGE_TARGET: 'develop', CHANGE_FORK: 'eve/tally'], [:]),
            pull('staging to master', [CHANGE_BRANCH: 'staging', CHANGE_TARGET: 'master'], [:]),
            pull('develop to staging', [CHANGE_BRANCH: 'develop', CHANGE_TARGET: 'staging'], [:]),
            pull('develop to master breaks the order', [CHANGE_BRANCH: 'develop', CHANGE_TARGET: 'master'], [result: 'FAILURE']),
            pull('a feature to staging breaks the order', [CHANGE_BRANCH: 'feature/x', CHANGE_TARGET: 'staging'], [result: 'FAILURE']),
            pull('the staging of a fork to master', [CHANGE_BRANCH: 'staging', CHANGE_TARGET: 'master', CHANGE_FORK: 'eve/tally'], [result: 'FAILURE']),
            pull('a fork whose ci/environment says develop', [CHANGE_FORK: 'eve/tally'], [locks: []]) + [world: [environmentSays: 'develop']],
            pull('a fork whose ci/environment says blue', [CHANGE_FORK: 'eve/tally'], [locks: [], asked: false]) + [world: tested() + [environmentSays: 'blue']],
            pull('a pull request that Jenkins calls develop', [BRANCH_NAME: 'develop', CHANGE_BRANCH: 'x', CHANGE_TARGET: 'develop'], [:]),
            pull('a pull request that Jenkins calls master', [BRANCH_NAME: 'master', CHANGE_BRANCH: 'x', CHANGE_TARGET: 'develop'], [:]) + [world: tested()],
            pull('a pull request fails under the name of master', [BRANCH_NAME: 'master', CHANGE_BRANCH: 'x', CHANGE_TARGET: 'develop'], [result: 'FAILURE']) +
                [faults: ['make test-unit': 'fail']],
        ]
    }

    // What hangs ends in time.
    static List limits() {
        def late = { String what, int minutes, Map more = [:] ->
            on('staging', name: "hangs: $what", faults: [(what): 'hang'],
               want: [result: 'ABORTED', waited: minutes, told: ['start', 'failure']] + more)
        }
        def pushed = [pushed: ['tree1'], bound: [REGISTRY]]
        def green = pushed + [bound: [REGISTRY] + cluster('green')]
        return [
            late('ci/prepare', 90), late('make test-unit', 30) + [layers: GATES], late('make test-integration', 30), late('ci/step e2e', 30),
            late('lock tally-production', 26 * 60, pushed), late('checkout Take over', 5, pushed),
            late('ci/deploy "$PLACE"', 30, green), late('ci/smoke "$PLACE"', 10, green + [deployed: ['green']]),
            late('ci/mark "tested-$TREE"', 10, green + [deployed: ['green']]),
            on('master', name: 'hangs: the release', world: tested(), faults: ['ci/bluegreen release': 'hang'],
               want: [result: 'ABORTED', waited: 60, told: ['start', 'failure'], bound: [REGISTRY] + cluster('blue')]),
        ]
    }

    static List chat() {
        def good = [pushed: ['tree1'], deployed: ['develop'], told: [], bound: [REGISTRY] + cluster('develop')]
        return [
            on('develop', name: 'the chat does not take it', faults: ['ci/notify "$EVENT"': 'fail'], want: good + [told: ['start']]),
            on('develop', name: 'the chat never answers', faults: ['ci/notify "$EVENT"': 'hang'], want: good + [waited: 3]),
            on('develop', name: 'no credentials for the chat', world: [missingCredentials: ['tally-slack']], want: good),
            on('develop', name: 'no agent is free for the last word', previous: 'FAILURE', faults: ['last node': 'hang'], want: good + [told: ['start'], waited: 10]),
            on('develop', name: 'the sources are gone at the last word', previous: 'FAILURE', faults: ['checkout at the end': 'fail'], want: good + [told: ['start']]),
            on('develop', name: 'the sources cannot be had', faults: ['checkout Checkout': 'fail'], want: [result: 'FAILURE']),
        ]
    }
}
