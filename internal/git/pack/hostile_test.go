package pack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

func trySpool(t testing.TB, r io.Reader, limits pack.Limits) error {
	t.Helper()
	s, err := pack.Spool(context.Background(), r, t.TempDir(), git.SHA1, limits, nil)
	if err == nil {
		s.Close()
	}
	return err
}

func TestTruncatedEverywhere(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(9, 5)
	data := repo.Pack("--delta-base-offset")
	dir := t.TempDir()
	for n := range data {
		if n > 2000 && n%97 != 0 && n < len(data)-64 {
			continue
		}
		_, err := pack.Spool(context.Background(), bytes.NewReader(data[:n]), dir, git.SHA1, pack.Limits{}, nil)
		if where, ok := errors.AsType[*pack.Error](err); !errors.Is(err, pack.ErrTruncated) || !ok || where.Offset > int64(n) {
			t.Fatalf("cut after %d of %d bytes: got %v, want ErrTruncated", n, len(data), err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%d files were left behind", len(left))
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(9, 3)
	data := repo.Pack("--delta-base-offset")
	for i := range data[:min(len(data), 1500)] {
		broken := bytes.Clone(data)
		broken[i] ^= 0x11
		if err := trySpool(t, bytes.NewReader(broken), pack.Limits{}); err == nil {
			t.Fatalf("byte %d changed: no error", i)
		}
	}
}

func TestSpoolErrors(t *testing.T) {
	good := build(0, blob("one"), blob("two"))
	zeros := deflate(make([]byte, 8<<20))
	broken := errors.New("connection lost")
	for name, tc := range map[string]struct {
		in     io.Reader
		limits pack.Limits
		is     error
		kind   magpie.Kind
		text   string
	}{
		"empty":           {in: strings.NewReader(""), is: pack.ErrTruncated},
		"not a pack":      {in: strings.NewReader("<html>" + strings.Repeat("x", 100)), is: pack.ErrFormat},
		"version 9":       {in: strings.NewReader("PACK\x00\x00\x00\x09\x00\x00\x00\x00" + strings.Repeat("x", 20)), is: pack.ErrFormat},
		"garbage after":   {in: bytes.NewReader(append(bytes.Clone(good), 'x')), is: pack.ErrTrailing},
		"another pack":    {in: bytes.NewReader(append(bytes.Clone(good), good...)), is: pack.ErrTrailing},
		"wrong trailer":   {in: bytes.NewReader(append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1)), is: pack.ErrChecksum},
		"count too high":  {in: bytes.NewReader(build(3, blob("one"), blob("two"))), is: pack.ErrFormat},
		"count too low":   {in: bytes.NewReader(build(1, blob("one"), blob("two"))), is: pack.ErrTrailing},
		"count 2^32-1":    {in: bytes.NewReader(build(1<<32-1, blob("one"))), kind: magpie.KindTooLarge, text: "4294967295 objects"},
		"type 0":          {in: bytes.NewReader(build(0, raw{typ: 0, data: []byte("x")})), is: pack.ErrFormat, text: "type"},
		"type 5":          {in: bytes.NewReader(build(0, raw{typ: 5, data: []byte("x")})), is: pack.ErrFormat, text: "object 0"},
		"no zlib":         {in: bytes.NewReader(build(0, blob("one"), raw{typ: 3, zipped: []byte("nothing zipped")})), is: pack.ErrFormat, text: "object 1"},
		"size too small":  {in: bytes.NewReader(build(0, raw{typ: 3, size: 10, zipped: zeros})), is: pack.ErrFormat, text: "more than the 10"},
		"size too large":  {in: bytes.NewReader(build(0, raw{typ: 3, size: 1 << 40, data: []byte("x")})), is: pack.ErrFormat, text: "1 bytes"},
		"size overflow":   {in: bytes.NewReader(seal([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01" + strings.Repeat("\xff", 12)))), is: pack.ErrFormat},
		"distance beyond": {in: bytes.NewReader(seal([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x61" + strings.Repeat("\xff", 12)))), is: pack.ErrFormat},
		"pack too large":  {in: bytes.NewReader(build(0, raw{typ: 3, size: 8 << 20, zipped: zeros})), limits: pack.Limits{MaxPackBytes: 999}, kind: magpie.KindTooLarge, text: "999"},
		"reader fails":    {in: io.MultiReader(bytes.NewReader(good[:20]), iotest.ErrReader(broken)), is: broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := trySpool(t, tc.in, tc.limits)
			if err == nil || (tc.is != nil && !errors.Is(err, tc.is)) || magpie.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v (kind %q), want %v, kind %q, with %q", err, magpie.KindOf(err), tc.is, tc.kind, tc.text)
			}
			if _, ok := errors.AsType[*pack.Error](err); !ok {
				t.Errorf("got a %T, want a *pack.Error", err)
			}
		})
	}
}

func TestSpoolByteByByte(t *testing.T) {
	data := build(0, blob("one"), blob("two"))
	if err := trySpool(t, iotest.OneByteReader(bytes.NewReader(data)), pack.Limits{}); err != nil {
		t.Error(err)
	}
	if err := trySpool(t, iotest.DataErrReader(bytes.NewReader(data)), pack.Limits{}); err != nil {
		t.Error(err)
	}
}

// TestBrokenObjects walks packs in which some objects can't be had. The others must come, and those that don't must be
// reported with their reason.
func TestBrokenObjects(t *testing.T) {
	base := strings.Repeat("base ", 20)
	child := func(from raw, ops ...[]byte) raw {
		from.data = delta(100, 10, ops...)
		return from
	}
	ofs := func(to int64) raw { return raw{typ: ofsDelta, distance: to} }
	first := int64(len(blob(base).append(nil)))
	ref := func(id git.ID) raw { return raw{typ: refDelta, base: id} }
	ten := copyOp(0, 10)
	circleA, circleB := blobID("a"), blobID("b")
	for name, tc := range map[string]struct {
		entries []raw
		limits  pack.Limits
		want    []string
		reasons []git.Reason
	}{
		"good":               {entries: []raw{blob(base), child(ofs(first), ten)}, want: []string{base, base[:10]}},
		"empty object":       {entries: []raw{blob(""), blob("x")}, want: []string{"", "x"}},
		"delta of nothing":   {entries: []raw{blob(""), {typ: ofsDelta, distance: int64(len(blob("").append(nil))), data: delta(0, 1, insert("y"))}}, want: []string{"", "y"}},
		"delta to nothing":   {entries: []raw{blob(base), {typ: ofsDelta, distance: first, data: delta(100, 0)}}, want: []string{base, ""}},
		"same object twice":  {entries: []raw{blob("x"), blob("y"), blob("x")}, want: []string{"x", "y"}},
		"twice, with deltas": {entries: []raw{blob(base), blob(base), child(ref(blobID(base)), ten)}, want: []string{base, base[:10]}},
		"base after delta":   {entries: []raw{child(ref(blobID(base)), ten), blob(base)}, want: []string{base, base[:10]}},
		"chain by id, backwards": {entries: []raw{
			{typ: refDelta, base: blobID(base[:10]), data: delta(10, 3, copyOp(2, 3))}, child(ref(blobID(base)), ten), blob(base),
		}, want: []string{base, base[:10], base[2:5]}},
		"distance 0":         {entries: []raw{blob(base), child(ofs(0), ten)}, want: []string{base}, reasons: []git.Reason{git.ReasonMissingBase}},
		"distance too far":   {entries: []raw{blob(base), child(ofs(1<<30), ten)}, want: []string{base}, reasons: []git.Reason{git.ReasonMissingBase}},
		"into the middle":    {entries: []raw{blob(base), child(ofs(first-1), ten)}, want: []string{base}, reasons: []git.Reason{git.ReasonMissingBase}},
		"absent base":        {entries: []raw{blob(base), child(ref(blobID("no")), ten)}, want: []string{base}, reasons: []git.Reason{git.ReasonMissingBase}},
		"base is itself":     {entries: []raw{blob(base), child(ref(blobID(base[:10])), ten)}, want: []string{base}, reasons: []git.Reason{git.ReasonMissingBase}},
		"circle":             {entries: []raw{child(ref(circleA), ten), child(ref(circleB), ten)}, reasons: []git.Reason{git.ReasonMissingBase, git.ReasonMissingBase}},
		"base of other size": {entries: []raw{blob("x"), child(ref(blobID("x")), ten)}, want: []string{"x"}, reasons: []git.Reason{git.ReasonCorrupt}},
		"copy from outside":  {entries: []raw{blob(base), child(ofs(first), copyOp(91, 10))}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"copy from far away": {entries: []raw{blob(base), child(ofs(first), copyOp(1<<32-1, 10))}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"reserved":           {entries: []raw{blob(base), child(ofs(first), ten, []byte{0})}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"insert cut short":   {entries: []raw{blob(base), child(ofs(first), []byte{10, 'x'})}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"copy cut short":     {entries: []raw{blob(base), child(ofs(first), []byte{0xff, 0, 0})}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"result too short":   {entries: []raw{blob(base), child(ofs(first), copyOp(0, 9))}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"result too long":    {entries: []raw{blob(base), child(ofs(first), copyOp(0, 11))}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"no sizes":           {entries: []raw{blob(base), {typ: ofsDelta, distance: first, data: bytes.Repeat([]byte{0xff}, 20)}}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"empty delta":        {entries: []raw{blob(base), {typ: ofsDelta, distance: first}}, want: []string{base}, reasons: []git.Reason{git.ReasonCorrupt}},
		"too large": {
			entries: []raw{blob(base), blob("x"), child(ref(blobID(base)), ten)}, limits: pack.Limits{MaxObjectBytes: 50},
			want: []string{"x"}, reasons: []git.Reason{git.ReasonMissingBase, git.ReasonTooLarge},
		},
		"delta of too large": {
			entries: []raw{blob(base), child(ofs(first), ten), blob("x")}, limits: pack.Limits{MaxObjectBytes: 50},
			want: []string{"x"}, reasons: []git.Reason{git.ReasonSkippedBase, git.ReasonTooLarge},
		},
		"delta of broken": {
			entries: []raw{blob(base), child(ofs(first), []byte{0}), {typ: refDelta, base: blobID(base[:10]), data: delta(10, 1, insert("z"))}, blob("x")},
			want:    []string{base, "x"}, reasons: []git.Reason{git.ReasonCorrupt, git.ReasonMissingBase},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spool(t, build(0, tc.entries...), git.SHA1, tc.limits)
			var reasons []git.Reason
			got, report := collect(t, s, git.WalkOptions{Skipped: func(e *git.ObjectError) {
				reasons = append(reasons, e.Reason)
				if !slices.Contains(offsets(tc.entries...), e.Offset) {
					t.Errorf("skipped object at offset %d, where there is none", e.Offset)
				}
			}})
			slices.Sort(reasons)
			want := map[string]gittest.Object{}
			for _, w := range tc.want {
				want[blobID(w).String()] = gittest.Object{Kind: "blob", Data: []byte(w)}
			}
			compare(t, got, want)
			slices.Sort(tc.reasons)
			if !slices.Equal(reasons, tc.reasons) || report.Skipped != int64(len(tc.reasons)) {
				t.Errorf("skipped for %q, want %q: %v", reasons, tc.reasons, report.Why)
			}
		})
	}
}

// TestTooLargeIsNamed checks that the id of an object beyond the limit is still found out.
func TestTooLargeIsNamed(t *testing.T) {
	data := make([]byte, 3<<20)
	s := spool(t, build(0, raw{typ: 3, data: data}), git.SHA1, pack.Limits{MaxObjectBytes: 1 << 20})
	_, report := collect(t, s, git.WalkOptions{})
	want := git.NewHasher(git.SHA1).Sum(git.Blob, data)
	if report.Skipped != 1 || report.Why[0].ID != want || report.Why[0].Size != int64(len(data)) {
		t.Errorf("got %v, want %s", report.Why, want)
	}
}

// allocated runs f and returns how many bytes were reserved meanwhile, by whatever.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDeltaBombs has deltas that announce or build enormous results.
func TestDeltaBombs(t *testing.T) {
	t.Run("a million copies", func(t *testing.T) {
		base := strings.Repeat("b", 1<<16)
		ops := bytes.Repeat(copyOp(0, 1<<16), 1_000_000)
		s := spool(t, build(0, blob(base), raw{typ: refDelta, base: blobID(base), data: delta(1<<16, 1e6<<16, ops)}), git.SHA1, pack.Limits{})
		var report git.Report
		if n := allocated(func() { _, report = collect(t, s, git.WalkOptions{}) }); n > 64<<20 {
			t.Errorf("allocated %d bytes", n)
		}
		if report.Objects != 1 || report.Why[0].Reason != git.ReasonTooLarge {
			t.Errorf("got %+v", report)
		}
	})
	t.Run("doubling", func(t *testing.T) {
		entries := []raw{blob("0123456789abcdef")}
		for i := range 32 {
			n := int64(16) << i
			half := bytes.Repeat(copyOp(0, uint32(min(n, 1<<23))), int(max(1, n>>23)))
			last := entries[len(entries)-1].append(nil)
			entries = append(entries, raw{typ: ofsDelta, distance: int64(len(last)), data: delta(n, 2*n, half, half)})
		}
		s := spool(t, build(0, entries...), git.SHA1, pack.Limits{MaxObjectBytes: 8 << 20})
		_, report := collect(t, s, git.WalkOptions{})
		if report.Objects != 20 || report.Skipped != 13 {
			t.Errorf("got %d objects, %d skipped; want 20 and 13", report.Objects, report.Skipped)
		}
	})
	t.Run("many large results", func(t *testing.T) {
		base := strings.Repeat("b", 1<<20)
		entries := []raw{blob(base)}
		at := int64(len(entries[0].append(nil)))
		for i := range 400 {
			entries = append(entries, raw{typ: ofsDelta, distance: at, data: delta(1<<20, 1<<20+4, copyOp(0, 1<<20), insert(fmt.Sprintf("%04d", i)))})
			at += int64(len(entries[i+1].append(nil)))
		}
		s := spool(t, build(0, entries...), git.SHA1, pack.Limits{MaxExpansion: 1})
		report, err := s.Walk(context.Background(), git.WalkOptions{Skipped: func(e *git.ObjectError) {
			if e.Reason != git.ReasonBudget {
				t.Errorf("skipped for %q", e.Reason)
			}
		}}, func(int) git.Visitor { return func(git.Object) error { return nil } })
		if err != nil || report.Skipped < 100 || report.Bytes > 300<<20 {
			t.Errorf("got %v, %d skipped, %d bytes", err, report.Skipped, report.Bytes)
		}
	})
}

func TestLongChain(t *testing.T) {
	entries := []raw{blob("0")}
	text := "0"
	for i := 1; i <= 3050; i++ {
		last := entries[len(entries)-1].append(nil)
		next := fmt.Sprint(i)
		entries = append(entries, raw{
			typ: ofsDelta, distance: int64(len(last)), data: delta(int64(len(text)), int64(len(next)), insert(next)),
		})
		text = next
	}
	got, report := collect(t, spool(t, build(0, entries...), git.SHA1, pack.Limits{MaxDepth: 3000}), git.WalkOptions{})
	if len(got) != 3001 || report.Skipped != 50 || report.Why[0].Reason != git.ReasonTooDeep {
		t.Errorf("got %d objects, %d skipped; want 3001 and 50", len(got), report.Skipped)
	}
}

func TestVisitorErrorEndsWalk(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(9, 40)
	s := spool(t, repo.Pack(), git.SHA1, pack.Limits{})
	want := errors.New("enough")
	_, err := s.Walk(context.Background(), git.WalkOptions{}, func(int) git.Visitor { return func(git.Object) error { return want } })
	if !errors.Is(err, want) {
		t.Errorf("got %v, want the visitor's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = s.Walk(ctx, git.WalkOptions{}, func(int) git.Visitor { return func(git.Object) error { return nil } }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

// TestDamagedRepository breaks files of a repository on disk.
func TestDamagedRepository(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(9, 60)
	repo.Git("repack", "-adfq")
	repo.Feed([]byte("loose"), "hash-object", "-w", "--stdin")
	broken := strings.TrimSpace(string(repo.Feed([]byte("broken"), "hash-object", "-w", "--stdin")))
	whole := len(repo.Objects())
	path := filepath.Join(repo.Dir, "objects", broken[:2], broken[2:])
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("not zlib"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo.Dir, "objects/pack/pack-bad.pack"), []byte("not a pack"), 0o600); err != nil {
		t.Fatal(err)
	}
	packs, _ := filepath.Glob(filepath.Join(repo.Dir, "objects/pack/pack-*.pack"))
	for _, p := range packs {
		b, err := os.ReadFile(p)
		if err != nil || len(b) < 1000 {
			continue
		}
		b[len(b)/2] ^= 0xff
		os.Chmod(p, 0o600)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := pack.Open(repo.Dir, pack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, report := collect(t, r, git.WalkOptions{})
	if len(got)+int(report.Skipped) != whole+1 || report.Skipped < 3 {
		t.Errorf("got %d objects and %d skipped, want %d and at least 3: %v", len(got), report.Skipped, whole+1, report.Why)
	}
}
