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

// memory is a source of objects made by hand, which may lack some.
type memory struct {
	objects []git.Object
	hasher  *git.Hasher
}

func newMemory() *memory { return &memory{hasher: git.NewHasher(git.SHA1)} }

func (m *memory) Format() git.Format { return git.SHA1 }

func (m *memory) Walk(_ context.Context, opts git.WalkOptions, newVisitor func(int) git.Visitor) (git.Report, error) {
	visit := newVisitor(0)
	var r git.Report
	for _, o := range m.objects {
		if opts.Kinds.Has(o.Kind) {
			r.Objects++
			if err := visit(o); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// add adds an object and returns its id.
func (m *memory) add(kind git.Kind, data string) git.ID {
	id := m.hasher.Sum(kind, []byte(data))
	m.objects = append(m.objects, git.Object{ID: id, Kind: kind, Data: []byte(data)})
	return id
}

// entry is one line of a tree.
func entry(mode, name string, id git.ID) string {
	return mode + " " + name + "\x00" + string(id.Bytes())
}

func (m *memory) tree(entries ...string) git.ID { return m.add(git.Tree, strings.Join(entries, "")) }

// commit adds a commit made at second when.
func (m *memory) commit(when int, tree git.ID, parents ...git.ID) git.ID {
	text := fmt.Sprintf("tree %s\n", tree)
	for _, p := range parents {
		text += fmt.Sprintf("parent %s\n", p)
	}
	return m.add(git.Commit, text+fmt.Sprintf("author A <a@example.com> %d +0000\ncommitter C <c@example.com> %d +0000\n\n", when, when))
}

// drop removes an object, as if it had not been sent.
func (m *memory) drop(id git.ID) {
	m.objects = slices.DeleteFunc(m.objects, func(o git.Object) bool { return o.ID == id })
}

// idOf returns the id of a blob that need not be in the source: blobs are never looked at.
func idOf(text string) git.ID { return git.NewHasher(git.SHA1).Sum(git.Blob, []byte(text)) }

func place(t *testing.T, m *memory, opts git.PlaceOptions, blob git.ID) git.Placement {
	t.Helper()
	got, _, err := git.Place(context.Background(), m, []magpie.Hash{blob.Hash()}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return got[blob.Hash()]
}

// brief describes introductions as "time path previous unknown".
func brief(p git.Placement) []string {
	var out []string
	for _, in := range p.Introductions {
		s := fmt.Sprintf("%d %s", in.CommitterDate.Unix(), in.Path)
		for _, h := range in.Previous {
			s += " " + h.Short()
		}
		if in.ParentUnknown {
			s += " unknown"
		}
		out = append(out, s)
	}
	return out
}

func TestPlaceCases(t *testing.T) {
	secret, clean, other := idOf("secret"), idOf("clean"), idOf("other")
	file := func(name string, id git.ID) string { return entry("100644", name, id) }
	was := " " + clean.Hash().Short()
	for name, tc := range map[string]struct {
		build func(m *memory)
		want  []string
	}{
		"root": {func(m *memory) { m.commit(1, m.tree(file("f", secret))) }, []string{"1 f"}},
		"changed": {func(m *memory) {
			c := m.commit(1, m.tree(file("f", clean)))
			m.commit(2, m.tree(file("f", secret)), c)
		}, []string{"2 f" + was}},
		"removed and back": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", secret)))
			b := m.commit(2, m.tree(file("f", clean)), a)
			m.commit(3, m.tree(file("f", secret)), b)
		}, []string{"1 f", "3 f" + was}},
		"renamed": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", secret)))
			m.commit(2, m.tree(file("g", secret)), a)
		}, []string{"1 f", "2 g"}},
		"mode changed": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", secret)))
			m.commit(2, m.tree(entry("100755", "f", secret)), a)
		}, []string{"1 f"}},
		"symbolic link": {func(m *memory) { m.commit(1, m.tree(entry("120000", "l", secret))) }, []string{"1 l"}},
		"submodule":     {func(m *memory) { m.commit(1, m.tree(entry("160000", "s", secret))) }, nil},
		"folder became file": {func(m *memory) {
			a := m.commit(1, m.tree(entry("40000", "x", m.tree(file("f", clean)))))
			m.commit(2, m.tree(file("x", secret)), a)
		}, []string{"2 x"}},
		"file became folder": {func(m *memory) {
			a := m.commit(1, m.tree(file("x", secret)))
			m.commit(2, m.tree(entry("40000", "x", m.tree(file("x", secret)))), a)
		}, []string{"1 x", "2 x/x"}},
		"same folder twice": {func(m *memory) {
			sub := entry("40000", "s", m.tree(file("f", secret)))
			m.commit(1, m.tree(entry("40000", "a", m.tree(sub)), entry("40000", "b", m.tree(sub))))
		}, []string{"1 a/s/f", "1 b/s/f"}},
		"merge of one side": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", clean)))
			b := m.commit(2, m.tree(file("f", secret)), a)
			c := m.commit(3, m.tree(file("f", other)), a)
			m.commit(4, m.tree(file("f", secret)), c, b)
		}, []string{"2 f" + was}},
		"evil merge": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", clean)))
			b := m.commit(2, m.tree(file("f", other)), a)
			m.commit(3, m.tree(file("f", secret)), a, b)
		}, []string{"3 f" + was + " " + other.Hash().Short()}},
		"on two branches": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", clean)))
			m.commit(3, m.tree(file("f", secret)), a)
			m.commit(2, m.tree(file("f", secret), file("g", other)), a)
		}, []string{"2 f" + was, "3 f" + was}},
		"parent absent": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", clean)))
			m.commit(2, m.tree(file("f", secret)), a)
			m.drop(a)
		}, []string{"2 f unknown"}},
		"one parent absent": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", clean)))
			b := m.commit(2, m.tree(file("f", other)))
			m.commit(3, m.tree(file("f", secret)), a, b)
			m.drop(b)
		}, []string{"3 f" + was + " unknown"}},
		"one parent absent, the other has it": {func(m *memory) {
			a := m.commit(1, m.tree(file("f", secret)))
			b := m.commit(2, m.tree(file("f", other)))
			m.commit(3, m.tree(file("f", secret)), a, b)
			m.drop(b)
		}, []string{"1 f"}},
		"parent's folder absent": {func(m *memory) {
			old := m.tree(file("f", clean))
			a := m.commit(1, m.tree(entry("40000", "d", old)))
			m.commit(2, m.tree(entry("40000", "d", m.tree(file("f", secret))), file("g", secret)), a)
			m.drop(old)
		}, []string{"2 d/f unknown", "2 g"}},
		"ids of another format": {func(m *memory) {
			far := strings.Repeat("ab", 32)
			m.add(git.Commit, "tree "+far+"\ncommitter C <c@example.com> 1 +0000\n\n")
			m.add(git.Commit, fmt.Sprintf("tree %s\nparent %s\ncommitter C <c@example.com> 2 +0000\n\n", m.tree(file("f", secret)), far))
		}, []string{"2 f unknown"}},
		"nowhere":        {func(m *memory) { m.commit(1, m.tree(file("f", clean))) }, nil},
		"tree is broken": {func(m *memory) { m.commit(1, m.add(git.Tree, file("f", secret)+"rubbish")) }, []string{"1 f"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			tc.build(m)
			for range 2 { // once forwards, once backwards: order must not matter
				p := place(t, m, git.PlaceOptions{}, secret)
				if diff := gocmp.Diff(tc.want, brief(p)); diff != "" || p.Truncated {
					t.Errorf("(-want +got):\n%s", diff)
				}
				slices.Reverse(m.objects)
			}
		})
	}
}

