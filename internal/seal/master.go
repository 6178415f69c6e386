// Package seal keeps secret values readable only with a key: it seals and opens them, and gives each a keyed fingerprint
// by which equal values are recognised without being readable.
//
// The idea: one master key, in a file or handed in, wraps a random data key per workspace; the data key, kept wrapped in
// the database, yields by HKDF-SHA256 a separate key for each purpose. So a copy of the database alone opens nothing, one
// purpose's key says nothing about another's, and changing the master key re-wraps 32 bytes and re-encrypts nothing.
//
// A sealed value is bytes:
//
//	offset  0  format version, 1
//	        1  purpose, one byte, so that a value sealed for one is not even tried with another's key
//	        2  key id, 4 bytes: which data key sealed it
//	        6  nonce, 12 random bytes
//	       18  AES-256-GCM ciphertext and its 16-byte tag
//
// The tag also covers the first 6 bytes and the additional data, which names table, column and row, so a sealed value
// moved to another place does not open. A wrapped data key has the same form under the master key.
//
// The package stores nothing but the master key file. It can't tell apart a modified value, a moved one and one sealed
// with another key of the same id; all are magpie.KindInvalid.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"magpie"
)

const (
	keySize = 32
	// wrapPurpose marks data keys under the master key. It is apart from all purposes of a data key.
	wrapPurpose = Purpose("wrap")
	wrapAAD     = "data key"
)

// Master is a master key. It wraps data keys and is used for nothing else. It prints as nothing readable.
type Master struct{ box *box }

// String hides the key.
func (*Master) String() string { return "master key" }

// GoString hides the key.
func (*Master) GoString() string { return "master key" }

// ParseMaster reads a master key as text: 32 bytes in hexadecimal or base64, with or without padding or white space
// around. The error says what is wrong and never shows the text.
func ParseMaster(text magpie.Secret) (*Master, error) {
	raw, err := decodeKey(bytes.TrimSpace(text.Reveal()))
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, raw, nil, "magpie master key: wrap data keys", keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the wrapping key: %w", err)
	}
	b, err := newBox(wrapPurpose, key, keyID(raw))
	if err != nil {
		return nil, err
	}
	return &Master{box: b}, nil
}

func decodeKey(text []byte) ([]byte, error) {
	var raw []byte
	var err error
	switch {
	case len(text) == hex.EncodedLen(keySize):
		raw = make([]byte, keySize)
		_, err = hex.Decode(raw, text)
	default:
		raw, err = base64.RawStdEncoding.DecodeString(string(bytes.TrimRight(text, "=")))
	}
	if err != nil || len(raw) != keySize {
		return nil, &magpie.Error{
			Kind:    magpie.KindInvalid,
			Message: "the master key is not 32 bytes in hexadecimal or base64",
			Hint:    "restore the key file from your backup; a new key (openssl rand -hex 32) can't open what the old one sealed",
		}
	}
	if bytes.Equal(raw, make([]byte, keySize)) {
		return nil, &magpie.Error{Kind: magpie.KindInvalid, Message: "the master key is all zeros", Hint: "make one with openssl rand -hex 32"}
	}
	return raw, nil
}

// LoadOrCreateMaster reads the master key file, or creates it (0600, its folder must exist) if there is none, and reports
// whether it did. A file that others may read, or that holds no key, is refused with a *magpie.Error. The caller decides
// whether a new key is acceptable: if there is sealed data already, Open tells that this key is the wrong one.
func LoadOrCreateMaster(path string) (m *Master, created bool, err error) {
	m, err = LoadMaster(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, false, err
	}
	switch err := createKeyFile(path); {
	case errors.Is(err, fs.ErrExist): // another process was faster
	case err != nil:
		return nil, false, fmt.Errorf("creating the master key file: %w", err)
	default:
		created = true
	}
	m, err = LoadMaster(path)
	return m, created, err
}

// LoadMaster reads the master key file. A missing file is fs.ErrNotExist.
func LoadMaster(path string) (*Master, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the master key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("examining the master key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &magpie.Error{Kind: magpie.KindInvalid, Message: fmt.Sprintf("the master key file %s is not a regular file", path)}
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, &magpie.Error{
			Kind:    magpie.KindInvalid,
			Message: fmt.Sprintf("the master key file %s may be read by others (mode %04o)", path, perm),
			Hint:    "chmod 600 " + path + "; if somebody may have read it, change the master key too",
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("reading the master key file: %w", err)
	}
	m, err := ParseMaster(magpie.NewSecret(text))
	if e, ok := errors.AsType[*magpie.Error](err); ok {
		e.Message = fmt.Sprintf("in the file %s: %s", path, e.Message)
	}
	return m, err
}

// createKeyFile writes a new key under a temporary name and links it into place, so that a crash leaves no half a key
// and a file that came to be meanwhile is not overwritten.
func createKeyFile(path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".master-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	_, err = fmt.Fprintf(tmp, "%x\n", key)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

// syncDir makes a new name in a folder survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}

// NewDataKey makes a random data key and returns it wrapped, the only form it is stored in.
func (m *Master) NewDataKey() ([]byte, error) {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails
	return m.box.seal(wrapAAD, raw)
}

// Open unwraps a data key. If it was wrapped under another master key, or changed, the error is of magpie.KindInvalid and
// says so; a program that gets it must not go on.
func (m *Master) Open(wrapped []byte) (*Keys, error) {
	raw, err := m.unwrap(wrapped)
	if err != nil {
		return nil, err
	}
	return newKeys(raw)
}

func (m *Master) unwrap(wrapped []byte) ([]byte, error) {
	raw, err := m.box.open(wrapAAD, wrapped)
	if err != nil || len(raw) != keySize {
		return nil, &magpie.Error{
			Kind:    magpie.KindInvalid,
			Message: "the master key does not fit this database: the data key stored in it does not open",
			Hint:    "use the master key file that belongs to this database; without it the sealed values are lost",
			Err:     err,
		}
	}
	return raw, nil
}

// Rewrap returns a data key, wrapped under one master key, wrapped under another. What it sealed stays as it is.
func Rewrap(from, to *Master, wrapped []byte) ([]byte, error) {
	raw, err := from.unwrap(wrapped)
	if err != nil {
		return nil, err
	}
	return to.box.seal(wrapAAD, raw)
}

// keyID returns four bytes that tell keys apart and tell nothing about them.
func keyID(raw []byte) [4]byte {
	id, err := hkdf.Key(sha256.New, raw, nil, "magpie key id", 4)
	if err != nil {
		panic("seal: deriving 4 bytes failed: " + err.Error()) // impossible: the length is in range
	}
	return [4]byte(id)
}

// box is AES-256-GCM under one key for one purpose.
type box struct {
	purpose byte
	id      [4]byte
	aead    cipher.AEAD
}

func newBox(p Purpose, key []byte, id [4]byte) (*box, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making a cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("making a cipher: %w", err)
	}
	return &box{purpose: purposes[p], id: id, aead: aead}, nil
}
