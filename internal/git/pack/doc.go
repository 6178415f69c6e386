// Package pack reads Git's packfiles and repositories: every object once, expanded, in any order, without ever holding
// a pack in memory.
//
// Spool takes a pack as it arrives from a server, writes it to an unlinked temporary file, finds where each object
// starts, and checks the whole. Open opens a repository on disk: its packs, loose objects and alternates, its refs in
// files or reftables. OpenBundle opens a file that git bundle made. All give a git.Source. Walking one goes depth-first
// over the trees of deltas, so that each object is expanded exactly once from a base that is at hand, and memory holds
// only the bases on the way down.
//
// Packs come from other people's servers, so nothing in them is believed: every length is bounded, deltas are checked
// before memory is reserved for their result, and what expands beyond reason is skipped and reported. What can't be
// read never stops the rest.
//
// The package writes no packs, needs no git program and runs nothing that a repository's configuration names.
//
// # Format
//
// From Git's gitformat-pack(5).
//
//	pack    "PACK" version(4, 2 or 3) count(4) {object} trailer     numbers are big-endian
//	object  header [base] zlib stream
//	header  1 bit more, 3 bits type, 4 bits size; while more: 1 bit more, 7 bits size (low bits first)
//	type    1 commit, 2 tree, 3 blob, 4 tag, 6 delta by offset, 7 delta by id
//	base    type 6: distance back to the base's header, 7 bits a byte, high bits first, each continuation adding one
//	        type 7: raw id of the base, which may stand anywhere in the pack
//	delta   size of base, size of result (7 bits a byte, low bits first), {instruction}
//	        0xxxxxxx insert the next x bytes (x > 0)
//	        1xxxxxxx copy from base; bits 0-3 say which of 4 offset bytes follow, bits 4-6 which of 3 size bytes
//	                 (low first); size 0 is 65536
//	trailer SHA-1 or SHA-256 of everything before it
package pack
