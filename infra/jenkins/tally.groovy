// The job: every branch and pull request of the repository, by its Jenkinsfile (job-dsl).
//
// DESIGN. A pull request from a fork is built with the Jenkinsfile of the branch that it is for,
// unless its author may write to the repository: a stranger's Jenkinsfile could ask for credentials.
// Its scripts in ci/ are still its own, which is why the Jenkinsfile itself refuses pull requests.
multibranchPipelineJob('tally') {
    description('Tally: develop to the test environment, staging to green, master to blue')
    branchSources {
        branchSource {
            source {
                github {
                    id('tally')
                    repoOwner(System.getenv('GITHUB_OWNER'))
                    repository(System.getenv('GITHUB_REPOSITORY') ?: 'tally')
                    configuredByUrl(false)
                    repositoryUrl('')
                    credentialsId('tally-github')
                    traits {
                        // Branches but those that are pull requests already; pull requests merged with their target.
                        gitHubBranchDiscovery { strategyId(1) }
                        gitHubPullRequestDiscovery { strategyId(1) }
                        gitHubForkDiscovery {
                            strategyId(1)
                            trust { gitHubTrustPermissions() }
                        }
                        // Versions: ci/release reads the tags of the commit.
                        cloneOptionTrait { extension { shallow(false); noTags(false); reference(''); timeout(10) } }
                        cleanBeforeCheckoutTrait { extension { deleteUntrackedNestedRepositories(true) } }
                    }
                }
            }
        }
    }
    factory { workflowBranchProjectFactory { scriptPath('Jenkinsfile') } }
    orphanedItemStrategy { discardOldItems { daysToKeep(7) } }
    // The webhook starts builds; this finds what a lost webhook has missed.
    triggers { periodicFolderTrigger { interval('1h') } }
}
