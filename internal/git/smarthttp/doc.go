// Package smarthttp is a client for Git's protocol version 2 over HTTP: it lists the refs of a repository and fetches
// the pack of what is new, without a local repository.
//
// The one idea: a fetch needs no object of ours. It sends the wanted ids, the ids already known, and "done", all in one
// request; the server answers with exactly the objects that the known ones do not reach, as a pack that stands on its
// own because no thin pack is asked for. Ids that the server does not know are ignored by it where they are "had", and
// refused where they are wanted. What a server answered to discovery is remembered for all its repositories, so listing the
// refs of one takes one request, and fetching another.
//
// The server is not trusted: every length, count and silence is bounded, redirects stay on the same host over HTTPS,
// and names of refs are data, checked before they are handed on. Which addresses may be dialled and which certificates
// hold is the business of the *http.Client that the caller brings.
//
// The package does not speak versions 0 and 1, ssh, or push, and does not look into the pack.
//
// # Format
//
// From Git's gitprotocol-common(5), gitprotocol-http(5) and gitprotocol-v2(5).
//
//	pkt-line     length(4 hex digits, itself included) payload; 0000 flush, 0001 delimiter, 0002 response end
//	discovery    GET <base>/info/refs?service=git-upload-pack, header Git-Protocol: version=2
//	             → ["# service=git-upload-pack" flush] "version 2" {capability} flush
//	command      POST <base>/git-upload-pack: "command=<name>" {capability} delimiter {argument} flush
//	ls-refs      → {"<id> <ref>" [" symref-target:<ref>"] [" peeled:<id>"]} flush
//	fetch        → {section header, lines, delimiter} "packfile" {band(1) data} flush
//	band         1 pack data, 2 progress for people, 3 fatal error
//	any          "ERR <message>" ends the answer
package smarthttp
