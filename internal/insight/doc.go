// Package insight tells Bitbucket's Code Insights what Magpie knows about the secrets in open pull requests, where a
// project asks for it: a report on the source commit that passes or fails, with an annotation at each line that holds a
// secret. Bitbucket's own merge check "required report" can then keep a secret from being merged.
//
// The idea: a secret counts if it stands in a file at the tip of the pull request, and did not stand in that file where
// the pull request left its target. Bitbucket lists the changed files with the hashes of their contents before and after.
// A hash that is the blob of a known occurrence says what stands there; a file whose path is that of a known occurrence
// under another hash is fetched and scanned, at the tip and at the base, since a scan of a push notes a secret once and
// not again at each later change of its file. So a rebase, a cherry-pick or a change beside the secret hides nothing, a
// secret that stands in the target already blocks no one who edits its file, and no clone is needed. Where a file can't
// be read, a known secret is taken to stand where it was found. No detector speaks here that has not spoken before: what
// Magpie never scanned, or a scan did not note, is not known to the report either.
//
// A secret fails the report while its incident is open, and also when that was resolved without the secret having been
// revoked, since it then still stands there alive. A revoked or ignored one is only mentioned. A secret that stood in an
// earlier commit of the pull request alone does not fail it; its incident goes on.
//
// A report belongs to one repository, the target of the pull request, and one commit; pull requests that share both share
// it. For a pull request from a fork the commit is addressed in the target, which holds it under refs/pull-requests. That
// Bitbucket shows such a report is inferred from its reading reports of a pull request by the commit in the target
// repository, and not documented. A commit gets a report once Magpie has scanned it, in the source or in the target.
//
// Reports are sent by jobs: after each scan of a push to a project that asks for them (and to a personal one of the same
// integration, where forks live), when an incident that a report counted is closed or opened again, and by a look at the
// open pull requests of repositories that were pushed to lately, since no event tells that a pull request was opened. A
// report that would not change is not sent again. While one is sent its row says that nobody knows what stands there, so
// that a crash in between is repaired by the next attempt.
//
// No value leaves: an annotation names the detector and the incident, nothing of the secret. What Bitbucket refuses is
// noted with the project, once.
package insight
