// What a Jenkinsfile is compiled to: steps called in its functions are those of the running build.
abstract class JenkinsScript extends Script {
    def pipeline(Closure body) { binding.jenkins.pipeline(body) }
    def methodMissing(String name, Object args) { binding.jenkins.steps.call(name, args as Object[]) }
}
