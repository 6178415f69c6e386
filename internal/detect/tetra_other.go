//go:build !amd64

package detect

// vectorised is about processors of other kinds.
const vectorised = false

func tetraAVX2(*byte, int, *uint64, *uint32) { panic("detect: not for this kind of processor") }
