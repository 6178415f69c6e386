//go:build !amd64

package detect

// vectorised is about processors of other kinds.
const vectorised = false

func teddyAVX2(*byte, int, *teddy, *uint32) { panic("detect: not for this kind of processor") }
