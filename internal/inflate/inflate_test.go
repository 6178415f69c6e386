package inflate_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	kzlib "github.com/klauspost/compress/zlib"

	"magpie/internal/inflate"
)

// texts are contents of many kinds and sizes.
func texts() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 70_000)
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}
	words := func(n int) []byte {
		var b bytes.Buffer
		for b.Len() < n {
			fmt.Fprintf(&b, "%s line %d of %x\n", []string{"if", "return", "the quick", "func"}[rnd.IntN(4)], rnd.IntN(90), rnd.IntN(1<<rnd.IntN(30)))
		}
		return b.Bytes()[:n]
	}
	skewed := make([]byte, 50_000) // codewords of all lengths
	for i := range skewed {
		for skewed[i] < 255 && rnd.IntN(2) == 0 {
			skewed[i]++
		}
	}
	all := map[string][]byte{
		"empty": {}, "one byte": {'x'}, "random": random, "skewed": skewed,
		"one byte often": bytes.Repeat([]byte{'a'}, 100_000), "two bytes often": bytes.Repeat([]byte("ab"), 1000),
		"period 7": bytes.Repeat([]byte("abcdefg"), 999), "period 16": bytes.Repeat([]byte("0123456789abcdef"), 99),
		"random twice": append(bytes.Clone(random[:30_000]), random[:30_000]...),
	}
	for _, n := range []int{2, 3, 10, 50, 255, 256, 257, 300, 1000, 5000, 32_768, 65_536, 300_000} {
		all[fmt.Sprint("words ", n)] = words(n)
	}
	return all
}

func compress(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExpandsWhatOthersCompressed(t *testing.T) {
	var d inflate.Decoder
	for name, data := range texts() {
		for _, level := range []int{zlib.HuffmanOnly, zlib.NoCompression, 1, 6, 9} {
			streams := [][]byte{compress(t, data, level)}
			var b bytes.Buffer
			w, err := kzlib.NewWriterLevel(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(data[:len(data)/2])
			_ = w.Flush() // an empty stored block in the middle
			_, _ = w.Write(data[len(data)/2:])
			_ = w.Close()
			for _, stream := range append(streams, b.Bytes()) {
				for _, slack := range []int{0, 100, inflate.Slack} {
					for _, behind := range []int{0, 1, 100} {
						if len(data) > 40_000 && (slack == 100 || behind == 1) {
							continue
						}
						dst := make([]byte, len(data), len(data)+slack)
						src := append(bytes.Clone(stream), make([]byte, behind)...)
						n, err := d.Zlib(dst, src)
						if err != nil || n != len(stream) || !bytes.Equal(dst, data) {
							t.Fatalf("%s at level %d, %d bytes of slack, %d behind: took %d of %d bytes, equal: %t, error %v",
								name, level, slack, behind, n, len(stream), bytes.Equal(dst, data), err)
						}
						if !inflate.Adler32(dst, src, n) {
							t.Errorf("%s at level %d: the checksum differs", name, level)
						}
					}
				}
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	var d inflate.Decoder
	data := texts()["words 1000"]
	stream := compress(t, data, 6)
	for n := range len(stream) {
		if _, err := d.Zlib(make([]byte, len(data), len(data)+inflate.Slack), stream[:n]); err == nil {
			t.Errorf("a stream cut after %d bytes of %d was accepted", n, len(stream))
		}
	}
	for _, size := range []int{0, 1, len(data) - 1, len(data) + 1, len(data) + 200} {
		if _, err := d.Zlib(make([]byte, size, size+2*inflate.Slack), stream); !errors.Is(err, inflate.ErrSize) {
			t.Errorf("asked for %d bytes where there are %d: error %v, want ErrSize", size, len(data), err)
		}
	}
	for _, head := range []string{"", "x", "\x78\x9d", "\x79\x9c", "\x78\xbb", "\xf8\x01"} {
		if _, err := d.Zlib(nil, []byte(head)); err == nil {
			t.Errorf("header %x was accepted", head)
		}
	}
}

// TestAgreesOnDamage changes single bytes: whatever is accepted then must be what the standard library makes of it.
func TestAgreesOnDamage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, data := range texts() {
		stream := compress(t, data, 6)
		for range 2_000_000 / (len(data) + 20_000) {
			damaged := bytes.Clone(stream)
			damaged[rnd.IntN(len(damaged))] ^= 1 << rnd.IntN(8)
			agree(t, name, damaged, len(data))
		}
	}
}

// agree fails if we accept a stream that the standard library refuses or expands to something else. The checksum, which
// we leave to the caller, is compared as well.
func agree(t *testing.T, name string, stream []byte, size int) {
	t.Helper()
	var d inflate.Decoder
	dst := make([]byte, size, size+inflate.Slack)
	n, err := d.Zlib(dst, stream)
	if err != nil {
		return
	}
	sum := inflate.Adler32(dst, stream, n)
	r, err := zlib.NewReader(bytes.NewReader(stream[:n]))
	if err != nil {
		t.Fatalf("%s: accepted, but the standard library says %v", name, err)
	}
	want, err := io.ReadAll(r)
	if (err == nil) != sum || !bytes.Equal(want, dst) {
		t.Fatalf("%s: expanded %d bytes (checksum fits: %t); the standard library %d bytes, error %v", name, len(dst), sum, len(want), err)
	}
}

func FuzzZlib(f *testing.F) {
	for _, data := range texts() {
		if len(data) < 4000 {
			f.Add(compress(f, data, 6), len(data))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		if size >= 0 && size <= 1<<20 {
			agree(t, "input", stream, size)
			// With the right size, if there is one, we must not be stricter than needed either way around.
			if r, err := zlib.NewReader(bytes.NewReader(stream)); err == nil {
				if data, err := io.ReadAll(io.LimitReader(r, 1<<20)); err == nil {
					agree(t, "input", stream, len(data))
				}
			}
		}
	})
}

func BenchmarkZlib(b *testing.B) {
	for _, name := range []string{"words 50", "words 300", "words 5000", "words 300000", "skewed"} {
		data := texts()[name]
		stream := compress(b, data, 6)
		b.Run(name+"/ours", func(b *testing.B) {
			var d inflate.Decoder
			dst := make([]byte, len(data), len(data)+inflate.Slack)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := d.Zlib(dst, stream); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/klauspost", func(b *testing.B) {
			dst := make([]byte, len(data))
			r, err := kzlib.NewReader(bytes.NewReader(stream))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			in := bytes.NewReader(stream)
			for b.Loop() {
				in.Reset(stream)
				if err := r.(kzlib.Resetter).Reset(in, nil); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
