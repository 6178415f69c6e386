package scan

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"magpie"
)

// disk is a disk of a given size, of which some is used.
type disk struct {
	mu   sync.Mutex
	free int64
}

func (d *disk) room(reserve int64) *Room {
	r := NewRoom("", reserve)
	r.free = func(string) (int64, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.free, nil
	}
	return r
}

func (d *disk) write(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free -= n
}

const mib = 1 << 20

func isFull(err error) bool {
	_, ok := errors.AsType[*NoSpaceError](err)
	return ok && magpie.KindOf(err) == magpie.KindUnavailable
}

func TestRoomCountsAllClaims(t *testing.T) {
	d := &disk{free: 1000 * mib}
	r := d.room(100 * mib)
	first, err := r.claim(500 * mib)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.claim(500 * mib); !isFull(err) {
		t.Errorf("a second claim of 500 MiB on 900: got %v", err)
	}
	second, err := r.claim(400 * mib)
	if err != nil {
		t.Errorf("a claim of what is left: %v", err)
	}
	second.release()
	second.release()
	// What is written is no claim any more: the disk says that it is used.
	d.write(300 * mib)
	if err := first.take(300 * mib); err != nil {
		t.Fatal(err)
	}
	if _, err := r.claim(400 * mib); err != nil {
		t.Errorf("300 of 500 MiB are written, and 400 of the other 400 are refused: %v", err)
	}
}

func TestRoomEndsTransfersBeforeTheDiskIsFull(t *testing.T) {
	d := &disk{free: 300 * mib}
	r := d.room(100 * mib)
	c, err := r.claim(0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.release()
	for {
		if err = c.take(mib); err != nil {
			break
		}
		d.write(mib)
	}
	if !isFull(err) || d.free < 100*mib || d.free > 200*mib {
		t.Errorf("it ends with %v and %d MiB free; 100 are to stay free, and little more", err, d.free/mib)
	}
	if full, _ := errors.AsType[*NoSpaceError](err); full.Reserve != 100*mib {
		t.Errorf("the error says %v", full)
	}
}

// TestRoomNoticesOthers has something else fill the disk during a transfer that is within its claim.
func TestRoomNoticesOthers(t *testing.T) {
	d := &disk{free: 2000 * mib}
	c, err := d.room(100 * mib).claim(1500 * mib)
	if err != nil {
		t.Fatal(err)
	}
	d.write(1900 * mib)
	for range 64 {
		if err = c.take(mib); err != nil {
			break
		}
	}
	if !isFull(err) {
		t.Errorf("got %v", err)
	}
}

func TestRoomOfConcurrentTransfers(t *testing.T) {
	d := &disk{free: 2000 * mib}
	r := d.room(200 * mib)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c, err := r.claim(100 * mib)
			if err != nil {
				return
			}
			defer c.release()
			for range 500 {
				if c.take(mib) != nil {
					return
				}
				d.write(mib)
			}
		})
	}
	all.Wait()
	if d.free < 200*mib {
		t.Errorf("%d MiB are left of a reserve of 200", d.free/mib)
	}
	if len(r.claims) != 0 {
		t.Errorf("%d claims are left", len(r.claims))
	}
}

func TestClaimedReader(t *testing.T) {
	var none *claim
	if b, err := io.ReadAll(none.reader(strings.NewReader("pack"))); err != nil || string(b) != "pack" {
		t.Errorf("got %q, %v", b, err)
	}
	none.release()
	d := &disk{free: 200 * mib}
	c, err := d.room(100 * mib).claim(0)
	if err != nil {
		t.Fatal(err)
	}
	d.write(100 * mib)
	if _, err := io.Copy(io.Discard, c.reader(bytes.NewReader(make([]byte, 100*mib)))); !isFull(err) {
		t.Errorf("got %v", err)
	}
}

func TestFreeSpace(t *testing.T) {
	if n, err := freeSpace(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := freeSpace("/does/not/exist"); err == nil {
		t.Error("a folder that does not exist has space")
	}
}
