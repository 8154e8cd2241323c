// What no Jenkinsfile may do; an Error, so that nothing in a Jenkinsfile can catch it.
class Defect extends Error {
    Defect(String message) { super(message) }
}
