package git

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the object id of most repositories, not a security decision of ours
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"

	"magpie"
)

// Format is a repository's object format: the hash function that names its objects.
type Format uint8

// The two object formats. The zero Format is SHA1.
const (
	SHA1 Format = iota
	SHA256
)

// Size returns the length of a raw object id in bytes.
func (f Format) Size() int {
	if f == SHA256 {
		return sha256.Size
	}
	return sha1.Size
}

// New returns the hash function of the format.
func (f Format) New() hash.Hash {
	if f == SHA256 {
		return sha256.New()
	}
	return sha1.New() //nolint:gosec // see the import
}

// String returns Git's name for the format.
func (f Format) String() string {
	if f == SHA256 {
		return "sha256"
	}
	return "sha1"
}

// ParseFormat returns the format that Git calls name; the empty name is SHA1, as where a server names none.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "", "sha1":
		return SHA1, nil
	case "sha256":
		return SHA256, nil
	}
	return 0, fmt.Errorf("object format %q is not known", name)
}

// ID is an object id in a compact, comparable form for use inside the engines; magpie.Hash is its form everywhere
// else. The zero ID names no object.
type ID struct {
	n   uint8 // bytes of raw in use: 0, 20 or 32
	raw [sha256.Size]byte
}

// IDFromBytes returns the id whose raw form is b. It is zero if b has neither 20 nor 32 bytes.
func IDFromBytes(b []byte) ID {
	var id ID
	if len(b) == sha1.Size || len(b) == sha256.Size {
		id.n = uint8(len(b))
		copy(id.raw[:], b)
	}
	return id
}

// ParseID returns the id whose hexadecimal form is h. Both cases are accepted.
func ParseID[T ~string | ~[]byte](h T) (ID, error) {
	var id ID
	if len(h) != 2*sha1.Size && len(h) != 2*sha256.Size {
		return ID{}, fmt.Errorf("object id of %d digits, want 40 or 64", len(h))
	}
	for i := 0; i < len(h); i += 2 {
		hi, lo := unhex[h[i]], unhex[h[i+1]]
		if hi|lo > 15 {
			return ID{}, fmt.Errorf("object id %.64q is not hexadecimal", string(h))
		}
		id.raw[i/2] = hi<<4 | lo
	}
	id.n = uint8(len(h) / 2)
	return id, nil
}

// unhex maps a hexadecimal digit to its value and everything else to 255.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c], t[bytes.ToUpper([]byte{c})[0]] = byte(i), byte(i)
	}
	return t
}()

// IsZero reports whether id names no object: it is the zero ID, or all its bytes are zero.
func (id ID) IsZero() bool { return id.raw == [sha256.Size]byte{} }

// Format returns the object format id belongs to.
func (id ID) Format() Format {
	if id.n == sha256.Size {
		return SHA256
	}
	return SHA1
}

// Bytes returns the raw id. The slice is a copy.
func (id ID) Bytes() []byte { return append([]byte(nil), id.raw[:id.n]...) }

// Hash returns id in hexadecimal, the form used outside the engines; the zero ID gives the empty Hash.
func (id ID) Hash() magpie.Hash { return magpie.Hash(hex.EncodeToString(id.raw[:id.n])) }

// String returns id in hexadecimal.
func (id ID) String() string { return string(id.Hash()) }

// Compare orders ids by their raw bytes.
func (id ID) Compare(other ID) int { return bytes.Compare(id.raw[:id.n], other.raw[:other.n]) }

// Shard returns a number from 0 to 255 that spreads ids evenly.
func (id ID) Shard() uint8 { return id.raw[0] }

// Hasher computes object ids and reuses its state between them. It is not safe for concurrent use.
type Hasher struct {
	h       hash.Hash
	scratch [sha256.Size]byte
}

// NewHasher returns a Hasher for format f.
func NewHasher(f Format) *Hasher { return &Hasher{h: f.New()} }

// Sum returns the id of the object with the given kind and content.
func (h *Hasher) Sum(kind Kind, content []byte) ID {
	h.Start(kind, int64(len(content)))
	h.h.Write(content)
	return h.Finish()
}

// Start begins an object whose content of size bytes follows by Write. It is for content too large to hold.
func (h *Hasher) Start(kind Kind, size int64) {
	h.h.Reset()
	head := append(h.scratch[:0], kind.String()...)
	head = append(head, ' ')
	head = strconv.AppendInt(head, size, 10)
	h.h.Write(append(head, 0))
}

// Write adds content after Start. It never fails.
func (h *Hasher) Write(p []byte) (int, error) { return h.h.Write(p) }

// Finish returns the id of what was written since Start.
func (h *Hasher) Finish() ID { return IDFromBytes(h.h.Sum(h.scratch[:0])) }
