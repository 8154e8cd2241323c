// Calls a closure of sections; only the listed ones exist, each at most once.
class Sections {
    String where
    List known
    Map found = [:]
    Map values = [none: 'none', any: 'any']

    static Map of(String where, List known, Closure body) {
        def sections = new Sections(where: where, known: known)
        Sections.enter(body, sections)
        return sections.found
    }
    static enter(Closure body, delegate) {
        def copy = (Closure) body.clone()
        copy.delegate = delegate
        copy.resolveStrategy = Closure.DELEGATE_ONLY
        return copy.call()
    }
    def methodMissing(String name, Object args) {
        def list = args as List
        if (!(name in known)) throw new Defect("$where has no section '$name'")
        if (found.containsKey(name)) throw new Defect("$where has two sections '$name'")
        found[name] = list.size() == 1 ? list[0] : list
    }
    def propertyMissing(String name) {
        if (!values.containsKey(name)) throw new Defect("$where: what is '$name'?")
        return values[name]
    }
}
