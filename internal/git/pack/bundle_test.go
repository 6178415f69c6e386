package pack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

// bundle makes a bundle of that version with git and opens it.
func bundle(t *testing.T, repo *gittest.Repo, version string, args ...string) (*pack.Bundle, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.bundle")
	repo.Git(append([]string{"bundle", "create", "-q", "--version=" + version, path}, args...)...)
	return openBundle(t, path), path
}

func openBundle(t *testing.T, path string) *pack.Bundle {
	t.Helper()
	if !pack.IsBundle(path) {
		t.Errorf("%s is said to be no bundle", path)
	}
	b, err := pack.OpenBundle(t.Context(), path, pack.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBundle(t *testing.T) {
	for _, tc := range []struct{ format, version string }{{"sha1", "2"}, {"sha1", "3"}, {"sha256", "3"}} {
		t.Run(tc.format+" v"+tc.version, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, tc.format)
			repo.Generate(1, 60)
			repo.Git("repack", "-adq")
			b, path := bundle(t, repo, tc.version, "--all")
			got, report := collect(t, b, git.WalkOptions{})
			compare(t, got, repo.Objects())
			if report.Skipped != 0 || b.Format().String() != tc.format || len(b.Prerequisites()) != 0 || b.Filter() != "" {
				t.Errorf("format %s, skipped %v, prerequisites %q, filter %q", b.Format(), report.Why, b.Prerequisites(), b.Filter())
			}
			var heads strings.Builder
			for _, ref := range b.Refs() {
				heads.WriteString(string(ref.Hash) + " " + ref.Name + "\n")
			}
			if want := repo.Git("bundle", "list-heads", path); heads.String() != want {
				t.Errorf("refs:\n%s\nwant\n%s", heads.String(), want)
			}
		})
	}
}

// TestThinBundle has a bundle of what is new, whose deltas build on objects that are not in it.
func TestThinBundle(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 80)
	b, path := bundle(t, repo, "2", "main~3..main")
	if len(b.Prerequisites()) == 0 {
		t.Error("it has no prerequisites")
	}
	got, report := collect(t, b, git.WalkOptions{})
	all := repo.Objects()
	for id, o := range got {
		if !bytes.Equal(o.Data, all[id].Data) {
			t.Errorf("%s is not what git has", id)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	packed := int(binary.BigEndian.Uint32(raw[bytes.Index(raw, []byte("\n\nPACK"))+10:]))
	if report.Skipped == 0 || len(got)+int(report.Skipped) != packed {
		t.Errorf("%d objects and %d skipped, want %d in all and some skipped", len(got), report.Skipped, packed)
	}
	for _, why := range report.Why {
		if why.Reason != git.ReasonMissingBase && why.Reason != git.ReasonSkippedBase {
			t.Errorf("skipped because of %s", why)
		}
	}
	if !strings.Contains(repo.Git("bundle", "verify", path), "requires") {
		t.Error("git says that it needs nothing")
	}
}

func TestFilteredBundle(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 20)
	b, _ := bundle(t, repo, "3", "--all", "--filter=blob:none")
	got, _ := collect(t, b, git.WalkOptions{Kinds: git.KindsOf(git.Blob)})
	if b.Filter() != "blob:none" || len(got) != 0 {
		t.Errorf("filter %q, %d blobs", b.Filter(), len(got))
	}
}

func TestBrokenBundle(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 10)
	_, path := bundle(t, repo, "2", "--all")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(good, []byte("\n\nPACK")) + 2
	head, packed := string(good[:start]), string(good[start:])
	id := strings.Repeat("a", 40)
	for name, text := range map[string]string{
		"no pack":            head,
		"half a pack":        head + packed[:len(packed)/2],
		"half a header":      head[:60],
		"other pack":         head + "PUCK" + packed[4:],
		"damaged":            head + packed[:len(packed)/2] + "damage" + packed[len(packed)/2+6:],
		"unknown capability": "# v3 git bundle\n@walks-dogs\n" + id + " refs/heads/x\n\n" + packed,
		"unknown format":     "# v3 git bundle\n@object-format=md5\n\n" + packed,
		"capability in v2":   "# v2 git bundle\n@filter=blob:none\n\n" + packed,
		"id of other format": "# v3 git bundle\n@object-format=sha256\n" + id + " refs/heads/x\n\n" + packed,
		"bad prerequisite":   "# v2 git bundle\n-what \n\n" + packed,
		"ref without name":   "# v2 git bundle\n" + id + "\n\n" + packed,
		"long line":          "# v2 git bundle\n-" + id + " " + strings.Repeat("x", 1<<17) + "\n\n" + packed,
		"version 9":          "# v9 git bundle\n\n" + packed,
	} {
		t.Run(name, func(t *testing.T) {
			overwrite(t, path, []byte(text))
			b, err := pack.OpenBundle(context.Background(), path, pack.Limits{}, nil)
			if magpie.KindOf(err) != magpie.KindInvalid {
				t.Errorf("got %v, %v", b, err)
			}
		})
	}
	if pack.IsBundle(filepath.Join(repo.Dir, "HEAD")) || pack.IsBundle(repo.Dir) || pack.IsBundle("/absent") {
		t.Error("something else is said to be a bundle")
	}
	overwrite(t, path, good)
	if _, err := pack.OpenBundle(context.Background(), path, pack.Limits{MaxPackBytes: 100}, nil); magpie.KindOf(err) != magpie.KindTooLarge {
		t.Errorf("beyond the limit: got %v", err)
	}
}
