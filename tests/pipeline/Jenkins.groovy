// Runs a declarative Jenkinsfile as Jenkins would: sections, order, skipping, results and post conditions.
//
// DESIGN. What the harness does not know is a Defect, an Error that no Jenkinsfile can catch: a
// misspelt step or option must not pass silently. Sections are collected first, as Declarative does,
// and run afterwards. Order within a stage: options, input, agent, when, body, post; `beforeOptions`,
// `beforeInput` and `beforeAgent` move `when` to the front. Parallel branches all run, one by one.
class Jenkins {
    static final STAGE = ['agent', 'when', 'options', 'input', 'steps', 'stages', 'parallel', 'post']
    static final POST = ['always', 'fixed', 'aborted', 'failure', 'success', 'unstable', 'unsuccessful', 'cleanup']
    static final OPTIONS = ['buildDiscarder', 'skipDefaultCheckout', 'timeout', 'timestamps', 'skipStagesAfterUnstable', 'lock']
    static final STAGE_OPTIONS = ['timeout', 'lock', 'timestamps', 'skipDefaultCheckout']

    World world
    Build build = new Build()
    Env env = new Env()
    Steps steps
    Agent node
    List path = []        // stages that we are in
    List locks = []
    List credentials = [] // ids bound at this moment
    List timeouts = []    // minutes
    List events = []
    Throwable firstError
    boolean skipAfterUnstable, defaultCheckout = true

    void note(Map event) {
        events << ([stage: path.join('/'), locks: locks.clone(), credentials: credentials.clone(), onNode: node != null] + event)
    }

    void run(Class script) {
        steps = new Steps(jenkins: this)
        def binding = new Binding([jenkins: this, env: env, currentBuild: build, scm: 'scm'])
        steps.code = (Script) script.newInstance()
        steps.code.binding = binding
        steps.code.run()
    }

    void pipeline(Closure body) {
        def root = Sections.of('pipeline', ['agent', 'options', 'stages', 'post'], body)
        if (!root.agent || !root.stages) throw new Defect('a pipeline needs agent and stages')
        def options = optionsOf(root.options, OPTIONS)
        skipAfterUnstable = options.containsKey('skipStagesAfterUnstable')
        defaultCheckout = !options.containsKey('skipDefaultCheckout')
        def stages = listOf(root.stages)
        def post = postOf(root.post)
        try {
            wrapped(options) {
                inAgent(root.agent) {
                    runAll(stages)
                    if (firstError) build.result = resultOf(firstError)
                }
            }
        } catch (Exception e) {
            build.result = resultOf(e)
        }
        try {
            runPost(post, build.currentResult)
        } catch (Exception e) {
            build.result = resultOf(e)
        }
    }

    Map stageOf(String name, Closure body) {
        def stage = Sections.of("stage '$name'", STAGE, body)
        if (['steps', 'stages', 'parallel'].count { stage.containsKey(it) } != 1) throw new Defect("stage '$name' needs one of steps, stages and parallel")
        stage.name = name
        stage.post = postOf(stage.post)
        ['stages', 'parallel'].each { if (stage[it]) stage[it] = listOf(stage[it]) }
        if (stage.input) stage.input = Sections.of('input', ['message', 'ok', 'submitter'], stage.input)
        return stage
    }

    List listOf(Closure body) {
        def list = new StageList(jenkins: this)
        Sections.enter(body, list)
        if (!list.stages) throw new Defect('stages is empty')
        return list.stages
    }

    Map postOf(Closure body) { body ? Sections.of('post', POST, body) : [:] }

    Map optionsOf(Closure body, List known) {
        if (!body) return [:]
        def options = new Options(jenkins: this, known: known)
        Sections.enter(body, options)
        return options.found
    }

    /** Whatever is neither is a fault of the Jenkinsfile or of the harness. */
    static String resultOf(Throwable e) {
        if (!(e instanceof Interrupted || e instanceof Failed)) throw new Defect("${e.class.simpleName}: $e.message at ${e.stackTrace.find { it.fileName == 'Jenkinsfile' } ?: e.stackTrace[0..8]}")
        return e instanceof Interrupted ? e.result : 'FAILURE'
    }

    void runAll(List stages) { stages.each { runStage(it) } }

    void runStage(Map stage) {
        path << stage.name
        try {
            if (firstError || (skipAfterUnstable && build.result == 'UNSTABLE')) note(kind: 'skipped')
            else enterStage(stage)
        } catch (Exception e) {
            build.result = resultOf(e)
            firstError = firstError ?: e
        } finally {
            path.pop()
        }
    }

    void enterStage(Map stage) {
        def condition = whenOf(stage)
        def early = condition?.before ?: ([] as Set)
        def hold = { String moment -> condition == null || !(moment in early) || condition.conditions.every { it.call() } }
        if (!hold('options')) return
        wrapped(optionsOf(stage.options, STAGE_OPTIONS)) {
            if (!hold('input')) return
            if (stage.input) steps.ask(stage.input.message)
            if (!hold('agent')) return
            inAgent(stage.agent) {
                if (early || condition == null || condition.conditions.every { it.call() }) body(stage)
            }
        }
    }

    When whenOf(Map stage) {
        if (!stage.when) return null
        def condition = new When(jenkins: this)
        Sections.enter(stage.when, condition)
        if (!condition.conditions) throw new Defect("when of '$stage.name' has no condition")
        return condition
    }

    void body(Map stage) {
        def error = null
        note(kind: 'stage', name: stage.name)
        try {
            if (stage.steps) Sections.enter(stage.steps, steps)
            else if (stage.stages) runAll(stage.stages)
            else runParallel(stage.parallel)
        } catch (Exception e) {
            error = e
            build.result = resultOf(e)
        }
        try {
            runPost(stage.post, error ? resultOf(error) : build.currentResult)
        } catch (Exception e) {
            error = error ?: e
        }
        if (error) throw error
    }

    // A branch that failed stops no other: each begins as if none had.
    void runParallel(List branches) {
        def first = firstError
        branches.each { branch ->
            firstError = null
            runStage(branch)
            first = first ?: firstError
        }
        firstError = first
    }

    void runPost(Map post, String result) {
        def meets = [always: true, cleanup: true, success: result == 'SUCCESS', failure: result == 'FAILURE', unstable: result == 'UNSTABLE',
                     aborted: result == 'ABORTED', unsuccessful: result != 'SUCCESS',
                     fixed: result == 'SUCCESS' && build.previous in ['FAILURE', 'UNSTABLE']]
        def error = null
        POST.findAll { post[it] && meets[it] }.each { name ->
            try {
                Sections.enter(post[name], steps)
            } catch (Exception e) {
                build.result = resultOf(e)
                error = error ?: e
            }
        }
        if (error) throw error
    }

    void wrapped(Map options, Closure inner) {
        def call = inner
        if (options.timeout) { def next = call; call = { steps.within(options.timeout, next) } }
        if (options.lock) { def next = call; call = { steps.locked(options.lock, next) } }
        call.call()
    }

    void inAgent(agent, Closure inner) {
        if (agent == null || agent == 'none') { inner.call(); return }
        if (agent instanceof Closure) Sections.of('agent', ['label'], agent)
        steps.onNode(inner, defaultCheckout)
    }
}
