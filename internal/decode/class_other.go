//go:build !amd64

package decode

// vectorised is about processors of other kinds.
const vectorised = false

func classAVX2(*byte, int, *classTables, *uint32) { panic("decode: not for this kind of processor") }

func pairsAVX2(*byte, int, *pairTables, *uint32) { panic("decode: not for this kind of processor") }
