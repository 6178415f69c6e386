package pack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

// twice returns a repository, and its objects, whose two packs both hold everything, of which one has no deltas.
func twice(t *testing.T, format string) (*gittest.Repo, map[string]gittest.Object) {
	t.Helper()
	repo := gittest.New(t, format)
	repo.Generate(4, 80)
	repo.Git("repack", "-adq")
	objects := repo.Objects()
	repo.Feed(repo.Pack("--depth=0"), "unpack-objects", "-q")
	name := filepath.Join(repo.Dir, "objects/pack/pack")
	repo.Git("pack-objects", "-q", "--all", "--window=0", name)
	if packs := files(t, repo.Dir, "objects/pack/*.pack"); len(packs) != 2 {
		t.Fatalf("got packs %q, want 2", packs)
	}
	return repo, objects
}

// files returns what a pattern below a folder matches, at least one.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found
}

// expanded walks a repository and returns how many objects were expanded for it.
func expanded(t *testing.T, r *pack.Repository) (objects map[string]gittest.Object, report git.Report, expanded int) {
	t.Helper()
	objects, report = collect(t, r, git.WalkOptions{Progress: func(done, _ int64) { expanded = int(done) }})
	return objects, report, expanded
}

// TestObjectsOfMidxAreReadOnce has everything in two packs.
func TestObjectsOfMidxAreReadOnce(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			repo, want := twice(t, format)
			got, _, n := expanded(t, open(t, repo.Dir))
			compare(t, got, want)
			if n != 2*len(want) {
				t.Errorf("without a multi-pack-index %d objects were expanded, want %d", n, 2*len(want))
			}
			repo.Git("multi-pack-index", "write")
			r := open(t, repo.Dir)
			for range 2 {
				got, report, n := expanded(t, r)
				compare(t, got, want)
				if n != len(want) || report.Skipped != 0 {
					t.Errorf("with a multi-pack-index %d objects were expanded, want %d; skipped: %v", n, len(want), report.Why)
				}
			}
		})
	}
}

// TestMidxOfOverlappingPacks has some objects in both packs, of which some are bases of others.
func TestMidxOfOverlappingPacks(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(4, 80)
	repo.Git("repack", "-adq", "--depth=50", "--window=50")
	name := filepath.Join(repo.Dir, "objects/pack/pack")
	repo.Feed([]byte("main~10\n"), "pack-objects", "-q", "--revs", name)
	repo.Generate(5, 40)
	repo.Git("repack", "-dq")
	repo.Git("multi-pack-index", "write")
	want := repo.Objects()
	got, report, n := expanded(t, open(t, repo.Dir))
	compare(t, got, want)
	if report.Skipped != 0 || n > len(want)+len(want)/2 {
		t.Errorf("%d objects were expanded for %d; skipped: %v", n, len(want), report.Why)
	}
}

// TestDamagedPackOfMidx breaks the pack that the multi-pack-index reads everything from.
func TestDamagedPackOfMidx(t *testing.T) {
	repo, want := twice(t, "sha1")
	repo.Git("multi-pack-index", "write")
	for _, path := range files(t, repo.Dir, "objects/pack/*.pack") {
		t.Run("", func(t *testing.T) {
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			broken := append([]byte(nil), whole...)
			for i := len(broken) / 4; i < len(broken)*3/4; i++ {
				broken[i] ^= 0x55
			}
			overwrite(t, path, broken)
			defer overwrite(t, path, whole)
			got, _ := collect(t, open(t, repo.Dir), git.WalkOptions{})
			compare(t, got, want)
		})
	}
}

func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAbsentPackOfMidx takes one pack away, with its index.
func TestAbsentPackOfMidx(t *testing.T) {
	repo, want := twice(t, "sha1")
	repo.Git("multi-pack-index", "write")
	gone := files(t, repo.Dir, "objects/pack/*.pack")[0]
	for _, path := range files(t, repo.Dir, strings.TrimSuffix(filepath.Join("objects/pack", filepath.Base(gone)), ".pack")+".*") {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, repo.Dir)
	for range 2 {
		got, report := collect(t, r, git.WalkOptions{})
		compare(t, got, want)
		if report.Skipped != 1 || !strings.Contains(report.Why[0].Error(), filepath.Base(gone)) {
			t.Errorf("skipped %v, want the pack that is gone", report.Why)
		}
	}
}

