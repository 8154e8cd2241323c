// FlowInterruptedException: the build ends with this result.
class Interrupted extends Exception {
    String result
    Interrupted(String result, String message) { super(message); this.result = result }
}
