package git_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
)

// heads makes refs of commits: refs/heads/a, refs/heads/b and so on.
func heads(commits ...git.ID) []magpie.Tip {
	var refs []magpie.Tip
	for i, c := range commits {
		refs = append(refs, magpie.Tip{Ref: fmt.Sprintf("refs/heads/%c", 'a'+i), Hash: c.Hash()})
	}
	return refs
}

func TestPlaceNow(t *testing.T) {
	secret, clean := idOf("secret"), idOf("clean")
	file := func(name string, id git.ID) string { return entry("100644", name, id) }
	tag := func(m *memory, kind string, id git.ID) git.ID {
		return m.add(git.Tag, fmt.Sprintf("object %s\ntype %s\ntag t\n\n", id, kind))
	}
	for name, tc := range map[string]struct {
		build         func(m *memory) []magpie.Tip
		refs          string // without refs/heads/
		refsTruncated bool
		presence      magpie.Presence // on refs/heads/a
		present       string
		truncated     bool
	}{
		"never on the default branch": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(file("f", clean)))
			return heads(a, m.commit(2, m.tree(file("f", secret)), a))
		}, refs: "b", presence: magpie.PresenceAbsent},
		"removed": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(file("f", secret)))
			return heads(m.commit(2, m.tree(file("f", clean)), a), m.commit(3, m.tree()))
		}, refs: "a", presence: magpie.PresenceAbsent},
		"renamed and copied": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(file("f", secret)))
			return heads(m.commit(2, m.tree(entry("40000", "d", m.tree(file("g", secret))), file("h", secret)), a))
		}, refs: "a", presence: magpie.PresencePresent, present: "d/g h"},
		"merged": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(file("f", clean)))
			b := m.commit(2, m.tree(file("f", secret)), a)
			return heads(m.commit(3, m.tree(file("f", secret)), a, b), b, a)
		}, refs: "a b", presence: magpie.PresencePresent, present: "f"},
		"tags of tags": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(file("f", secret)))
			return heads(tag(m, "tag", tag(m, "commit", a)), tag(m, "tree", m.tree()), tag(m, "blob", secret))
		}, refs: "a", presence: magpie.PresencePresent, present: "f"},
		"a blob's ref, a tree's ref": {build: func(m *memory) []magpie.Tip {
			return heads(m.commit(1, m.tree(file("f", secret))), secret, m.tree())
		}, refs: "a", presence: magpie.PresencePresent, present: "f"},
		"a ref's commit is absent": {build: func(m *memory) []magpie.Tip {
			return heads(m.commit(1, m.tree(file("f", secret))), idOf("nothing"))
		}, refs: "a", refsTruncated: true, presence: magpie.PresencePresent, present: "f"},
		"a tag's commit is absent": {build: func(m *memory) []magpie.Tip {
			return heads(m.commit(1, m.tree(file("f", secret))), tag(m, "commit", idOf("nothing")))
		}, refs: "a", refsTruncated: true, presence: magpie.PresencePresent, present: "f"},
		"the default branch is absent": {build: func(m *memory) []magpie.Tip {
			return heads(idOf("nothing"), m.commit(1, m.tree(file("f", secret))))
		}, refs: "b", refsTruncated: true},
		"the tip's tree is absent": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(file("f", secret)))
			return heads(m.commit(2, idOf("tree"), a))
		}, refs: "a"},
		"a folder of the tip is absent": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(file("f", secret)))
			return heads(m.commit(2, m.tree(entry("40000", "d", m.tree(entry("40000", "e", idOf("tree"))))), a))
		}, refs: "a", truncated: true},
		"a folder of the tip is absent, but": {build: func(m *memory) []magpie.Tip {
			return heads(m.commit(2, m.tree(entry("40000", "d", idOf("tree")), file("f", secret))))
		}, refs: "a", presence: magpie.PresencePresent, present: "f", truncated: true},
		"only an old folder is absent": {build: func(m *memory) []magpie.Tip {
			a := m.commit(1, m.tree(entry("40000", "d", idOf("tree")), file("f", secret)))
			return heads(m.commit(2, m.tree(file("f", clean)), a))
		}, refs: "a", presence: magpie.PresenceAbsent},
		"no commit holds it": {build: func(m *memory) []magpie.Tip {
			return heads(m.commit(1, m.tree(file("f", clean))))
		}, presence: magpie.PresenceAbsent},
		"the same ref twice": {build: func(m *memory) []magpie.Tip {
			refs := heads(m.commit(1, m.tree(file("f", secret))))
			return append(refs, refs...)
		}, refs: "a", presence: magpie.PresencePresent, present: "f"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			refs := tc.build(m)
			p := place(t, m, git.PlaceOptions{Refs: refs, Default: "refs/heads/a"}, secret)
			if got := strings.ReplaceAll(strings.Join(p.Refs, " "), "refs/heads/", ""); got != tc.refs || p.RefCount != len(p.Refs) || p.RefsTruncated != tc.refsTruncated {
				t.Errorf("refs: got %q, %d, truncated %v; want %q, truncated %v", got, p.RefCount, p.RefsTruncated, tc.refs, tc.refsTruncated)
			}
			if got := strings.Join(p.Present, " "); got != tc.present || p.PresentCount != len(p.Present) || p.Presence != tc.presence || p.PresentTruncated != tc.truncated {
				t.Errorf("presence: got %q at %q, %d, truncated %v; want %q at %q, truncated %v",
					p.Presence, got, p.PresentCount, p.PresentTruncated, tc.presence, tc.present, tc.truncated)
			}
			p = place(t, m, git.PlaceOptions{}, secret)
			if p.Refs != nil || p.Present != nil || p.Presence != magpie.PresenceUnknown {
				t.Errorf("without refs: got %v, %v, %q", p.Refs, p.Present, p.Presence)
			}
		})
	}
}