// TestPlaceTreeBomb has a blob at ten billion paths.
func TestPlaceTreeBomb(t *testing.T) {
	m := newMemory()
	secret := idOf("secret")
	tree := m.tree(entry("100644", "f", secret))
	for range 10 {
		var entries []string
		for i := range 10 {
			entries = append(entries, entry("40000", fmt.Sprint("d", i), tree))
		}
		tree = m.tree(entries...)
	}
	m.commit(1, tree)
	p := place(t, m, git.PlaceOptions{MaxPerBlob: 50}, secret)
	if len(p.Introductions) != 50 || !p.Truncated {
		t.Errorf("got %d introductions, truncated %v", len(p.Introductions), p.Truncated)
	}
}

// TestPlaceHugeTrees has trees with very many files, and folders nested ten thousand deep.
func TestPlaceHugeTrees(t *testing.T) {
	m := newMemory()
	secret := idOf("secret")
	var wide strings.Builder
	for i := range 100_000 {
		wide.WriteString(entry("100644", fmt.Sprintf("f%07d", i), secret))
	}
	deep := m.tree(entry("100644", "f", secret))
	for range 10_000 {
		deep = m.tree(entry("40000", "d", deep))
	}
	root := m.commit(1, m.tree(entry("40000", "deep", deep), entry("40000", "wide", m.add(git.Tree, wide.String()))))
	m.commit(2, m.tree(entry("40000", "wide", m.add(git.Tree, wide.String()+entry("100644", "g", secret)))), root)
	p := place(t, m, git.PlaceOptions{}, secret)
	if len(p.Introductions) != 1000 || !p.Truncated {
		t.Errorf("got %d introductions, truncated %v", len(p.Introductions), p.Truncated)
	}
}
