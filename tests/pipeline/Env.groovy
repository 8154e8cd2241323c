// `env`: what withEnv and credentials add lies over what the build has.
class Env {
    Map build = [:]
    Map over = [:]
    def get(String name) { over.containsKey(name) ? over[name] : build[name] }
    def propertyMissing(String name) { get(name) }
    void propertyMissing(String name, value) { build[name] = value?.toString() }
}
