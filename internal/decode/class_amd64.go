package decode

import "golang.org/x/sys/cpu"

// vectorised says that the processor can run classAVX2.
var vectorised = cpu.X86.HasAVX2

// classAVX2 sets in found, for each of the blocks of 32 bytes at text, the bits of the bytes that are in t's class. There
// must be at least one block.
//
//go:noescape
func classAVX2(text *byte, blocks int, t *classTables, found *uint32)
