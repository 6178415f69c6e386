package scan

import (
	"fmt"
	"io"
	"sync"

	"magpie"
)

// The steps of Room.
const (
	defaultReserve = 1 << 30
	roomStep       = 64 << 20 // bytes that a transfer of unknown size asks for at a time
)

// Room sees to it that packs on their way do not fill the disk. Each transfer claims what it expects to need before it
// starts, and what it needs beyond that before it writes it; the claims of all transfers count against what is free,
// of which a reserve stays untouched. It is safe for concurrent use.
type Room struct {
	dir     string
	reserve int64
	free    func(dir string) (int64, error)

	mu     sync.Mutex
	claims map[*claim]struct{}
}

// NewRoom returns the room in a folder, "" being the system's for temporary files. A reserve in bytes stays free; 0 is
// 1 GiB, and a negative one means none.
func NewRoom(dir string, reserve int64) *Room {
	if reserve == 0 {
		reserve = defaultReserve
	}
	return &Room{dir: dir, reserve: max(reserve, 0), free: freeSpace, claims: map[*claim]struct{}{}}
}

// NoSpaceError says that a pack was not fetched, or not to its end, because the disk would have become too full. It is the
// cause of a magpie.Error of kind KindUnavailable: there may be room later.
type NoSpaceError struct {
	Need    int64 // bytes, at least, beyond what is there of the pack
	Free    int64 // bytes on the disk, without what other transfers were promised
	Reserve int64 // bytes of that which must stay free
}

// Error implements error.
func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("%d bytes are needed, %d are free and %d of them kept", e.Need, e.Free, e.Reserve)
}

// claim is the room that one transfer was promised. A nil claim asks for nothing.
type claim struct {
	room    *Room
	granted int64 // bytes in all
	written int64 // bytes of it that are on the disk
}

// claim promises room for as many bytes as a transfer is expected to bring. The caller releases it.
func (r *Room) claim(expected int64) (*claim, error) {
	if r == nil {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &claim{room: r, granted: max(expected, roomStep)}
	r.claims[c] = struct{}{}
	if err := r.check(c); err != nil {
		delete(r.claims, c)
		return nil, err
	}
	return c, nil
}

// check fails if not all promises can be kept; r.mu is held.
func (r *Room) check(asking *claim) error {
	free, err := r.free(r.dir)
	if err != nil {
		return fmt.Errorf("looking at the free space for packs: %w", err)
	}
	for c := range r.claims {
		if c != asking {
			free -= max(c.granted-c.written, 0)
		}
	}
	need := max(asking.granted-asking.written, 0)
	if free-r.reserve >= need {
		return nil
	}
	return &magpie.Error{
		Kind:    magpie.KindUnavailable,
		Message: "the disk for temporary files is too full for what is to be fetched",
		Hint:    "it is tried again; make room there, or let temp_dir be a folder on a larger disk",
		Err:     &NoSpaceError{Need: need, Free: max(free, 0), Reserve: r.reserve},
	}
}

// take notes that n more bytes are to be written, and looks now and then whether there is still room.
func (c *claim) take(n int64) error {
	if c == nil {
		return nil
	}
	r := c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	looked := c.written / (roomStep / 4)
	c.written += n
	if c.written <= c.granted && c.written/(roomStep/4) == looked {
		return nil
	}
	c.granted = max(c.granted, c.written+roomStep)
	return r.check(c)
}

// spare notes that n more bytes are to be written, if there is room for them.
func (c *claim) spare(n int64) bool {
	if c == nil {
		return true
	}
	r := c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	before := *c
	c.written += n
	c.granted += n
	if r.check(c) != nil {
		*c = before
		return false
	}
	return true
}

// release ends a claim. It may be called more than once.
func (c *claim) release() {
	if c == nil {
		return
	}
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	delete(c.room.claims, c)
}

// reader returns r, which fails where there is no room for what it brings.
func (c *claim) reader(r io.Reader) io.Reader {
	if c == nil {
		return r
	}
	return claimedReader{c, r}
}

type claimedReader struct {
	claim *claim
	r     io.Reader
}

// Read implements io.Reader.
func (r claimedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 {
		if full := r.claim.take(int64(n)); full != nil {
			return 0, full
		}
	}
	return n, err
}
