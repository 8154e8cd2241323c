// Collects the stages of `stages` and `parallel`.
class StageList {
    List stages = []
    Jenkins jenkins
    def stage(String name, Closure body) { stages << jenkins.stageOf(name, body) }
    def methodMissing(String name, Object args) { throw new Defect("stages hold no '$name'") }
}
