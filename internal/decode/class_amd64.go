package decode

import "golang.org/x/sys/cpu"

// vectorised says that the processor can run classAVX2.
var vectorised = cpu.X86.HasAVX2

// classAVX2 sets in found, for each of the blocks of 32 bytes at text, the bits of the bytes that are in t's class. There
// must be at least one block.
//
//go:noescape
func classAVX2(text *byte, blocks int, t *classTables, found *uint32)

// pairsAVX2 sets in found, for each of the blocks of 32 bytes at text, the bits of the bytes that are the first of a pair of t.
// There must be at least one block, and a byte behind the last.
//
//go:noescape
func pairsAVX2(text *byte, blocks int, t *pairTables, found *uint32)
