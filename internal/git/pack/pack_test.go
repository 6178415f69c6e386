package pack_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

// collect walks src and returns its objects by id, failing if any comes twice.
func collect(t *testing.T, src git.Source, opts git.WalkOptions) (map[string]gittest.Object, git.Report) {
	t.Helper()
	var mu sync.Mutex
	got := map[string]gittest.Object{}
	report, err := src.Walk(context.Background(), opts, func(int) git.Visitor {
		return func(o git.Object) error {
			mu.Lock()
			defer mu.Unlock()
			id := o.ID.String()
			if _, ok := got[id]; ok {
				return fmt.Errorf("object %s came twice", id)
			}
			got[id] = gittest.Object{Kind: o.Kind.String(), Data: bytes.Clone(o.Data)}
			return nil
		}
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	if report.Objects != int64(len(got)) {
		t.Errorf("report says %d objects, visitors got %d", report.Objects, len(got))
	}
	return got, report
}

// compare fails unless got is exactly want.
func compare(t *testing.T, got, want map[string]gittest.Object) {
	t.Helper()
	bad := 0
	for id, w := range want {
		g, ok := got[id]
		if !ok || g.Kind != w.Kind || !bytes.Equal(g.Data, w.Data) {
			if bad++; bad < 5 {
				t.Errorf("%s %s: got (there: %v) %s of %d bytes, want %d bytes", w.Kind, id, ok, g.Kind, len(g.Data), len(w.Data))
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d objects, want %d", len(got), len(want))
	}
}

func spool(t testing.TB, data []byte, format git.Format, limits pack.Limits) *pack.Spooled {
	t.Helper()
	s, err := pack.Spool(context.Background(), bytes.NewReader(data), t.TempDir(), format, limits, nil)
	if err != nil {
		t.Fatalf("Spool: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSpoolAgainstGit(t *testing.T) {
	for _, format := range []git.Format{git.SHA1, git.SHA256} {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, format.String())
			repo.Generate(7, 120)
			repo.Git("repack", "-adq") // drops what no ref reaches
			want := repo.Objects()
			for name, args := range map[string][]string{
				"offset deltas": {"--delta-base-offset", "--depth=50", "--window=20"},
				"id deltas":     {"--depth=50", "--window=20"},
				"long chains":   {"--delta-base-offset", "--depth=4000", "--window=5"},
				"no deltas":     {"--depth=0"},
			} {
				t.Run(name, func(t *testing.T) {
					data := repo.Pack(append(args, "--no-reuse-delta")...)
					s := spool(t, data, format, pack.Limits{})
					if s.Size() != int64(len(data)) || s.Objects() != len(want) {
						t.Errorf("size %d, %d objects; want %d, %d", s.Size(), s.Objects(), len(data), len(want))
					}
					for _, workers := range []int{1, 4} {
						got, report := collect(t, s, git.WalkOptions{Workers: workers})
						compare(t, got, want)
						if report.Skipped != 0 {
							t.Errorf("skipped %d: %v", report.Skipped, report.Why)
						}
					}
				})
			}
		})
	}
}

func TestWalkKinds(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(3, 100)
	repo.Git("repack", "-adq")
	s := spool(t, repo.Pack("--delta-base-offset"), git.SHA1, pack.Limits{})
	for _, kinds := range [][]git.Kind{{git.Blob}, {git.Commit, git.Tree, git.Tag}} {
		want := repo.Objects()
		for id, o := range want {
			if !git.KindsOf(kinds...).Has(git.ParseKind(o.Kind)) {
				delete(want, id)
			}
		}
		var last, total int64
		got, _ := collect(t, s, git.WalkOptions{
			Kinds:    git.KindsOf(kinds...),
			Progress: func(d, n int64) { last, total = d, n },
		})
		compare(t, got, want)
		if last != int64(len(want)) || total != last {
			t.Errorf("progress ended at %d of %d, want %d", last, total, len(want))
		}
	}
}

// TestWalkWithLittleMemory makes the walk drop its bases all the time and build them again.
func TestWalkWithLittleMemory(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(11, 150)
	repo.Git("repack", "-adq")
	want := repo.Objects()
	s := spool(t, repo.Pack("--delta-base-offset", "--no-reuse-delta", "--depth=200", "--window=50"), git.SHA1, pack.Limits{MaxRetained: 1})
	got, report := collect(t, s, git.WalkOptions{Workers: 2})
	compare(t, got, want)
	if report.Skipped != 0 {
		t.Errorf("skipped %d: %v", report.Skipped, report.Why)
	}
}

func TestRepositoryAgainstGit(t *testing.T) {
	for _, format := range []git.Format{git.SHA1, git.SHA256} {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, format.String())
			repo.Generate(5, 100)
			repo.Git("repack", "-adfq", "--depth=50", "--window=20")
			repo.Generate(6, 40)
			repo.Feed([]byte("a loose one"), "hash-object", "-w", "--stdin")
			repo.Feed(nil, "hash-object", "-w", "--stdin")
			check := func(t *testing.T, path string) {
				t.Helper()
				want := repo.Objects()
				r, err := pack.Open(path, pack.Limits{})
				if err != nil {
					t.Fatalf("Open: %v", err)
				}
				if r.Format() != format {
					t.Errorf("format %v, want %v", r.Format(), format)
				}
				for range 2 {
					got, report := collect(t, r, git.WalkOptions{})
					compare(t, got, want)
					if report.Skipped != 0 {
						t.Errorf("skipped %d: %v", report.Skipped, report.Why)
					}
				}
			}
			t.Run("packs and loose", func(t *testing.T) { check(t, repo.Dir) })
			t.Run("alternates", func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "clone")
				repo.Git("clone", "-q", "--shared", "--no-checkout", repo.Dir, dir)
				check(t, dir)
				check(t, filepath.Join(dir, ".git"))
			})
			t.Run("worktree", func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "tree")
				repo.Git("worktree", "add", "-q", "--no-checkout", dir, "main")
				check(t, dir)
			})
			t.Run("without idx", func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(repo.Dir)); err != nil {
					t.Fatal(err)
				}
				idx, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*.idx"))
				for _, f := range idx {
					os.Remove(f)
				}
				check(t, dir)
			})
			t.Run("idx version 1", func(t *testing.T) {
				if format == git.SHA256 {
					t.Skip("git has no version 1 of the index for SHA-256")
				}
				repo.Git("-c", "pack.indexVersion=1", "repack", "-adq")
				check(t, repo.Dir)
			})
		})
	}
}
