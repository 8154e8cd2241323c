// Collects `options`; only the listed ones exist.
class Options {
    Jenkins jenkins
    List known
    Map found = [:]
    def logRotator(Map named) { Steps.check('logRotator', named, ['numToKeepStr', 'artifactNumToKeepStr', 'daysToKeepStr', 'artifactDaysToKeepStr']) }
    def methodMissing(String name, Object args) {
        if (!(name in known)) throw new Defect("there is no option '$name' here")
        def list = args as List
        if (name == 'timeout') found.timeout = Steps.minutes(list[0])
        else if (name == 'lock') found.lock = Steps.lockName(list[0])
        else found[name] = list ? list[0] : true
    }
    def propertyMissing(String name) {
        if (name != 'env') throw new Defect("options: what is '$name'?")
        return jenkins.env
    }
}
