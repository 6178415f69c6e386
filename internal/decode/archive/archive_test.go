package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// samples returns a container of each kind but bzip2, which nothing here writes.
func samples(t testing.TB, text string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for kind, open := range map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zlib": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
		"zip": func(w io.Writer) io.WriteCloser {
			z := zip.NewWriter(w)
			m, err := z.Create("../../etc/passwd")
			if err != nil {
				t.Fatal(err)
			}
			return member{m, z}
		},
		"tar": func(w io.Writer) io.WriteCloser {
			z := tar.NewWriter(w)
			if err := z.WriteHeader(&tar.Header{Name: "a", Size: int64(len(text))}); err != nil {
				t.Fatal(err)
			}
			return z
		},
	} {
		var b bytes.Buffer
		w := open(&b)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		all[kind] = b.Bytes()
	}
	all["bzip2"] = []byte("BZh91AY&SY\x94\x24\x7e\xdf\x00\x00\x01\x55\x80\x00\x10\x40\x00\x00\x40\x02\x25\x00\x20")
	return all
}

type member struct {
	io.Writer
	io.Closer
}

func TestWalk(t *testing.T) {
	text := strings.Repeat("one line and another\n", 1000)
	for kind, data := range samples(t, text) {
		if got := Detect(data); got != kind {
			t.Errorf("a %s is taken for %q", kind, got)
		}
		if kind == "bzip2" {
			continue
		}
		var got strings.Builder
		b := NewBudget(len(data))
		Walk(kind, data, &b, func(m Member) { got.Write(m.Data) }, func(why string) { t.Errorf("%s: %s", kind, why) })
		if got.String() != text {
			t.Errorf("%s gave %d bytes, want %d", kind, got.Len(), len(text))
		}
	}
}

func TestLongMembersComeInPieces(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3*pieceSize/16)
	data := samples(t, text)["gzip"]
	b := NewBudget(len(data))
	pieces, total := 0, 0
	Walk("gzip", data, &b, func(m Member) {
		if pieces, total = pieces+1, total+len(m.Data); len(m.Data) > pieceSize {
			t.Errorf("a piece of %d bytes", len(m.Data))
		}
	}, func(why string) { t.Error(why) })
	if want := len(text) + (pieces-1)*overlap; pieces < 3 || total != want {
		t.Errorf("%d pieces of %d bytes in all, want %d", pieces, total, want)
	}
}

func TestTextIsNoContainer(t *testing.T) {
	for _, text := range []string{"", "P", "PK", "BZh91 is what bzip2 begins with", "x^2 + y^2", "x\x9c", "package main\n", strings.Repeat("ustar", 200)} {
		if got := Detect([]byte(text)); got != "" {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

// foreign returns containers that Go has no writer for, as seeds.
func foreign(f *testing.F) [][]byte {
	one := entry{"a/b", "one line and another\n"}
	all := [][]byte{zipped64("#!", one), cpioed(one), oldCpio(one), binaryCpio(binary.BigEndian, one), rpmed(squeezed(f, cpioed(one)))}
	for _, data := range sevenZips(f) {
		all = append(all, data)
	}
	return append(all, tool(f, []byte(one.text), "xz", "-c"), tool(f, []byte(one.text), "xz", "-c", "-F", "lzma"))
}

// checkWalk walks a container with a small budget and expects no panic, no more than the budget, and places in the container.
func checkWalk(t *testing.T, kind string, data []byte) {
	b := Budget{Bytes: 1 << 20, Members: 100}
	total, members := 0, 0
	Walk(kind, data, &b, func(m Member) {
		total, members = total+len(m.Data), members+1
		if m.Start < 0 || m.End > len(data) || m.Start > m.End || m.Exact && m.End-m.Start != len(m.Data) {
			t.Errorf("%s: %d bytes at %d-%d of %d", m.Path, len(m.Data), m.Start, m.End, len(data))
		}
		for i := 0; i < len(m.Data); i += 1 + len(m.Data)/7 {
			if from, to := m.Place(i, min(len(m.Data), i+9)); from < 0 || to > len(data) || from > to {
				t.Errorf("%s: %d bytes from %d on are placed at %d-%d of %d", m.Path, len(m.Data), i, from, to, len(data))
			}
		}
	}, func(string) {})
	if members > 200 || total > 3<<20+100*len(data) {
		t.Errorf("%d members of %d bytes from %d", members, total, len(data))
	}
}

// FuzzWalk walks containers of all kinds.
func FuzzWalk(f *testing.F) {
	for _, data := range samples(f, "one line and another\n") {
		f.Add(data)
	}
	for _, data := range foreign(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if kind := Detect(data); kind != "" {
			checkWalk(t, kind, data)
		}
	})
}
