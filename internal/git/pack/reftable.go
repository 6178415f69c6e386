package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// errReftable says that a reftable makes no sense.
var errReftable = errors.New("not a valid reftable")

// maxReftable is the largest reftable that is read, in bytes; a million refs take about 60 MB.
const maxReftable = 1 << 30

// reftable is one table of a stack: refs sorted by name, in blocks. Indexes and logs, which follow them, are not needed
// to read all refs.
//
//	file    header {ref block} [other blocks] footer
//	header  "REFT" version(1, 1 or 2) block size(3) update indexes(16) [version 2: "sha1" or "s256"]
//	block   "r" length(3) {record} {restart(3)} restarts(2) [zeros up to the block size]
//	record  prefix suffix<<3|kind suffix.. update index, value   numbers have 7 bits a byte, high bits first, each
//	        continuation adding one; prefix is how many bytes of the name are those of the record before
//	value   kind 0 none, the ref was deleted; 1 an id; 2 an id, and the id of what that tag names; 3 length, target
//	footer  header, positions(40), CRC-32 of it(4)
//
// The first block's length counts from the start of the file. Block size 0 says that blocks follow one another closely.
type reftable struct {
	raw       []byte // up to the footer
	format    git.Format
	blockSize int
	header    int // its size
}

// openReftable checks a reftable as a whole.
func openReftable(raw []byte) (*reftable, error) {
	if len(raw) < 24 || string(raw[:4]) != "REFT" {
		return nil, errReftable
	}
	t := &reftable{header: 24, blockSize: int(binary.BigEndian.Uint32(raw[4:]) & 0xffffff)}
	switch raw[4] {
	case 1:
	case 2:
		t.header = 28
		if len(raw) < t.header {
			return nil, errReftable
		}
		switch id := string(raw[24:28]); id {
		case "sha1":
		case "s256":
			t.format = git.SHA256
		default:
			return nil, fmt.Errorf("%w: hash %q is not known", errReftable, id)
		}
	default:
		return nil, fmt.Errorf("%w: version %d is not known", errReftable, raw[4])
	}
	end := len(raw) - t.header - 44
	if end < t.header {
		return nil, errReftable
	}
	footer := raw[end:]
	if !bytes.Equal(footer[:t.header], raw[:t.header]) {
		return nil, fmt.Errorf("%w: header and footer differ", errReftable)
	}
	sum := len(footer) - 4
	if crc32.ChecksumIEEE(footer[:sum]) != binary.BigEndian.Uint32(footer[sum:]) {
		return nil, fmt.Errorf("%w: the checksum of the footer is wrong", errReftable)
	}
	t.raw = raw[:end]
	return t, nil
}

// each calls visit with every ref of the table, in the order of their names; a deleted one has neither hash nor target.
func (t *reftable) each(visit func(Ref)) error {
	for start := 0; ; {
		head := start
		if start == 0 {
			head = t.header
		}
		if len(t.raw)-head < 4 || t.raw[head] != 'r' {
			return nil // the refs end here
		}
		length := int(binary.BigEndian.Uint32(t.raw[head:]) & 0xffffff)
		if start+length > len(t.raw) || start+length < head+6 {
			return fmt.Errorf("%w: the block at %d goes beyond its end", errReftable, start)
		}
		if err := t.block(t.raw[head+4:start+length], visit); err != nil {
			return fmt.Errorf("%w, in the block at %d", err, start)
		}
		start = t.next(start, length)
	}
}

// next returns where the block after the one at start begins. A writer may leave out the padding of an aligned file's
// block, which the bytes behind it tell: padding is zero, and no block starts so.
func (t *reftable) next(start, length int) int {
	end := start + length
	if length < t.blockSize && (end >= len(t.raw) || t.raw[end] == 0) {
		return start + t.blockSize
	}
	return end
}

// block reads the records of one block.
func (t *reftable) block(b []byte, visit func(Ref)) error {
	restarts := int(binary.BigEndian.Uint16(b[len(b)-2:]))
	records := len(b) - 2 - 3*restarts
	if records < 0 {
		return errReftable
	}
	r := tableReader{rest: b[:records]}
	var name []byte
	for len(r.rest) > 0 && !r.failed {
		prefix, suffix := r.number(), r.number()
		kind := suffix & 7
		if prefix > uint64(len(name)) {
			return errReftable
		}
		name = append(name[:prefix], r.bytes(suffix>>3)...)
		r.number() // when it was last updated
		ref := Ref{Name: string(name)}
		switch kind {
		case 0:
		case 1:
			ref.Hash = r.id(t.format)
		case 2:
			ref.Hash = r.id(t.format)
			r.id(t.format)
		case 3:
			ref.Target = string(r.bytes(r.number()))
		default:
			return fmt.Errorf("%w: a record of kind %d", errReftable, kind)
		}
		if r.failed || len(name) == 0 || kind == 3 && ref.Target == "" {
			return errReftable
		}
		visit(ref)
	}
	if r.failed {
		return errReftable
	}
	return nil
}

// tableReader reads parts of a record one after the other. After a failure it gives zeros.
type tableReader struct {
	rest   []byte
	failed bool
}

// number reads a number of variable length.
func (r *tableReader) number() uint64 {
	n, err := readDistance(r)
	if err != nil {
		r.failed = true
		return 0
	}
	return uint64(n)
}

// ReadByte implements io.ByteReader.
func (r *tableReader) ReadByte() (byte, error) {
	b := r.bytes(1)
	if r.failed {
		return 0, errReftable
	}
	return b[0], nil
}

// bytes reads n bytes, which are part of the table.
func (r *tableReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// id reads an object id.
func (r *tableReader) id(format git.Format) magpie.Hash {
	return git.IDFromBytes(r.bytes(uint64(format.Size()))).Hash()
}

// maxTables is how many tables a stack may have. Git keeps it to the logarithm of the number of refs.
const maxTables = 10_000

// readStack reads the tables of a stack, of which later ones override earlier ones, into refs. A table that can't be
// read hides what it says, which the error tells; the others are read all the same. A stack that is not there is empty.
func readStack(dir string, format git.Format, add func(Ref)) error {
	var trouble error
	// Git merges tables at any time, and a table that is gone then stands in a newer list.
	for range 5 {
		list, err := readSmall(filepath.Join(dir, "tables.list"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		refs := map[string]Ref{}
		trouble = readTables(dir, strings.Fields(string(list)), format, refs)
		if !errors.Is(trouble, fs.ErrNotExist) {
			for _, ref := range refs {
				add(ref)
			}
			return trouble
		}
	}
	return trouble
}

func readTables(dir string, names []string, format git.Format, refs map[string]Ref) error {
	if len(names) > maxTables {
		return fmt.Errorf("%s: a stack of %d tables", dir, len(names))
	}
	var troubles []error
	for _, name := range names {
		if name != filepath.Base(name) {
			return fmt.Errorf("%w: table %q is not in its folder", errReftable, name)
		}
		if err := readTable(filepath.Join(dir, name), format, refs); err != nil {
			troubles = append(troubles, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(troubles...)
}

// readTable adds what one table says to refs.
func readTable(path string, format git.Format, refs map[string]Ref) error {
	raw, err := readWholeFile(path, maxReftable)
	if err != nil {
		return err
	}
	t, err := openReftable(raw)
	if err != nil {
		return err
	}
	if t.format != format {
		return fmt.Errorf("%w: its ids are %s", errReftable, t.format)
	}
	return t.each(func(ref Ref) {
		if ref.Hash == "" && ref.Target == "" {
			delete(refs, ref.Name)
			return
		}
		refs[ref.Name] = ref
	})
}
