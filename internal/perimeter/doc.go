// Package perimeter decides what is watched: it connects to Bitbucket instances, keeps projects and repositories in step
// with them, puts a webhook on every monitored repository and takes it away again.
//
// The idea: the rows say what is wanted and jobs make Bitbucket be so. A user's change and the job that carries it out are
// stored in one transaction. Each job reads what is wanted now, acts, and stores its result only if the same is still
// wanted; otherwise it starts over. So jobs may run late, twice, or after a crash at any point. A full sync, by default
// every quarter of an hour, finds whatever else differs; everything is recognised by Bitbucket's numeric ids, never by
// name.
//
// What it costs in requests to Bitbucket, which counts them: setting up a repository takes one for its webhook and two for
// its first listing; a sync one for each page of 1,000 repositories, and one for each webhook whose turn to be checked it is,
// which comes within four hours unless events prove that it works; a sweep one listing for each repository; a push a listing
// and a fetch. A repository that did not change costs a sync no request and no write of its own. Taking a webhook away
// takes two. A request more makes sure of a repository's numeric id wherever its name may be out of date.
//
// The package tells the scan stage when to look at a repository (Service.Run sweeps all of them) but never reads one, and
// who may change the perimeter is decided by the ways in.
package perimeter