// TestBrokenMidx has one that makes no sense: it is reported, and everything is read all the same.
func TestBrokenMidx(t *testing.T) {
	repo, want := twice(t, "sha1")
	repo.Git("multi-pack-index", "write")
	path := filepath.Join(repo.Dir, "objects/pack/multi-pack-index")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, whole[:len(whole)/2])
	got, report := collect(t, open(t, repo.Dir), git.WalkOptions{})
	compare(t, got, want)
	if report.Skipped != 1 {
		t.Errorf("skipped %v, want the multi-pack-index", report.Why)
	}
}

// TestMidxChain has a chain of two layers, each for one pack: those that git wrote for one pack at a time.
func TestMidxChain(t *testing.T) {
	repo, want := twice(t, "sha1")
	packs := filepath.Join(repo.Dir, "objects/pack")
	all := files(t, packs, "*.pack")
	layers := filepath.Join(packs, "multi-pack-index.d")
	kept := t.TempDir() // git removes layers that it does not know
	var chain strings.Builder
	for _, path := range all {
		repo.Feed([]byte(filepath.Base(strings.TrimSuffix(path, ".pack"))+".idx\n"), "multi-pack-index", "write", "--stdin-packs")
		written := filepath.Join(packs, "multi-pack-index")
		raw, err := os.ReadFile(written)
		if err != nil {
			t.Fatal(err)
		}
		name := git.IDFromBytes(raw[len(raw)-20:]).String()
		chain.WriteString(name + "\n")
		if err := os.Rename(written, filepath.Join(kept, "multi-pack-index-"+name+".midx")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(layers, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	overwrite(t, filepath.Join(layers, "multi-pack-index-chain"), []byte(chain.String()))
	got, report, n := expanded(t, open(t, repo.Dir))
	compare(t, got, want)
	if n != len(want) || report.Skipped != 0 {
		t.Errorf("%d objects were expanded, want %d; skipped: %v", n, len(want), report.Why)
	}
	overwrite(t, filepath.Join(layers, "multi-pack-index-chain"), []byte("../../evil\n"))
	if _, report := collect(t, open(t, repo.Dir), git.WalkOptions{}); report.Skipped != 1 {
		t.Errorf("a chain that names no layer: skipped %v", report.Why)
	}
}

// TestMidxChainOfGit has a chain as git writes it, if this one can.
func TestMidxChainOfGit(t *testing.T) {
	repo := gittest.New(t, "sha1")
	if !strings.Contains(repo.Usage("multi-pack-index", "write", "-h"), "incremental") {
		t.Skip("this git writes no incremental multi-pack-index")
	}
	for seed := range uint64(3) {
		repo.Generate(seed+1, 30)
		repo.Git("repack", "-dq")
		repo.Git("multi-pack-index", "write", "--incremental")
	}
	want := repo.Objects()
	got, report, n := expanded(t, open(t, repo.Dir))
	compare(t, got, want)
	if n != len(want) || report.Skipped != 0 {
		t.Errorf("%d objects were expanded, want %d; skipped: %v", n, len(want), report.Why)
	}
}

// TestPackWithoutIdx removes the index of a pack in one of two.
func TestPackWithoutIdx(t *testing.T) {
	repo, want := twice(t, "sha1")
	for _, path := range files(t, repo.Dir, "objects/pack/*.idx") {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, repo.Dir)
	got, report := collect(t, r, git.WalkOptions{})
	compare(t, got, want)
	if report.Skipped != 0 {
		t.Errorf("skipped %v", report.Why)
	}
	if m, err := r.Missing(t.Context(), pack.MissingOptions{}); err != nil || !m.Checked || m.Total() != 0 {
		t.Errorf("missing: %+v, %v", m, err)
	}
}
