package lzma_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"magpie/internal/decode/lzma"
)

// packed runs xz with the given arguments on text.
func packed(t testing.TB, text []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("xz", append([]string{"-c"}, args...)...)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("xz is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// texts are of the kinds that make use of all kinds of symbols.
func texts() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var prose strings.Builder
	words := strings.Fields("the quick brown fox jumps over lazy dog and then some more of it in every line of the file")
	for prose.Len() < 300<<10 {
		fmt.Fprintf(&prose, "%s %d %s ", words[r.IntN(len(words))], r.IntN(1000), words[r.IntN(len(words))])
	}
	return map[string][]byte{
		"empty": {},
		"short": []byte("one line\n"),
		"zeros": make([]byte, 700<<10),
		"noise": noise,
		"prose": []byte(prose.String()),
		"mixed": append(append([]byte(prose.String()[:50_000]), noise...), prose.String()...),
	}
}

func open(kind string, data []byte, limit int) (io.Reader, error) {
	if kind == "lzma" {
		return lzma.NewReader(bytes.NewReader(data), limit)
	}
	return lzma.NewXZ(bytes.NewReader(data), limit)
}

func TestExpandsWhatXZPacks(t *testing.T) {
	for name, text := range texts() {
		for _, args := range []string{
			"-F xz", "-F xz -9e", "-F xz -0 --check=crc32", "-F xz --check=sha256 --block-size=65536", "-F xz --check=none --lzma2=dict=4KiB",
			"-F xz --lzma2=preset=6,lc=1,lp=3,pb=1", "-F xz --delta=dist=3 --lzma2=preset=3", "-F xz --x86 --lzma2=preset=1", "-F lzma", "-F lzma -9e",
			"-F lzma --lzma1=dict=4KiB,lc=0,lp=4,pb=0",
		} {
			t.Run(name+" "+args, func(t *testing.T) {
				data := packed(t, text, strings.Fields(args)...)
				r, err := open(strings.Fields(args)[1], data, lzma.MaxWindow)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(args, "x86") && name != "noise" && name != "mixed" || !strings.Contains(args, "x86") {
					if !bytes.Equal(got, text) {
						t.Errorf("%d bytes differ from the %d packed", len(got), len(text))
					}
				}
			})
		}
	}
}

func TestStreamsMayFollowOneAnother(t *testing.T) {
	one := packed(t, []byte("one "))
	data := append(append(append([]byte{}, one...), 0, 0, 0, 0, 0, 0, 0, 0), packed(t, []byte("two"))...)
	r, err := open("xz", data, lzma.MaxWindow)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "one two" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	r, err = open("xz", bytes.Repeat(packed(t, nil), 20_000), lzma.MaxWindow)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); len(got) > 0 || err != nil {
		t.Errorf("empty streams gave %q, %v", got, err)
	}
}

func TestDamageIsToldAndWhatCameBeforeIsKept(t *testing.T) {
	text := texts()["prose"]
	data := packed(t, text, "-9")
	changed := bytes.Clone(data)
	changed[len(changed)/2] ^= 1
	check := bytes.Clone(packed(t, []byte("short")))
	check[24+3+1] ^= 1
	for name, tt := range map[string]struct {
		data  []byte
		limit int
		want  error
	}{
		"cut off":        {data[:len(data)/2], lzma.MaxWindow, io.ErrUnexpectedEOF},
		"changed":        {changed, lzma.MaxWindow, nil},
		"changed inside": {check, lzma.MaxWindow, lzma.ErrChecksum},
		"small window":   {append(bytes.Clone(data), 0)[:len(data)], 1 << 10, lzma.ErrWindow},
		"more behind it": {append(bytes.Clone(data), "text"...), lzma.MaxWindow, io.ErrUnexpectedEOF},
	} {
		r, err := open("xz", tt.data, tt.limit)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(r)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if name == "cut off" && (len(got) < len(text)/4 || !bytes.HasPrefix(text, got)) {
			t.Errorf("%s: %d bytes of %d came out, or others", name, len(got), len(text))
		}
	}
}

// TestMemoryFollowsWhatComesOut opens a stream of few bytes that asks for a window of 4 GiB.
func TestMemoryFollowsWhatComesOut(t *testing.T) {
	data := packed(t, []byte("short"), "-F", "lzma")
	binary.LittleEndian.PutUint32(data[1:], 1<<32-1)
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			r, err := open("lzma", data, lzma.MaxWindow)
			if err != nil {
				b.Fatal(err)
			}
			if got, err := io.ReadAll(r); string(got) != "short" || err != nil {
				b.Fatalf("got %q, %v", got, err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<20 {
		t.Errorf("%d bytes were allocated for 5", allocated)
	}
}

// FuzzXZ and FuzzLZMA expect no panic and no end that does not come.
func FuzzXZ(f *testing.F) {
	f.Add(packed(f, []byte("one line and another\n")))
	f.Add(packed(f, texts()["prose"][:5000], "--delta=dist=3", "--lzma2=preset=3"))
	f.Fuzz(func(t *testing.T, data []byte) { drain(t, "xz", data) })
}

func FuzzLZMA(f *testing.F) {
	f.Add(packed(f, texts()["prose"][:5000], "-F", "lzma"))
	f.Fuzz(func(t *testing.T, data []byte) { drain(t, "lzma", data) })
}

func drain(t *testing.T, kind string, data []byte) {
	r, err := open(kind, data, 1<<16)
	if err != nil {
		return
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, 1<<17))
	if err == nil && n == 0 && len(data) > 1<<10 && kind == "lzma" && binary.LittleEndian.Uint64(data[5:]) != 0 {
		t.Errorf("nothing came out of %d bytes, and no error", len(data))
	}
}

func BenchmarkXZ(b *testing.B) {
	text := texts()["prose"]
	data := packed(b, text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r, err := open("xz", data, lzma.MaxWindow)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
