package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"magpie"
)

// Purpose names what a value is sealed for. Each has its own key.
type Purpose string

// The purposes of sealing.
const (
	Evidence    Purpose = "evidence"    // values found in repositories
	Credentials Purpose = "credentials" // our own: access tokens, webhook secrets, passwords of outside systems
)

// purposes gives each purpose its byte in a sealed value. Values never change meaning.
var purposes = map[Purpose]byte{wrapPurpose: 0, Evidence: 1, Credentials: 2}

const (
	version    = 1
	headerSize = 6
	nonceSize  = 12
	tagSize    = 16
	prefixSize = headerSize + nonceSize
)

// Overhead is by how many bytes a sealed value is longer than the value.
const Overhead = prefixSize + tagSize

// Keys are the keys of one workspace, opened from its wrapped data key. They are safe for concurrent use and print as
// nothing readable.
type Keys struct {
	boxes       map[Purpose]*box
	fingerprint []byte
}

// String hides the keys.
func (*Keys) String() string { return "keys" }

// GoString hides the keys.
func (*Keys) GoString() string { return "keys" }

func newKeys(raw []byte) (*Keys, error) {
	derive := func(name string) ([]byte, error) {
		return hkdf.Key(sha256.New, raw, nil, "magpie data key: "+name, keySize)
	}
	k := &Keys{boxes: map[Purpose]*box{}}
	for _, p := range []Purpose{Evidence, Credentials} {
		key, err := derive(string(p))
		if err != nil {
			return nil, fmt.Errorf("deriving the key for %s: %w", p, err)
		}
		if k.boxes[p], err = newBox(p, key, keyID(raw)); err != nil {
			return nil, err
		}
	}
	var err error
	if k.fingerprint, err = derive("fingerprints"); err != nil {
		return nil, fmt.Errorf("deriving the key for fingerprints: %w", err)
	}
	return k, nil
}

// AAD names the place of a sealed value. The parts must not contain "|".
func AAD(table, column, row string) string { return strings.Join([]string{table, column, row}, "|") }

// Seal encrypts a value for one purpose and one place (AAD). Sealing the same value twice gives different bytes.
func (k *Keys) Seal(purpose Purpose, aad string, plain magpie.Secret) ([]byte, error) {
	b, ok := k.boxes[purpose]
	if !ok {
		return nil, fmt.Errorf("sealing for the unknown purpose %q", purpose)
	}
	return b.seal(aad, plain.Reveal())
}

// Open decrypts a value sealed for the same purpose and place. Anything else is an error of magpie.KindInvalid.
func (k *Keys) Open(purpose Purpose, aad string, sealed []byte) (magpie.Secret, error) {
	b, ok := k.boxes[purpose]
	if !ok {
		return magpie.Secret{}, fmt.Errorf("opening for the unknown purpose %q", purpose)
	}
	plain, err := b.open(aad, sealed)
	if err != nil {
		return magpie.Secret{}, &magpie.Error{
			Kind: magpie.KindInvalid, Message: "a sealed value does not open: it was changed, moved, or sealed with another key", Err: err,
		}
	}
	return magpie.NewSecret(plain), nil
}

// Fingerprint returns the HMAC-SHA256 of a value in hexadecimal. It depends on the value alone and not on what detected
// it, so one secret is one incident; and on the key, so a stolen database can't be searched by trying values.
func (k *Keys) Fingerprint(value magpie.Secret) string {
	return hex.EncodeToString(sum(k.fingerprint, value.Reveal()))
}

func sum(key, data []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return mac.Sum(nil)
}

func (b *box) header() []byte {
	return append([]byte{version, b.purpose}, b.id[:]...)
}

// additional binds the header and the place, in an unambiguous form since the header has a fixed length.
func (b *box) additional(aad string) []byte { return append(b.header(), aad...) }

func (b *box) seal(aad string, plain []byte) ([]byte, error) {
	out := make([]byte, prefixSize, prefixSize+len(plain)+tagSize)
	copy(out, b.header())
	if _, err := rand.Read(out[headerSize:]); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	return b.aead.Seal(out, out[headerSize:prefixSize], plain, b.additional(aad)), nil
}

func (b *box) open(aad string, sealed []byte) ([]byte, error) {
	switch {
	case len(sealed) < Overhead:
		return nil, errors.New("too short for a sealed value")
	case sealed[0] != version:
		return nil, fmt.Errorf("format version %d is not known", sealed[0])
	case sealed[1] != b.purpose:
		return nil, errors.New("sealed for another purpose")
	case !bytes.Equal(sealed[2:headerSize], b.id[:]):
		return nil, fmt.Errorf("sealed with key %x, not %x", sealed[2:headerSize], b.id)
	}
	return b.aead.Open(nil, sealed[headerSize:prefixSize], sealed[prefixSize:], b.additional(aad))
}
