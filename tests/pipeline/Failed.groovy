// What AbortException and error() are to Jenkins: the build fails.
class Failed extends Exception {
    Failed(String message) { super(message) }
}
