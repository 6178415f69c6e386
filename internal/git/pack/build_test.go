package pack_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"sync"

	"magpie/internal/git"
)

// raw is an entry for a hand-made pack, right or wrong.
type raw struct {
	typ      uint8
	data     []byte
	size     int64  // announced; 0 is the length of data
	distance int64  // for type 6
	base     git.ID // for type 7
	zipped   []byte // instead of data, packed
}

const (
	ofsDelta = 6
	refDelta = 7
)

// build makes a pack. count 0 stands for the number of entries.
func build(count uint32, entries ...raw) []byte {
	if count == 0 {
		count = uint32(len(entries))
	}
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count)
	for _, e := range entries {
		b = e.append(b)
	}
	return seal(b)
}

// seal adds the trailer.
func seal(b []byte) []byte {
	h := git.SHA1.New()
	h.Write(b)
	return h.Sum(b)
}

// append adds the entry to a pack.
func (e raw) append(b []byte) []byte {
	size := e.size
	if size == 0 {
		size = int64(len(e.data))
	}
	c := e.typ<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, c|0x80)
		c = byte(size & 0x7f)
	}
	b = append(b, c)
	switch e.typ {
	case ofsDelta:
		b = appendDistance(b, e.distance)
	case refDelta:
		b = append(b, e.base.Bytes()...)
	}
	if e.zipped != nil {
		return append(b, e.zipped...)
	}
	return append(b, deflate(e.data)...)
}

// writers are reused, because each is large.
var writers = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}

func deflate(data []byte) []byte {
	var z bytes.Buffer
	if len(data) < 1000 {
		w, _ := zlib.NewWriterLevel(&z, zlib.NoCompression)
		w.Write(data)
		w.Close()
		return z.Bytes()
	}
	w := writers.Get().(*zlib.Writer)
	defer writers.Put(w)
	w.Reset(&z)
	w.Write(data)
	w.Close()
	return z.Bytes()
}

func appendDistance(b []byte, d int64) []byte {
	var buf [10]byte
	i := len(buf) - 1
	buf[i] = byte(d & 0x7f)
	for d >>= 7; d > 0; d >>= 7 {
		d--
		i--
		buf[i] = 0x80 | byte(d&0x7f)
	}
	return append(b, buf[i:]...)
}

// offsets returns where each entry starts in build's result.
func offsets(entries ...raw) []int64 {
	var offs []int64
	at := int64(12)
	for _, e := range entries {
		offs = append(offs, at)
		at += int64(len(e.append(nil)))
	}
	return offs
}

func varint(n int64) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// delta puts a delta together.
func delta(base, result int64, ops ...[]byte) []byte {
	return append(append(varint(base), varint(result)...), bytes.Join(ops, nil)...)
}

func insert(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// copyOp copies size bytes from off; size must be below 1<<24.
func copyOp(off, size uint32) []byte {
	return []byte{0xff, byte(off), byte(off >> 8), byte(off >> 16), byte(off >> 24), byte(size), byte(size >> 8), byte(size >> 16)}
}

func blob(s string) raw { return raw{typ: 3, data: []byte(s)} }

func blobID(s string) git.ID { return git.NewHasher(git.SHA1).Sum(git.Blob, []byte(s)) }
