// The conditions of a `when`, all of which must hold.
class When {
    Jenkins jenkins
    List conditions = []
    Set before = []
    def beforeOptions(boolean value) { if (value) before << 'options' }
    def beforeInput(boolean value) { if (value) before << 'input' }
    def beforeAgent(boolean value) { if (value) before << 'agent' }
    def branch(String name) { conditions << { jenkins.env.get('BRANCH_NAME') == name } }
    def changeRequest() { conditions << { jenkins.env.get('CHANGE_ID') as boolean } }
    def expression(Closure body) { conditions << { Sections.enter(body, jenkins.steps) as boolean } }
    def not(Closure body) { def inner = inside(body, 1); conditions << { !inner[0].call() } }
    def allOf(Closure body) { def inner = inside(body, 0); conditions << { inner.every { it.call() } } }
    def anyOf(Closure body) { def inner = inside(body, 0); conditions << { inner.any { it.call() } } }
    def methodMissing(String name, Object args) { throw new Defect("when has no condition '$name'") }
    private List inside(Closure body, int count) {
        def inner = new When(jenkins: jenkins)
        Sections.enter(body, inner)
        if (!inner.conditions || (count && inner.conditions.size() != count)) throw new Defect('when: wrong number of conditions')
        return inner.conditions
    }
}
