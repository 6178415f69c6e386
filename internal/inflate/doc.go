// Package inflate expands zlib streams whose expanded size is known beforehand and whose compressed bytes are at hand as
// a whole, which is what the objects of a Git packfile are. Knowing both ends lets it do without a window, without
// states between calls and almost without checks of space inside the loop, and makes it several times faster than a
// decoder of streams. It also says how many bytes the stream took, which is how the entries of a packfile, whose
// compressed sizes stand nowhere, are told apart.
//
// The one idea: decode with tables indexed by the next bits of the input, refill 56 bits or more at a time, and go
// through a fast loop as long as neither input nor output is near its end; a slow loop that checks everything does the
// rest. It is plain Go with the bounds checks of the language.
//
// A Decoder accepts a subset of what is valid: a stream that it does not understand is ErrUnusual and is to be given to
// a general decoder, which also finds the reason if there is anything wrong. Checksums are left to the caller (Adler32).
//
// # Format
//
// From RFC 1950 (zlib) and RFC 1951 (deflate).
//
//	zlib     header(2) {block} adler32(4, big-endian)
//	header   low 4 bits 8 (deflate), high 4 bits window size; second byte makes the 16-bit number divisible by 31, its
//	         bit 5 announces a dictionary, which Git never uses
//	block    1 bit last, 2 bits kind: 0 stored, 1 fixed codes, 2 codes follow
//	stored   to the next byte boundary, then length(2) complement of length(2) bytes, little-endian
//	codes    5 bits literal/length codes - 257, 5 bits distance codes - 1, 4 bits precodes - 4, the precodes' lengths of
//	         3 bits each in a fixed odd order, then all code lengths in the precode, with runs
//	symbols  0-255 a byte, 256 the end of the block, 257-285 a length (3 to 258) followed by a distance (1 to 32768)
package inflate