// manyRefs has a history in a line, a secret from the middle of it on, and n refs all along it.
func manyRefs(n int) (*memory, git.ID, []magpie.Tip) {
	m, secret := newMemory(), idOf("secret")
	var line []git.ID
	for i := range 2000 {
		tree := m.tree(entry("100644", "n", idOf(fmt.Sprint(i))))
		if i >= 1000 {
			tree = m.tree(entry("100644", "n", idOf(fmt.Sprint(i))), entry("100644", "s", secret))
		}
		line = append(line, m.commit(i, tree, line[max(0, i-1):]...))
	}
	refs := []magpie.Tip{{Ref: "refs/heads/zz-main", Hash: line[1999].Hash()}}
	for i := range n {
		refs = append(refs, magpie.Tip{Ref: fmt.Sprintf("refs/pull-requests/%d/from", i), Hash: line[i%2000].Hash()})
	}
	return m, secret, refs
}

func TestPlaceManyRefs(t *testing.T) {
	m, secret, refs := manyRefs(50_000)
	opts := git.PlaceOptions{Refs: refs, Default: "refs/heads/zz-main", MaxRefs: 60_000}
	p := place(t, m, opts, secret)
	if p.RefCount != 25_001 || len(p.Refs) != 100 || p.RefsTruncated {
		t.Errorf("got %d refs, %d listed, truncated %v", p.RefCount, len(p.Refs), p.RefsTruncated)
	}
	if !slices.Contains(p.Refs, opts.Default) || !slices.IsSorted(p.Refs) {
		t.Errorf("the default branch is not among %v, or they are in no order", p.Refs)
	}
	opts.MaxRefs = 3000
	p = place(t, m, opts, secret)
	if !p.RefsTruncated || p.RefCount < 1000 || p.RefCount > 3000 || len(p.Refs) != 100 || !slices.Contains(p.Refs, opts.Default) {
		t.Errorf("of 3000: got %d refs, %d listed, truncated %v", p.RefCount, len(p.Refs), p.RefsTruncated)
	}
}

// TestPlaceTruncatedStillReaches has more introductions than are listed, each on a branch of its own.
func TestPlaceTruncatedStillReaches(t *testing.T) {
	m, secret := newMemory(), idOf("secret")
	root := m.commit(1, m.tree())
	tree := m.tree(entry("100644", "s", secret))
	var branches []git.ID
	for i := range 20 {
		branches = append(branches, m.commit(10+i, tree, root))
	}
	p := place(t, m, git.PlaceOptions{MaxPerBlob: 3, Refs: heads(branches...)}, secret)
	if len(p.Introductions) != 3 || !p.Truncated || p.RefCount != 20 || p.RefsTruncated {
		t.Errorf("got %d introductions, truncated %v, %d refs, truncated %v", len(p.Introductions), p.Truncated, p.RefCount, p.RefsTruncated)
	}
}

// TestPlacePresentInATreeBomb has a blob at ten billion paths of the tip.
func TestPlacePresentInATreeBomb(t *testing.T) {
	m, secret := newMemory(), idOf("secret")
	tree := m.tree(entry("100644", "f", secret))
	for range 10 {
		var entries []string
		for i := range 10 {
			entries = append(entries, entry("40000", fmt.Sprint("d", i), tree))
		}
		tree = m.tree(entries...)
	}
	p := place(t, m, git.PlaceOptions{Refs: heads(m.commit(1, tree)), Default: "refs/heads/a"}, secret)
	if p.Presence != magpie.PresencePresent || !p.PresentTruncated || len(p.Present) != 100 {
		t.Errorf("got %q at %d paths, truncated %v", p.Presence, len(p.Present), p.PresentTruncated)
	}
}

// TestPlaceKeepsNoMoreThanAllowed gives Place less memory step by step. It says what it leaves out, and what it still
// says is right.
func TestPlaceKeepsNoMoreThanAllowed(t *testing.T) {
	m, secret, refs := manyRefs(10)
	for i := range 3000 {
		m.tree(entry("100644", fmt.Sprintf("other%d", i), idOf("other")), entry("40000", "d", idOf(fmt.Sprint("tree", i))))
	}
	last := int64(-1)
	for _, kept := range []int64{1, 50_000, 400_000, 1_500_000, 1 << 30} {
		opts := git.PlaceOptions{MaxKept: kept, Refs: refs, Default: "refs/heads/zz-main"}
		got, report, err := git.Place(context.Background(), m, []magpie.Hash{secret.Hash()}, opts)
		if err != nil {
			t.Fatal(err)
		}
		p := got[secret.Hash()]
		whole, want := kept >= 1_500_000, "1000 s"
		if kept < 1<<30 {
			want += " unknown" // what was there before was not worth keeping
		}
		if whole != (report.Skipped == 0) || len(report.Why) > git.MaxReasons {
			t.Errorf("%d bytes: skipped %d, described %d", kept, report.Skipped, len(report.Why))
		}
		if last >= 0 && report.Skipped > last {
			t.Errorf("%d bytes: skipped %d, with less memory %d", kept, report.Skipped, last)
		}
		last = report.Skipped
		for _, e := range report.Why {
			if e.Reason != git.ReasonBudget || e.ID.IsZero() {
				t.Errorf("%d bytes: skipped %v", kept, e)
			}
		}
		if diff := gocmp.Diff([]string{want}, brief(p)); whole && diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", kept, diff)
		}
		if !whole && p.Presence == magpie.PresenceAbsent {
			t.Errorf("%d bytes: called absent", kept)
		}
	}
}
