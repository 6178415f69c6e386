package pack

import (
	"errors"
	"fmt"

	"magpie"
)

// Limits bounds what a pack may cost. In each field zero stands for the default.
type Limits struct {
	// MaxPackBytes is the largest size of a pack; default 64 GiB.
	MaxPackBytes int64
	// MaxObjects is the largest number of objects in a pack; default 100 million. About 50 bytes of memory go to each.
	MaxObjects int64
	// MaxObjectBytes is the largest expanded size of an object that is handed out; larger ones are skipped and reported.
	// Default 512 MiB.
	MaxObjectBytes int64
	// MaxDepth is the largest number of deltas on top of each other; default 10,000 (git itself makes at most 4095).
	MaxDepth int
	// MaxExpansion bounds the sum of all expanded bytes of a walk, to this many times the size of the pack plus 256 MiB;
	// what comes after is skipped and reported. Default 4096. Well packed histories reach some hundreds.
	MaxExpansion int64
	// MaxRetained is the memory in bytes that a walk keeps for delta bases it will need again, in addition to the objects
	// it is working on; beyond it, bases are expanded again. Default 128 MiB.
	MaxRetained int64
	// Scratch, if not nil, is asked by Spool whether it may write n bytes more to the disk beside the pack itself. Without
	// them walks take longer.
	Scratch func(n int64) bool
}

// withDefaults fills in the defaults.
func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.MaxPackBytes, 64<<30)
	set(&l.MaxObjects, 100_000_000)
	set(&l.MaxObjectBytes, 512<<20)
	set(&l.MaxExpansion, 4096)
	set(&l.MaxRetained, 128<<20)
	if l.MaxDepth <= 0 {
		l.MaxDepth = 10_000
	}
	// Positions in an object are held as int.
	l.MaxObjectBytes = min(l.MaxObjectBytes, 1<<31-1)
	l.MaxObjects = min(l.MaxObjects, 1<<31-1)
	return l
}

// The ways in which a pack as a whole can be wrong. They are found with errors.Is in what Spool and Open return.
var (
	ErrFormat    = errors.New("not a valid packfile")
	ErrTruncated = errors.New("packfile ends too early")
	ErrChecksum  = errors.New("packfile does not match its checksum")
	ErrTrailing  = errors.New("packfile has data after its end")
)

// Error says where in a pack something was wrong.
type Error struct {
	Offset int64 // in bytes from the start of the pack
	Object int64 // which object, from 0; -1 if it is not about one
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Object >= 0 {
		return fmt.Sprintf("packfile at offset %d, object %d: %v", e.Offset, e.Object, e.Err)
	}
	return fmt.Sprintf("packfile at offset %d: %v", e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// tooLarge returns the error for a pack beyond a limit, for people.
func tooLarge(format string, args ...any) error {
	e := magpie.Errorf(magpie.KindTooLarge, format, args...)
	e.Hint = "raise the limit if the repository is meant to be this large"
	return e
}
