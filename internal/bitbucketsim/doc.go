// Package bitbucketsim is a Bitbucket Data Center that lives inside a test, the demo or a load run.
//
// The one idea: whatever a client can see on the wire is there — TLS under an own authority, HTTP access tokens, the REST
// resources with their odd paging and errors, real git served by the real `git http-backend`, and signed webhooks sent by
// a delivery engine that loses, delays and gives up as the real one does — and whatever a test wants to happen at the
// other end is a Go method on [Server]: push, rename, archive, expire a token, drop deliveries.
//
// Repositories are bare git directories on disk; everything else is kept in memory and, when Options.DataDir is set,
// written there as JSON so that a later Server can continue. Every behaviour depends on the simulated version
// (Options.Version): 7.6 knows no archived repositories and no partial clones, 8.9 has project webhooks, 10.x writes
// times in webhook bodies as ISO 8601 text.
//
// # Awkward behaviour
//
// The server is as awkward as the real one by itself; what a test may want to switch is listed here, each with its test.
//
// Identity and tokens:
//   - a token runs out, is withdrawn or loses rights: ExpireToken, SetTokenExpiry, RevokeToken, SetTokenPermissions,
//     GrantRepo, GrantProject, SetGlobalPermission (TestWaysToLoseAccess, TestTokenExpiresByTheClock, TestTokensLimitTheirOwners)
//   - its owner is disabled, deleted, renamed, unlicensed, or must set up two-step verification: SetActive, DeleteUser,
//     RenameUser, SetLicensed, SetTwoStep (TestWaysToLoseAccess, TestRenamedUser)
//   - the licence of the instance lapses: SetLicenceValid (TestWaysToLoseAccess)
//   - application-properties refuses bad credentials: SetStrictProbe (TestApplicationProperties)
//   - Basic authentication is off; x-token-auth is a user: SetBasicAuth, SetTokenUser (TestBasicAuthentication, TestTokenUser)
//   - tokens may read tokens and so their expiry: SetTokensSeeTokens (TestTokensByOwner)
//   - a 401 is empty, a page, or a login page under 200: SetRefusal (TestFormsOfRefusal)
//
// Errors, paging and limits:
//   - requests fail, hang or meet maintenance: FailRequests, SetFailures, HangRequests, ReleaseHung, SetMaintenance
//     (TestFaults, TestHungRequests, TestFailuresWithHeaders)
//   - pages shorter than their limit, empty, or without end; small limits: SetSparsePages, SetStuckPages, SetMaxLimit
//     (TestFilteredPages, TestStuckPages, TestLimitIsClampedAndEchoed)
//   - 429 for REST and git, with Retry-After in seconds, as a date or absent, and an empty body: SetRateLimit
//     (TestRateLimit, TestRateLimitOnGit)
//   - times in REST answers as text: SetISOTimes (TestISOTimesOverREST)
//
// Repositories and git:
//   - renamed, moved, archived, deleted, made again, forked: Rename, Move, RenameProject, Archive, Delete, DeleteProject,
//     Fork (TestRenameMoveAndFork, TestDeleteAndProjects)
//   - old addresses answer, redirect or are gone: SetRenameMode, SetGitRenameMode (TestOldAddresses,
//     TestGitAndRESTMayDifferAtOldAddresses)
//   - states besides AVAILABLE, hosting over HTTP off: SetRepoState, SetRepoHTTPHosting, SetHTTPHosting
//     (TestRepositoriesThatAreNotAvailable, TestCloneLinks)
//   - no tickets for git: SetBusy (TestBusyGit)
//   - packs are cut, truncated or stall after some bytes, once or always: SetPackTrouble, PackBytes (TestPackTrouble)
//   - git speaks version 0 or 1 only, serves any hash or only tips, no partial or shallow clones, refuses unknown haves:
//     SetGitDialect (TestGitDialects)
//   - forced-away commits live until GC (TestForcedAwayCommitsLiveUntilGC); SetDefaultBranch, SetRepoPublic (TestGitWall)
//   - other certificates: UseCertificate (TestCertificates)
//
// Pull requests and Code Insights:
//   - OpenPullRequest, MergePullRequest, DeclinePullRequest, ReopenPullRequest, SetMergeRefs (TestPullRequestLife,
//     TestPullRequestLists, TestMergeRefs)
//   - a merge check that demands a report: SetRequiredReport (TestMergeCheckDemandsAReport)
//   - reports and annotations have no switches but all limits (TestReports, TestAnnotations, TestInsightsCameWith515)
//
// Webhooks:
//   - lost, doubled, late and reordered deliveries: SetDeliveries (TestDeliveryModes)
//   - events without commits or without changes: Announce (TestAnnounce); events by versions (TestPayloadDialects)
//   - workers, connections, deliveries in flight, dispatch queue, time limit: the Options WebhookThreads,
//     WebhookConnections, WebhookInFlight, WebhookQueue with WebhookQueueWait, WebhookTimeout (TestThreeWorkers,
//     TestConnectionsPerReceiver, TestInFlightLimit, TestDispatchQueueIsFull)
//   - the breaker: BreakerOpenUntil, ResetBreaker (TestBreaker, TestResetBreaker)
//   - secrets in answers, clear or absent: SetSecretEcho (TestSecretEcho)
//   - replayed, forged and compressed deliveries: Redeliver, SendRaw (TestAttacks)
//
// Size and time: CreateRepos makes ten thousand repositories in seconds (TestCreateRepos); a Pipe, Options.WebhookDial and
// Options.Now let a server live in a testing/synctest bubble (TestLivesInABubble).
//
// # What it is not
//
// It has no web pages, no comments and reviews, no SSH, no groups, and it checks permissions only as far as tokens and
// their owners need. Nothing in it is meant to face a network: it listens on the loopback interface only, or on what
// Options.Listener brings.
//
// Some behaviour is not known of a real server and so is a guess, by default the harsher one: the class name of a refusal
// for want of two-step verification, the text of a busy git, that deleting a source branch declines its pull requests,
// and that a required report must be on the target repository.
package bitbucketsim
