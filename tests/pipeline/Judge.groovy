// Runs one case against one text of the Jenkinsfile and says what is wrong.
class Judge {
    static final Map parsed = [:]
    static final COMMANDS = [
        'tally-registry': ['ci/push', 'ci/find-tested', 'ci/with-images ci/mark'],
        'tally-slack': ['ci/notify'],
        'tally-kubeconfig': ['ci/not-live', 'ci/with-images ci/deploy', 'ci/with-images ci/smoke', 'ci/with-images ci/bluegreen'],
        'tally-secrets': ['ci/not-live', 'ci/with-images ci/deploy', 'ci/with-images ci/bluegreen'],
    ]

    static Class parse(String text) {
        if (!parsed.containsKey(text)) {
            def configuration = new org.codehaus.groovy.control.CompilerConfiguration(scriptBaseClass: 'JenkinsScript')
            parsed[text] = new GroovyClassLoader(Judge.classLoader, configuration).parseClass(text, 'Jenkinsfile')
        }
        return parsed[text]
    }

    static Jenkins play(String text, Map example) {
        def world = new World()
        (example.world ?: [:]).each { name, value -> world[name] = value instanceof Map ? new LinkedHashMap(value) : value }
        world.faults = example.faults ?: [:]
        def jenkins = new Jenkins(world: world)
        jenkins.env.build.putAll(example.env)
        jenkins.build.previous = example.previous ?: 'SUCCESS'
        jenkins.run(parse(text))
        return jenkins
    }

    /** What differs from what the case wants; with `safetyOnly` only what must not have happened. */
    static List faults(String text, Map example, boolean safetyOnly = false) {
        Jenkins jenkins
        try {
            jenkins = play(text, example)
        } catch (Defect e) {
            return ["defect: $e.message".toString()]
        }
        def want = [pushed: [], deployed: [], marked: [], edge: 'blue', bound: []] + example.want
        def saw = seen(jenkins)
        def names = ['pushed', 'deployed', 'marked', 'edge', 'bound']
        if (!safetyOnly) {
            want = [result: 'SUCCESS', told: [], waited: 0] + want
            names += ['result', 'told', 'waited'] + ['locks', 'digest', 'asked', 'smoked', 'described'].findAll { want.containsKey(it) }
        }
        def wrong = names.findAll { want[it] != saw[it] }.collect { "$it: wanted ${want[it]}, was ${saw[it]}".toString() }
        return wrong + rules(jenkins)
    }

    static Map seen(Jenkins jenkins) {
        def world = jenkins.world
        def events = { kind -> jenkins.events.findAll { it.kind == kind } }
        def digest = world.deployed ? world.cluster[world.deployed[-1]] : null
        return [pushed: world.pushed, deployed: world.deployed, marked: world.marked, edge: world.edge, told: world.told,
                result: jenkins.build.currentResult, waited: world.waited, digest: digest,
                bound: events('bound').collectMany { it.ids }.findAll { it != 'tally-slack' }.unique(),
                locks: events('lock')*.name, asked: !events('input').isEmpty(), described: jenkins.build.description != null,
                smoked: jenkins.events.any { it.command?.contains('ci/smoke') }]
    }

    /** What holds in every build, whatever happens in it. */
    static List rules(Jenkins jenkins) {
        def wrong = []
        def place = jenkins.env.build.PLACE
        jenkins.events.each { event ->
            if (event.kind == 'input' && (event.onNode || event.locks)) wrong << 'an executor or a lock is held while a person thinks'
            if (event.kind == 'input' && event.place != 'blue') wrong << 'somebody is asked about something that is not released'
            if (event.kind == 'node' && event.stage.startsWith('Deliver') && !event.locks) wrong << 'an executor is held while waiting for the lock'
            if (event.kind == 'node' && !event.stage && !place) wrong << 'an agent is taken though the chat is told nothing'
            if (event.command == 'make images' && place == 'blue') wrong << 'master builds images'
            if (event.kind == 'sh') event.credentials.each { id ->
                def allowed = COMMANDS.find { id.startsWith(it.key) }?.value ?: []
                if (!allowed.any { event.command.startsWith(it) }) wrong << "'$event.command' sees the credentials $id".toString()
            }
        }
        if (jenkins.world.deployed && !jenkins.world.registry.values().contains(jenkins.world.cluster[jenkins.world.deployed[-1]])) {
            wrong << 'what was deployed is not in the registry'
        }
        return wrong.unique()
    }
}
