// Package git reads Git's objects and says where in a history a blob came from.
//
// A repository is a set of objects named by the hash of their content. A blob is a file's bytes; a tree is a directory:
// names with modes and the ids of blobs and other trees; a commit names one tree and its parent commits; a tag names
// another object. This package parses commits, trees and tags, and Place answers the question a scanner has left when
// it found something in a blob: in which commits, at which paths, by whom was it brought in.
//
// The one idea: everything needs only a Source, something that can walk all of its objects once in any order. A pack
// as a server sent it (package pack) is one, a repository on disk is another. Nothing looks objects up one by one, so
// no index has to exist.
//
// The package does not read packs or repositories, runs no git, and knows no refs but those that Place is told.
//
// # Formats
//
// As described in Git's gitformat-pack(5), git-hash-object(1) and git-commit-tree(1).
//
//	object id   SHA-1 or SHA-256 over "<kind> <decimal size>\x00<content>"
//	tree entry  <octal mode> " " <name> "\x00" <id as 20 or 32 raw bytes>, repeated without separator
//	commit      "tree <hex>\n" {"parent <hex>\n"} "author <person>\n" "committer <person>\n" {more headers} "\n" message
//	tag         "object <hex>\n" "type <kind>\n" "tag <name>\n" "tagger <person>\n" "\n" message
//	person      <name> " <" <email> "> " <seconds since 1970> " " <zone as +hhmm>
//	header      a line starting with a space continues the header before it (signatures)
package git
