package git_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
)

// naive places blobs in the plainest way: it keeps every tree and lists every path of every commit.
type naive struct {
	trees   map[git.ID][]byte
	commits map[git.ID]git.CommitObject
}

func newNaive(m *memory) *naive {
	n := &naive{map[git.ID][]byte{}, map[git.ID]git.CommitObject{}}
	for _, o := range m.objects {
		switch o.Kind {
		case git.Tree:
			n.trees[o.ID] = o.Data
		case git.Commit:
			if c, err := git.ParseCommit(o.ID, o.Data); err == nil {
				n.commits[o.ID] = c
			}
		}
	}
	return n
}

// stand lists what is at each path in and below a tree: blobs by path, and the paths of folders that are absent.
type stand struct {
	blobs  map[string][]git.ID
	absent map[string]bool
}

func (n *naive) list(tree git.ID) stand {
	s := stand{map[string][]git.ID{}, map[string]bool{}}
	var walk func(tree git.ID, dir string)
	walk = func(tree git.ID, dir string) {
		data, ok := n.trees[tree]
		if !ok {
			s.absent[dir] = true
			return
		}
		for e, err := range git.ParseTree(tree, data, git.SHA1) {
			switch path := dir + string(e.Name); {
			case err != nil:
			case e.Mode.IsTree():
				walk(e.ID, path+"/")
			case e.Mode.IsBlob() && !slices.Contains(s.blobs[path], e.ID):
				s.blobs[path] = append(s.blobs[path], e.ID)
			}
		}
	}
	walk(tree, "")
	return s
}

// introductions lists "time path previous unknown" of one blob, as brief does.
func (n *naive) introductions(blob git.ID) []string {
	var out []string
	for _, c := range n.commits {
		var parents []stand
		unknown := false
		for _, p := range c.Parents {
			if parent, ok := n.commits[p]; ok {
				parents = append(parents, n.list(parent.Tree))
			} else {
				unknown = true
			}
		}
		for path, blobs := range n.list(c.Tree).blobs {
			if slices.Contains(blobs, blob) && !slices.ContainsFunc(parents, func(s stand) bool { return slices.Contains(s.blobs[path], blob) }) {
				out = append(out, introduction(c.Committer.When.Unix(), path, parents, unknown))
			}
		}
	}
	slices.Sort(out)
	return out
}

func introduction(when int64, path string, parents []stand, unknown bool) string {
	text, seen := fmt.Sprintf("%d %s", when, path), map[git.ID]bool{}
	for _, s := range parents {
		unknown = unknown || s.absent[""]
		for i := range path {
			unknown = unknown || path[i] == '/' && s.absent[path[:i+1]]
		}
		if was := slices.SortedFunc(slices.Values(s.blobs[path]), git.ID.Compare); len(was) > 0 && !seen[was[0]] {
			seen[was[0]] = true
			text += " " + was[0].Hash().Short()
		}
	}
	if unknown {
		text += " unknown"
	}
	return text
}

// story makes a history whose every next tree, file and merge the bytes of a program decide. Trees need not be sorted,
// and may end in rubbish or be absent.
type story struct {
	m       *memory
	program []byte
	twice   bool // trees may hold a name twice
	blobs   []git.ID
	dirs    []git.ID
	commits []git.ID
}

func (s *story) next(n int) int {
	if len(s.program) == 0 {
		return 0
	}
	b := int(s.program[0])
	s.program = s.program[1:]
	return b % n
}

// change changes entries of a tree.
func (s *story) change(entries []string) []string {
	entries = slices.Clone(entries)
	for range 1 + s.next(3) {
		name := []string{"a", "a.b", "ab", "b", "b-", "c", "zz100644 a", "x y"}[s.next(8)]
		e := entry([]string{"100644", "100755", "120000", "160000"}[s.next(4)], name, s.blobs[s.next(len(s.blobs))])
		if s.next(3) == 0 && len(s.dirs) > 0 {
			e = entry("40000", name, s.dirs[s.next(len(s.dirs))])
		}
		at := slices.IndexFunc(entries, func(old string) bool {
			_, rest, _ := strings.Cut(old, " ")
			return strings.HasPrefix(rest, name+"\x00")
		})
		switch {
		case at < 0 || s.twice && s.next(4) == 0:
			entries = slices.Insert(entries, s.next(len(entries)+1), e)
		case s.next(4) == 0:
			entries = slices.Delete(entries, at, at+1)
		default:
			entries[at] = e
		}
	}
	if s.next(4) == 0 {
		slices.Sort(entries)
	}
	return entries
}

