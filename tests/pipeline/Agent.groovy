// An agent and the workspace on it.
class Agent {
    Map files = [:]
    Map images = [:]
    boolean checkedOut
}
