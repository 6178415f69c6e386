package detect

import "golang.org/x/sys/cpu"

// vectorised says that the processor can run tetraAVX2.
var vectorised = cpu.X86.HasAVX2

// tetraAVX2 sets in found, for each of the blocks of 32 bytes at text, the bits of the positions at which a gram starts whose
// hash has its bit in the bitmap of a prefilter. It reads three bytes beyond the last block. There must be at least one block.
//
//go:noescape
func tetraAVX2(text *byte, blocks int, bitmap *uint64, found *uint32)
