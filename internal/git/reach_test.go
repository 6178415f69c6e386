package git_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

// TestReachAgainstGit compares, for every blob of a generated history with merges and tags, the refs that reach it and
// where it stands on the default branch with what git says.
func TestReachAgainstGit(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			repo := gittest.New(t, format)
			repo.Generate(11, 120)
			var tips []magpie.Tip
			reached := map[magpie.Hash][]string{} // blob → refs
			for line := range strings.Lines(repo.Git("for-each-ref", "--sort=refname", "--format=%(refname) %(objectname)")) {
				name, hash, _ := strings.Cut(strings.TrimSpace(line), " ")
				if len(tips) == 0 {
					repo.Git("tag", "-a", "-m", "x", "annotated", hash)
				}
				tips = append(tips, magpie.Tip{Ref: name, Hash: magpie.Hash(hash)})
			}
			tips = append(tips, magpie.Tip{Ref: "refs/tags/annotated", Hash: magpie.Hash(strings.TrimSpace(repo.Git("rev-parse", "annotated")))})
			for _, tip := range tips {
				for object := range strings.Lines(repo.Git("rev-list", "--objects", "--no-object-names", tip.Ref)) {
					hash := magpie.Hash(strings.TrimSpace(object))
					if !slices.Contains(reached[hash], tip.Ref) {
						reached[hash] = append(reached[hash], tip.Ref)
					}
				}
			}
			branch := tips[0].Ref
			present := map[magpie.Hash][]string{}
			for entry := range strings.SplitSeq(repo.Git("ls-tree", "-r", "-z", branch), "\x00") {
				if meta, path, ok := strings.Cut(entry, "\t"); ok {
					if f := strings.Fields(meta); f[1] == "blob" {
						present[magpie.Hash(f[2])] = append(present[magpie.Hash(f[2])], path)
					}
				}
			}
			compareReach(t, repo, git.PlaceOptions{Refs: tips, Default: branch}, reached, present)
		})
	}
}

func compareReach(t *testing.T, repo *gittest.Repo, opts git.PlaceOptions, reached, present map[magpie.Hash][]string) {
	t.Helper()
	var blobs []magpie.Hash
	for id, o := range repo.Objects() {
		if o.Kind == "blob" {
			blobs = append(blobs, magpie.Hash(id))
		}
	}
	source, err := pack.Open(repo.Dir, pack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := git.Place(context.Background(), source, blobs, opts)
	if err != nil {
		t.Fatal(err)
	}
	byName := []gocmp.Option{cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)}
	for _, blob := range blobs {
		p := got[blob]
		if diff := gocmp.Diff(reached[blob], p.Refs, byName...); diff != "" || p.RefCount != len(reached[blob]) || p.RefsTruncated {
			t.Errorf("refs of %s (-git +ours, which counts %d, truncated: %t):\n%s", blob, p.RefCount, p.RefsTruncated, diff)
		}
		want := magpie.PresenceAbsent
		if len(present[blob]) > 0 {
			want = magpie.PresencePresent
		}
		if diff := gocmp.Diff(present[blob], p.Present, byName...); diff != "" || p.Presence != want {
			t.Errorf("presence of %s is %q, want %q; paths (-git +ours):\n%s", blob, p.Presence, want, diff)
		}
	}
	if len(blobs) < 50 || len(present) < 5 {
		t.Errorf("%d blobs, %d of them at the tip: too few to tell anything", len(blobs), len(present))
	}
}
