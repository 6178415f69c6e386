package pack

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"magpie/internal/git"
	"magpie/internal/git/gittest"
)

// FuzzDelta checks that a delta that passes the check can be carried out and gives what it announces.
func FuzzDelta(f *testing.F) {
	f.Add([]byte("base text"), []byte("\x09\x05\x90\x05"))
	f.Add([]byte("base text"), []byte("\x09\x08\x90\x05\x03abc"))
	f.Add([]byte(""), []byte("\x00\x00"))
	f.Add([]byte("x"), []byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		baseSize, size, ops, err := deltaSizes(delta)
		if err != nil || baseSize != int64(len(base)) || checkDelta(ops, baseSize, size) != nil || size > 1<<24 {
			return
		}
		if got, _ := applyDelta(make([]byte, 0, size), base, ops, nil); int64(len(got)) != size {
			t.Errorf("got %d bytes, want %d", len(got), size)
		}
	})
}

// FuzzPack checks that no pack makes the reader panic, hang or eat memory, and that what it hands out has the right id.
// The trailer is put right, so that the fuzzer gets past it.
func FuzzPack(f *testing.F) {
	for _, args := range [][]string{{"--delta-base-offset"}, {}, {"--depth=0"}} {
		repo := gittest.New(f, "sha1")
		repo.Generate(1, 6)
		data := repo.Pack(args...)
		f.Add(data[:len(data)-20])
	}
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00"))
	dir := f.TempDir()
	limits := Limits{MaxObjectBytes: 1 << 20, MaxPackBytes: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := git.SHA1.New()
		h.Write(data)
		s, err := Spool(context.Background(), bytes.NewReader(h.Sum(data)), dir, git.SHA1, limits, nil)
		if err != nil {
			return
		}
		defer s.Close()
		hasher := git.NewHasher(git.SHA1)
		report, err := s.Walk(context.Background(), git.WalkOptions{Workers: 1}, func(int) git.Visitor {
			return func(o git.Object) error {
				if hasher.Sum(o.Kind, o.Data) != o.ID || len(o.Data) > 1<<20 {
					t.Errorf("object %s of %d bytes is not what it says", o.ID, len(o.Data))
				}
				return nil
			}
		})
		if err != nil || report.Objects+report.Skipped > int64(s.Objects()) {
			t.Errorf("got %+v, %v for %d entries", report, err, s.Objects())
		}
	})
}

// FuzzIdx checks that an .idx file can say what it wants without harm.
func FuzzIdx(f *testing.F) {
	repo := gittest.New(f, "sha1")
	repo.Generate(1, 6)
	repo.Git("repack", "-adq")
	packs, _ := filepath.Glob(filepath.Join(repo.Dir, "objects/pack/*.pack"))
	data, err := os.ReadFile(packs[0])
	if err != nil {
		f.Fatal(err)
	}
	idx, err := os.ReadFile(packs[0][:len(packs[0])-len(".pack")] + ".idx")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(idx)
	f.Add(idx[:1100])
	path := filepath.Join(f.TempDir(), "fuzzed.idx")
	limits := Limits{MaxObjectBytes: 1 << 20}.withDefaults()
	f.Fuzz(func(t *testing.T, idx []byte) {
		if err := os.WriteFile(path, idx, 0o600); err != nil {
			t.Fatal(err)
		}
		x, _, err := readIdx(path, bytes.NewReader(data), int64(len(data)), git.SHA1, limits)
		if err != nil {
			return
		}
		p := newPackFile(bytes.NewReader(data), x, git.SHA1, limits)
		g, err := p.prepare(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		run := newRun(context.Background(), git.WalkOptions{Workers: 1}, func(int) git.VersionVisitor {
			return func(*git.Version) (any, error) { return nil, nil }
		})
		run.walkPack(p, g)
		if _, err := run.finish(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzMidx checks that a multi-pack-index can say what it wants without harm.
func FuzzMidx(f *testing.F) {
	repo := gittest.New(f, "sha1")
	repo.Generate(1, 6)
	repo.Git("repack", "-adq")
	repo.Git("multi-pack-index", "write")
	raw, err := os.ReadFile(filepath.Join(repo.Dir, "objects/pack/multi-pack-index"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:100])
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := openMidx(raw, "packs", git.SHA1)
		if err != nil {
			return
		}
		var id [20]byte
		for b := range 256 {
			id[0] = byte(b)
			midxs{m}.elsewhere(id[:], "packs/x.pack")
		}
		for i := range min(m.count, 100) {
			midxs{m}.elsewhere(m.ids[20*i:][:20], "packs/x.pack")
		}
	})
}

// FuzzBundleHeader checks that no header makes the reader panic or hang.
func FuzzBundleHeader(f *testing.F) {
	id := "0123456789012345678901234567890123456789"
	f.Add([]byte("# v2 git bundle\n-" + id + " why\n" + id + " refs/heads/main\n\nPACK"))
	f.Add([]byte("# v3 git bundle\n@object-format=sha1\n@filter=blob:none\n" + id + " HEAD\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readBundleHeader(bufio.NewReaderSize(bytes.NewReader(data), maxBundleLine))
		if err == nil && (h.size > int64(len(data)) || data[h.size-1] != '\n') {
			t.Errorf("a header of %d bytes in %d", h.size, len(data))
		}
	})
}
