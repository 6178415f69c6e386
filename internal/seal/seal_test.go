package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"magpie"
)

// testMaster returns a master key made of one repeated byte.
func testMaster(t testing.TB, b byte) *Master {
	t.Helper()
	m, err := ParseMaster(magpie.NewSecret(hex.EncodeToString(bytes.Repeat([]byte{b}, keySize))))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testKeys(t testing.TB) *Keys {
	t.Helper()
	m := testMaster(t, 1)
	wrapped, err := m.NewDataKey()
	if err != nil {
		t.Fatal(err)
	}
	k, err := m.Open(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedOpens(t *testing.T) {
	t.Parallel()
	k := testKeys(t)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "plain")
		aad := rapid.String().Draw(t, "aad")
		purpose := rapid.SampledFrom([]Purpose{Evidence, Credentials}).Draw(t, "purpose")
		sealed, err := k.Seal(purpose, aad, magpie.NewSecret(plain))
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(plain)+Overhead {
			t.Errorf("%d bytes sealed, want %d", len(sealed), len(plain)+Overhead)
		}
		if len(plain) > 8 && bytes.Contains(sealed, plain) {
			t.Error("the sealed value holds the plain one")
		}
		got, err := k.Open(purpose, aad, sealed)
		if err != nil || !bytes.Equal(got.Reveal(), plain) {
			t.Errorf("opened to %x, %v, want %x", got.Reveal(), err, plain)
		}
	})
}

func TestEveryBitFlipFails(t *testing.T) {
	t.Parallel()
	k := testKeys(t)
	aad := AAD("incidents", "secret", "0192")
	for n := range 20 {
		sealed, err := k.Seal(Evidence, aad, magpie.NewSecret(strings.Repeat("s", n*3)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(sealed) * 8 {
			changed := bytes.Clone(sealed)
			changed[i/8] ^= 1 << (i % 8)
			if _, err := k.Open(Evidence, aad, changed); magpie.KindOf(err) != magpie.KindInvalid {
				t.Fatalf("bit %d of %d flipped: got %v, want KindInvalid", i, len(sealed)*8, err)
			}
		}
		for i := range sealed {
			if _, err := k.Open(Evidence, aad, sealed[:i]); magpie.KindOf(err) != magpie.KindInvalid {
				t.Fatalf("cut to %d bytes: got %v, want KindInvalid", i, err)
			}
		}
	}
}

func TestMovedValuesDoNotOpen(t *testing.T) {
	t.Parallel()
	k, other := testKeys(t), testKeys(t)
	aad := AAD("incidents", "secret", "1")
	sealed, err := k.Seal(Evidence, aad, magpie.NewSecret("value"))
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{
		AAD("incidents", "secret", "2"), AAD("incidents", "token", "1"), AAD("integrations", "secret", "1"), "", aad + "|", aad[:len(aad)-1],
	} {
		if _, err := k.Open(Evidence, place, sealed); magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("at %q: got %v, want KindInvalid", place, err)
		}
	}
	if _, err := k.Open(Credentials, aad, sealed); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("for another purpose: got %v, want KindInvalid", err)
	}
	// Relabelling does not help either: the key is another one.
	relabelled := bytes.Clone(sealed)
	relabelled[1] = purposes[Credentials]
	if _, err := k.Open(Credentials, aad, relabelled); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("relabelled: got %v, want KindInvalid", err)
	}
	if _, err := other.Open(Evidence, aad, sealed); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("with another data key: got %v, want KindInvalid", err)
	}
}

func TestUnknownPurpose(t *testing.T) {
	t.Parallel()
	k := testKeys(t)
	for _, p := range []Purpose{"", "other", wrapPurpose} {
		if _, err := k.Seal(p, "", magpie.Secret{}); err == nil {
			t.Errorf("sealed for %q", p)
		}
		if _, err := k.Open(p, "", make([]byte, 100)); err == nil {
			t.Errorf("opened for %q", p)
		}
	}
}

