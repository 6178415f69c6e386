package detect

import "golang.org/x/sys/cpu"

// vectorised says that the processor can run teddyAVX2.
var vectorised = cpu.X86.HasAVX2

// teddyAVX2 sets in found, for each of the blocks of 32 bytes at text, the bits of the positions at which t has a
// candidate. It reads two bytes beyond the last block. There must be at least one block.
//
//go:noescape
func teddyAVX2(text *byte, blocks int, t *teddy, found *uint32)

// tetraAVX2 sets in found, for each of the blocks of 32 bytes at text, the bits of the positions at which a gram starts whose
// hash has its bit in the bitmap of tetragrams. It reads three bytes beyond the last block. There must be at least one block.
//
//go:noescape
func tetraAVX2(text *byte, blocks int, bitmap *uint64, found *uint32)
