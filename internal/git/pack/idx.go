package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sort"

	"magpie/internal/git"
)

// errIdx says that an .idx file is of no use. The pack can be read without it.
var errIdx = errors.New("pack index does not fit its pack")

// idx is an .idx file: for each object of a pack its id and offset, sorted by id.
//
//	version 2  "\xfftOc" 2(4) fanout(256*4) ids crcs(4 each) offsets(4 each) large offsets(8 each) two hashes
//	version 1  fanout(256*4) {offset(4) id} two hashes
//
// The fanout says how many ids start with that byte or a lower one, so its last number is the count. An offset with its
// top bit set is the number of a large offset.
type idx struct {
	raw    []byte
	count  int
	size   int // of an id
	ids    int // where the first id is
	stride int // from id to id
	table  int // where the offsets of version 2 are; 0 in version 1
}

// openIdx finds its way in the bytes of an .idx file.
func openIdx(raw []byte, format git.Format) (*idx, error) {
	x := &idx{raw: raw, size: format.Size()}
	fanout := 0
	if bytes.HasPrefix(raw, []byte("\xfftOc\x00\x00\x00\x02")) {
		fanout = 8
	}
	if len(raw) < fanout+1024 {
		return nil, errIdx
	}
	count := int64(binary.BigEndian.Uint32(raw[fanout+1020:]))
	end := int64(len(raw)) - 2*int64(x.size)
	if fanout == 8 {
		x.ids, x.stride = fanout+1024, x.size
		table := int64(x.ids) + count*int64(x.size+4)
		if table+4*count > end {
			return nil, errIdx
		}
		x.table = int(table)
	} else {
		x.ids, x.stride = fanout+1024+4, x.size+4
		if int64(fanout+1024)+count*int64(x.stride) != end {
			return nil, errIdx
		}
	}
	x.count = int(count)
	return x, nil
}

// id returns the raw id of object i.
func (x *idx) id(i int) []byte { return x.raw[x.ids+i*x.stride:][:x.size] }

// offset returns where object i starts in the pack, or -1.
func (x *idx) offset(i int) int64 {
	if x.table == 0 {
		return int64(binary.BigEndian.Uint32(x.raw[x.ids+i*x.stride-4:]))
	}
	off := int64(binary.BigEndian.Uint32(x.raw[x.table+4*i:]))
	if off&(1<<31) == 0 {
		return off
	}
	at := int64(x.table) + 4*int64(x.count) + 8*(off&^(1<<31))
	if at+8 > int64(len(x.raw)-2*x.size) {
		return -1
	}
	return int64(binary.BigEndian.Uint64(x.raw[at:]) & (1<<63 - 1))
}

// find returns the offset of the object called id.
func (x *idx) find(id git.ID) (int64, bool) {
	want := id.Bytes()
	i := sort.Search(x.count, func(i int) bool { return bytes.Compare(x.id(i), want) >= 0 })
	if i == x.count || !bytes.Equal(x.id(i), want) {
		return 0, false
	}
	return x.offset(i), true
}

// loadIdx reads the .idx file at path.
func loadIdx(path string, format git.Format, limits Limits) (*idx, error) {
	raw, err := readWholeFile(path, limits.MaxObjects*48+1<<20)
	if err != nil {
		return nil, err
	}
	return openIdx(raw, format)
}

// readIdx makes the index of a pack of packSize bytes from its .idx file, which it returns too. The offsets are believed
// only as far as they fit: each object is checked when it is expanded, and named by the hash of its content.
func readIdx(path string, pack io.ReaderAt, packSize int64, format git.Format, limits Limits) (*index, *idx, error) {
	table, err := loadIdx(path, format, limits)
	if err != nil {
		return nil, nil, err
	}
	var head [12]byte
	if _, err := pack.ReadAt(head[:], 0); err != nil {
		return nil, nil, err
	}
	count := int64(binary.BigEndian.Uint32(head[8:]))
	if string(head[:4]) != "PACK" || count != int64(table.count) || count > limits.MaxObjects {
		return nil, nil, errIdx
	}
	x := &index{end: packSize - int64(format.Size())}
	offsets := make([]int64, table.count)
	for i := range offsets {
		offsets[i] = table.offset(i)
	}
	slices.Sort(offsets)
	if len(offsets) > 0 && (offsets[0] != int64(len(head)) || offsets[len(offsets)-1] >= x.end) {
		return nil, nil, errIdx
	}
	if len(slices.Compact(offsets)) != table.count {
		return nil, nil, errIdx
	}
	if err := x.readHeaders(pack, offsets, format); err != nil {
		return nil, nil, err
	}
	for i, id := range x.refs {
		if off, ok := table.find(id); ok {
			x.entries[i].base = x.find(off)
		}
	}
	return x, table, nil
}

// readHeaders adds the entries at the given offsets.
func (x *index) readHeaders(pack io.ReaderAt, offsets []int64, format git.Format) error {
	x.entries = make([]entry, 0, len(offsets))
	var buf [64]byte
	var r bytes.Reader
	for i, off := range offsets {
		n, err := pack.ReadAt(buf[:min(int64(len(buf)), x.end-off)], off)
		if n == 0 {
			return err
		}
		r.Reset(buf[:n])
		h, err := readHeader(&r, format)
		if err != nil {
			x.entries = append(x.entries, entry{off: off, base: absentBase})
			if x.bad == nil {
				x.bad = map[int32]error{}
			}
			x.bad[int32(i)] = err
			continue
		}
		x.add(off, h)
	}
	return nil
}

// readWholeFile reads a regular file of at most limit bytes.
func readWholeFile(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, errIdx
	}
	raw := make([]byte, info.Size())
	_, err = io.ReadFull(f, raw)
	return raw, err
}