func TestNoncesDiffer(t *testing.T) {
	t.Parallel()
	k := testKeys(t)
	seen := map[string]bool{}
	for range 100_000 {
		sealed, err := k.Seal(Evidence, "", magpie.Secret{})
		if err != nil {
			t.Fatal(err)
		}
		nonce := string(sealed[headerSize:prefixSize])
		if seen[nonce] {
			t.Fatal("a nonce came twice")
		}
		seen[nonce] = true
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	k, other := testKeys(t), testKeys(t)
	a, b := magpie.NewSecret("value-a"), magpie.NewSecret("value-b")
	if k.Fingerprint(a) != k.Fingerprint(magpie.NewSecret("value-a")) {
		t.Error("equal values have different fingerprints")
	}
	if k.Fingerprint(a) == k.Fingerprint(b) {
		t.Error("different values have one fingerprint")
	}
	if k.Fingerprint(a) == other.Fingerprint(a) {
		t.Error("the fingerprint does not depend on the key")
	}
	if got := k.Fingerprint(a); len(got) != 64 || strings.Trim(got, "0123456789abcdef") != "" {
		t.Errorf("fingerprint %q, want 64 lower-case hexadecimal digits", got)
	}
}

func TestKeysAreTheSameAfterOpeningAgain(t *testing.T) {
	t.Parallel()
	m := testMaster(t, 1)
	wrapped, err := m.NewDataKey()
	if err != nil {
		t.Fatal(err)
	}
	first, err := m.Open(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	second, err := testMaster(t, 1).Open(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	value := magpie.NewSecret("value")
	if first.Fingerprint(value) != second.Fingerprint(value) {
		t.Error("fingerprints changed")
	}
	sealed, _ := first.Seal(Credentials, "x", value)
	if got, err := second.Open(Credentials, "x", sealed); err != nil || string(got.Reveal()) != "value" {
		t.Errorf("got %v, want the value", err)
	}
}

func TestWrongMasterKeyIsNoticed(t *testing.T) {
	t.Parallel()
	wrapped, err := testMaster(t, 1).NewDataKey()
	if err != nil {
		t.Fatal(err)
	}
	_, err = testMaster(t, 2).Open(wrapped)
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok || e.Kind != magpie.KindInvalid || !strings.Contains(e.Message, "master key does not fit") || e.Hint == "" {
		t.Errorf("got %#v, want KindInvalid that says so", err)
	}
	for i := range len(wrapped) * 8 {
		changed := bytes.Clone(wrapped)
		changed[i/8] ^= 1 << (i % 8)
		if _, err := testMaster(t, 1).Open(changed); magpie.KindOf(err) != magpie.KindInvalid {
			t.Fatalf("bit %d flipped: got %v, want KindInvalid", i, err)
		}
	}
}

func TestRewrap(t *testing.T) {
	t.Parallel()
	from, to := testMaster(t, 1), testMaster(t, 2)
	wrapped, err := from.NewDataKey()
	if err != nil {
		t.Fatal(err)
	}
	before, err := from.Open(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := before.Seal(Evidence, "x", magpie.NewSecret("value"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Rewrap(from, to, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	after, err := to.Open(again)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(Evidence, "x", sealed); err != nil || string(got.Reveal()) != "value" {
		t.Errorf("after the change of master key: got %v, want the value", err)
	}
	if _, err := from.Open(again); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("the old master key still opens: %v", err)
	}
	if _, err := Rewrap(to, from, wrapped); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("Rewrap from the wrong key: got %v, want KindInvalid", err)
	}
}

func TestParseMaster(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xfb, 0x01}, keySize/2)
	m := testMaster(t, 1)
	wrapped := map[string]string{
		"hex":                    hex.EncodeToString(raw),
		"upper-case hex":         strings.ToUpper(hex.EncodeToString(raw)),
		"hex with line break":    hex.EncodeToString(raw) + "\n",
		"base64":                 base64.StdEncoding.EncodeToString(raw),
		"base64 without padding": base64.RawStdEncoding.EncodeToString(raw) + "\r\n",
	}
	var first *Master
	for name, text := range wrapped {
		got, err := ParseMaster(magpie.NewSecret(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if first == nil {
			first = got
		}
		if got.box.id != first.box.id || got.box.id == m.box.id {
			t.Errorf("%s: reads as another key", name)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "short hex": hex.EncodeToString(raw[:31]), "long hex": hex.EncodeToString(raw) + "00",
		"short base64": base64.StdEncoding.EncodeToString(raw[:16]), "words": "correct horse battery staple",
		"64 characters": strings.Repeat("z", 64), "zeros": strings.Repeat("0", 64),
	} {
		_, err := ParseMaster(magpie.NewSecret(text))
		if magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("%s: got %v, want KindInvalid", name, err)
		}
		if text != "" && strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := LoadMaster(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v, want fs.ErrNotExist", err)
	}
	first, created, err := LoadOrCreateMaster(path)
	if err != nil || !created {
		t.Fatalf("created = %v, %v, want true", created, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o600 {
		t.Errorf("mode %v, want -rw-------", got)
	}
	second, created, err := LoadOrCreateMaster(path)
	if err != nil || created || second.box.id != first.box.id {
		t.Errorf("again: created = %v, %v, want the same key", created, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files left, %v, want 1", len(entries), err)
	}
}

func TestKeyFileIsCreatedOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	var mu sync.Mutex
	ids, births := map[[4]byte]bool{}, 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m, created, err := LoadOrCreateMaster(path)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			ids[m.box.id] = true
			if created {
				births++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || births != 1 {
		t.Errorf("%d keys, created %d times, want one and once", len(ids), births)
	}
}

func TestKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("1f", keySize)
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
		message       string
	}{
		{"group may read", key, 0o640, "may be read by others"},
		{"world may read", key, 0o604, "may be read by others"},
		{"world may write", key, 0o602, "may be read by others"},
		{"empty", "", 0o600, "not 32 bytes"},
		{"too short", key[:62], 0o600, "not 32 bytes"},
		{"too long", strings.Repeat(key, 100), 0o600, "not 32 bytes"},
	} {
		path := filepath.Join(t.TempDir(), "master.key")
		if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tc.mode); err != nil {
			t.Fatal(err)
		}
		_, _, err := LoadOrCreateMaster(path)
		e, ok := errors.AsType[*magpie.Error](err)
		if !ok || e.Kind != magpie.KindInvalid || !strings.Contains(e.Message, tc.message) || !strings.Contains(e.Message, path) {
			t.Errorf("%s: got %v, want KindInvalid about %q and the file", tc.name, err, tc.message)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != tc.content {
			t.Errorf("%s: the file was changed", tc.name)
		}
	}
	if _, _, err := LoadOrCreateMaster(t.TempDir()); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("a folder: got %v, want KindInvalid", err)
	}
}

func TestNothingPrintsKeys(t *testing.T) {
	t.Parallel()
	m, k := testMaster(t, 0xab), testKeys(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{m, k} {
			if got := fmt.Sprintf(format, v); strings.Contains(got, "171") || strings.Contains(got, "[") || strings.Contains(got, "abab") {
				t.Errorf("%s prints %q", format, got)
			}
		}
	}
}
