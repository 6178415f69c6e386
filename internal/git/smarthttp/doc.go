// Package smarthttp is a client for Git's protocol over HTTP: it lists the refs of a repository and fetches
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
// Version 2 of the protocol is asked for; a server or a proxy that knows only version 0 or 1 is served as well, with one
// listing for each discovery and, as a rule, no wants but what its refs show. A history too large for one pack can be asked
// for in parts: commits that are to be taken for roots, a depth, or the commits without their files.
//
// The package does not speak ssh or push, does not look into the pack, and repeats nothing: that is the caller's, who knows
// what it already has.
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
//	             "shallow-info" is the section that says where a history ends
//	band         1 pack data, 2 progress for people, 3 fatal error
//	any          "ERR <message>" ends the answer
//
// In version 0, and in version 1 behind a line "version 1", discovery answers {"<id> <ref>" [NUL capabilities]} flush, a
// request is {"want <id>" [" " capabilities]} {"shallow <id>"} ["deepen <n>"] flush {"have <id>"} "done", and the
// answer is [{"shallow <id>"} flush] {"ACK <id>"} ["NAK"] {band data} flush.
package smarthttp