func newStory(program []byte, twice bool) *story {
	s := &story{m: newMemory(), program: program, twice: twice}
	for i := range 6 {
		s.blobs = append(s.blobs, idOf(fmt.Sprint("blob", i)))
	}
	var entries []string
	for when := 1; len(s.program) > 0 && when < 60; when++ {
		entries = s.change(entries)
		text := strings.Join(entries, "")
		if s.next(8) == 0 {
			text += "100644 rub"
		}
		tree := s.m.add(git.Tree, text)
		if s.next(3) == 0 && len(s.dirs) < 16 {
			s.dirs = append(s.dirs, tree)
			continue
		}
		var parents []git.ID
		for range min(len(s.commits), s.next(4)) {
			parents = append(parents, s.commits[len(s.commits)-1-s.next(min(4, len(s.commits)))])
		}
		s.commits = append(s.commits, s.m.commit(when, tree, slices.Compact(parents)...))
	}
	if len(s.m.objects) > 3 && s.next(2) == 0 {
		s.m.drop(s.m.objects[s.next(len(s.m.objects))].ID)
	}
	slices.SortFunc(s.m.objects, func(a, b git.Object) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), a.ID.Compare(b.ID)) })
	s.m.objects = slices.CompactFunc(s.m.objects, func(a, b git.Object) bool { return a.ID == b.ID })
	rand.New(rand.NewPCG(uint64(len(program)), 3)).Shuffle(len(s.m.objects), func(i, j int) {
		s.m.objects[i], s.m.objects[j] = s.m.objects[j], s.m.objects[i]
	})
	return s
}

// check compares Place with naive, for the objects in one order and in the other.
func (s *story) check(t *testing.T) {
	t.Helper()
	n := newNaive(s.m)
	var hashes []magpie.Hash
	for _, b := range s.blobs {
		hashes = append(hashes, b.Hash())
	}
	opts := git.PlaceOptions{}
	for _, c := range s.commits {
		opts.Refs = append(opts.Refs, magpie.Tip{Ref: "refs/heads/" + c.String(), Hash: c.Hash()})
		opts.Default = "refs/heads/" + c.String()
	}
	got, _, err := git.Place(context.Background(), s.m, hashes, opts)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(s.m.objects)
	again, _, err := git.Place(context.Background(), s.m, hashes, opts)
	if diff := gocmp.Diff(got, again); err != nil || diff != "" {
		t.Fatalf("the order of objects matters: %v (-one +other):\n%s", err, diff)
	}
	for _, p := range got {
		if p.Truncated {
			return // folders in folders in folders, too many to list them one by one
		}
	}
	for _, b := range s.blobs {
		have, want := brief(got[b.Hash()]), n.introductions(b)
		if s.twice {
			have, want = placesOnly(have), placesOnly(want)
		}
		slices.Sort(have)
		if diff := gocmp.Diff(want, have); diff != "" {
			t.Fatalf("blob %s (-naive +ours):\n%s", b.Hash().Short(), diff)
		}
	}
}

// placesOnly leaves only time and path: of folders that have the same name in one tree each has its own past.
func placesOnly(introductions []string) []string {
	var out []string
	for _, in := range introductions {
		when, rest, _ := strings.Cut(in, " ")
		path, _, _ := strings.Cut(strings.ReplaceAll(strings.ReplaceAll(rest, "x y", "x_y"), "zz100644 a", "zz"), " ")
		out = append(out, when+" "+path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestPlaceAgainstNaive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for i := range 250 {
		program := make([]byte, rnd.IntN(700))
		for k := range program {
			program[k] = byte(rnd.Uint32())
		}
		newStory(program, false).check(t)
		if i%4 == 0 {
			newStory(program, true).check(t)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add([]byte("some program that changes a few trees, and then a few more of them"), false)
	f.Add([]byte{200, 1, 4, 0, 7, 7, 3, 33, 12, 0, 0, 255, 9, 81, 4, 4, 2, 1, 0, 66}, true)
	f.Fuzz(func(t *testing.T, program []byte, twice bool) { newStory(program, twice).check(t) })
}
