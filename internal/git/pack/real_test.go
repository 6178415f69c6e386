package pack_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

// bigRepo returns the repository named by MAGPIE_TEST_REPO, or else a generated one of n commits.
func bigRepo(t testing.TB, n int) *gittest.Repo {
	if dir := os.Getenv("MAGPIE_TEST_REPO"); dir != "" {
		return gittest.At(t, dir)
	}
	repo := gittest.New(t, "sha1")
	repo.Generate(99, n)
	repo.Git("repack", "-adfq", "--depth=50", "--window=20")
	return repo
}

// TestRealRepository compares the ids of all objects with git. An id is a hash over kind and content, so the right set
// of ids means that every byte was right.
func TestRealRepository(t *testing.T) {
	repo := bigRepo(t, 150)
	want := map[string]string{}
	for line := range strings.Lines(repo.Git("cat-file", "--batch-all-objects", "--unordered", "--batch-check")) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		want[id] = rest
	}
	r, err := pack.Open(repo.Dir, pack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan [2]string, 1000)
	start := time.Now()
	var report git.Report
	go func() {
		defer close(got)
		report, err = r.Walk(context.Background(), git.WalkOptions{}, func(int) git.Visitor {
			return func(o git.Object) error {
				got <- [2]string{o.ID.String(), fmt.Sprintf("%s %d", o.Kind, len(o.Data))}
				return nil
			}
		})
	}()
	n := 0
	for g := range got {
		n++
		if want[g[0]] != g[1] {
			t.Errorf("%s: got %s, want %s", g[0], g[1], want[g[0]])
		}
	}
	if err != nil || n != len(want) || report.Skipped != 0 {
		t.Errorf("got %d objects, want %d; error %v, skipped %v", n, len(want), err, report.Why)
	}
	t.Logf("%d objects, %d bytes in %v", n, report.Bytes, time.Since(start))
}

// TestSpoolRealPack spools the packs of the repository as if they came from a server.
func TestSpoolRealPack(t *testing.T) {
	repo := bigRepo(t, 150)
	paths, err := filepath.Glob(filepath.Join(repo.Dir, "objects/pack/*.pack"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no packs in %s: %v", repo.Dir, err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		start := time.Now()
		s, err := pack.Spool(context.Background(), f, t.TempDir(), git.SHA1, pack.Limits{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		spooled := time.Since(start)
		report, err := s.Walk(context.Background(), git.WalkOptions{}, func(int) git.Visitor {
			return func(git.Object) error { return nil }
		})
		if err != nil || report.Skipped != 0 || report.Objects != int64(s.Objects()) {
			t.Errorf("got %d of %d objects; error %v, skipped %v", report.Objects, s.Objects(), err, report.Why)
		}
		t.Logf("%d bytes spooled in %v, %d objects of %d bytes walked in %v",
			s.Size(), spooled, report.Objects, report.Bytes, time.Since(start)-spooled)
	}
}

// BenchmarkWalk walks all objects of a spooled pack; BenchmarkSpool takes it in.
func BenchmarkWalk(b *testing.B) {
	data := bigRepo(b, 1500).Pack("--delta-base-offset")
	s := spool(b, data, git.SHA1, pack.Limits{})
	b.ReportAllocs()
	for b.Loop() {
		report, err := s.Walk(context.Background(), git.WalkOptions{}, func(int) git.Visitor {
			return func(git.Object) error { return nil }
		})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(report.Bytes)
	}
}

func BenchmarkSpool(b *testing.B) {
	data := bigRepo(b, 1500).Pack("--delta-base-offset")
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s, err := pack.Spool(context.Background(), strings.NewReader(string(data)), b.TempDir(), git.SHA1, pack.Limits{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
