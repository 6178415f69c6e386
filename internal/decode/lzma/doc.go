// Package lzma expands LZMA and LZMA2 streams and the files made of them, .lzma and .xz.
//
// The one idea needed to use it: the window that earlier bytes are copied from grows with what really came out, up to
// what the stream asks for or MaxWindow, whichever is less. So a header that asks for gigabytes costs nothing, and only a
// stream that does copy from farther back than MaxWindow is refused, with ErrWindow, at that place.
//
// Streams come from anywhere: what makes no sense is ErrFormat, what ends early io.ErrUnexpectedEOF, and what does not match
// its checksum ErrChecksum. Whatever was expanded before is handed out first. It writes nothing and works on one goroutine.
//
// # Format
//
//	lzma     properties(1) window(4) size(8, all ones if not known) range-coded symbols; numbers are little-endian
//	lzma2    {chunk} 0; a chunk is control(1) size-1(2) raw bytes, or control(1) size-1(2) packed-1(2) [properties(1)] symbols
//	xz       header(12) {block} index footer(12) {padding header …}
//	block    size(1) flags(1) [packed] [expanded] {filter} padding crc32(4) lzma2 padding check
package lzma
