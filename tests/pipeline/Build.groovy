// `currentBuild`: a result can only become worse.
class Build {
    static final WORSE = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']
    String result
    String previous = 'SUCCESS'
    String description

    String getCurrentResult() { result ?: 'SUCCESS' }
    void setResult(String value) {
        if (!(value in WORSE)) throw new Defect("there is no result $value")
        if (result == null || WORSE.indexOf(value) > WORSE.indexOf(result)) result = value
    }
}
