// Package gittest makes real Git repositories for tests, by running git.
//
// The one idea: a history is generated from a seed, fed to git fast-import in one process, and then git itself is the
// oracle that tests compare with. Nothing of the user's own configuration has an influence.
package gittest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Repo is a bare repository in a temporary folder.
type Repo struct {
	t   testing.TB
	Dir string
}

// New makes an empty bare repository with the given object format, "sha1" or "sha256".
func New(t testing.TB, format string) *Repo {
	t.Helper()
	r := &Repo{t: t, Dir: t.TempDir()}
	r.Git("init", "-q", "--bare", "--object-format="+format, "-b", "main", ".")
	return r
}

// At returns the repository that is at dir already, for tests on real ones. They must not change it.
func At(t testing.TB, dir string) *Repo { return &Repo{t: t, Dir: dir} }

// Env is the environment in which git ignores the user's and the machine's configuration.
func Env() []string {
	return append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=A U Thor", "GIT_AUTHOR_EMAIL=author@example.com",
		"GIT_COMMITTER_NAME=C O Mitter", "GIT_COMMITTER_EMAIL=committer@example.com",
	)
}

// Git runs git in the repository and returns what it prints.
func (r *Repo) Git(args ...string) string { r.t.Helper(); return string(r.Feed(nil, args...)) }

// Feed runs git in the repository with the given standard input.
func (r *Repo) Feed(stdin []byte, args ...string) []byte {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.Dir, "-c", "safe.directory=*"}, args...)...)
	cmd.Env = Env()
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes()
}

// Usage returns what a command of git says of its use, with which it always fails.
func (r *Repo) Usage(args ...string) string {
	r.t.Helper()
	out, _ := exec.Command("git", append([]string{"-C", r.Dir}, args...)...).CombinedOutput()
	return string(out)
}

// Pack returns a pack of everything that all refs reach, as git pack-objects makes it with the given options.
func (r *Repo) Pack(args ...string) []byte {
	r.t.Helper()
	return r.Feed(nil, append([]string{"pack-objects", "-q", "--all", "--stdout"}, args...)...)
}

// Object is an object as git cat-file prints it.
type Object struct {
	Kind string
	Data []byte
}

// Objects returns every object of the repository by id, as git sees them.
func (r *Repo) Objects() map[string]Object {
	r.t.Helper()
	out := r.Feed(nil, "cat-file", "--batch-all-objects", "--unordered", "--batch")
	all := map[string]Object{}
	for len(out) > 0 {
		head, rest, _ := bytes.Cut(out, []byte{'\n'})
		var id, kind string
		var size int
		if _, err := fmt.Sscan(string(head), &id, &kind, &size); err != nil {
			r.t.Fatalf("git cat-file printed %q: %v", head, err)
		}
		all[id] = Object{kind, rest[:size]}
		out = rest[size+1:]
	}
	return all
}

// file is a file in a generated tree.
type file struct {
	mode string
	mark int    // of its blob
	link string // commit id, for a submodule
}

// generator writes a history for git fast-import.
type generator struct {
	rnd      *rand.Rand
	out      bytes.Buffer
	marks    int
	contents map[int][]string // blob mark → lines
	trees    map[string]map[string]file
	tips     map[string]int // branch → commit mark
	clock    int64
	hexSize  int
}

// Generate adds a random history of n commits on several branches: edits, renames, copies, changes of mode, symbolic
// links, submodules, equal folders, files coming back, merges, evil merges, annotated tags. The same seed gives the same
// repository.
func (r *Repo) Generate(seed uint64, n int) {
	r.t.Helper()
	g := &generator{
		rnd: rand.New(rand.NewPCG(seed, 1)), contents: map[int][]string{},
		trees: map[string]map[string]file{"main": {}}, tips: map[string]int{}, clock: 1_500_000_000, hexSize: 40,
	}
	if strings.TrimSpace(r.Git("rev-parse", "--show-object-format")) == "sha256" {
		g.hexSize = 64
	}
	for i := range n {
		g.step(i)
	}
	r.Feed(g.out.Bytes(), "fast-import", "--quiet", "--force")
}

// step makes one commit.
func (g *generator) step(i int) {
	branches := slices.Sorted(maps.Keys(g.trees))
	branch := branches[g.rnd.IntN(len(branches))]
	merge := 0
	switch dice := g.rnd.IntN(20); {
	case dice == 0 && i > 3 && len(branches) < 6:
		from := branch
		branch = fmt.Sprintf("b%d", i)
		g.trees[branch] = maps.Clone(g.trees[from])
		g.tips[branch] = g.tips[from]
	case dice == 1 && i > 3 && len(branches) < 6:
		branch = fmt.Sprintf("orphan%d", i)
		g.trees[branch] = map[string]file{}
	case dice < 6 && len(branches) > 1:
		other := branches[g.rnd.IntN(len(branches))]
		if other != branch && g.tips[other] != g.tips[branch] {
			merge = g.tips[other]
			for _, path := range slices.Sorted(maps.Keys(g.trees[other])) {
				if g.rnd.IntN(2) == 0 {
					g.put(g.trees[branch], path, g.trees[other][path])
				}
			}
		}
	}
	if merge == 0 || g.rnd.IntN(3) == 0 {
		for range 1 + g.rnd.IntN(3) {
			g.edit(g.trees[branch])
		}
	}
	g.commit(branch, merge)
	if g.rnd.IntN(15) == 0 {
		fmt.Fprintf(&g.out, "tag v%d\nfrom :%d\ntagger T <t@example.com> %d +0000\ndata 2\nv\n", i, g.tips[branch], g.clock)
	}
}

// put sets a file, and removes what can't be beside it: folders of its name and files in the place of its folders.
func (g *generator) put(tree map[string]file, path string, f file) {
	for other := range tree {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
			delete(tree, other)
		}
	}
	tree[path] = f
}

// path returns a path that may or may not exist.
func (g *generator) path() string {
	parts := []string{"src", "lib", "docs", "a b", "x"}
	var b strings.Builder
	for range g.rnd.IntN(4) {
		b.WriteString(parts[g.rnd.IntN(len(parts))] + "/")
	}
	return b.String() + fmt.Sprintf("f%d", g.rnd.IntN(12))
}

// edit changes one thing in a tree.
func (g *generator) edit(tree map[string]file) {
	paths := slices.Sorted(maps.Keys(tree))
	if len(paths) == 0 || g.rnd.IntN(4) == 0 {
		g.put(tree, g.path(), file{mode: "100644", mark: g.blob(g.lines(1 + g.rnd.IntN(60)))})
		return
	}
	path := paths[g.rnd.IntN(len(paths))]
	f := tree[path]
	switch g.rnd.IntN(12) {
	case 0:
		delete(tree, path)
	case 1:
		delete(tree, path)
		g.put(tree, g.path(), f)
	case 2:
		g.put(tree, g.path(), f)
	case 3:
		if f.mode == "100644" {
			f.mode = "100755"
			tree[path] = f
		}
	case 4:
		g.put(tree, g.path(), file{mode: "120000", mark: g.blob([]string{"target"})})
	case 5:
		g.put(tree, g.path(), file{mode: "160000", link: strings.Repeat("1234567890abcdef", 4)[:g.hexSize]})
	case 6:
		g.copyFolder(tree, path)
	case 7:
		// An old content comes back.
		g.put(tree, path, file{mode: "100644", mark: g.oldBlob()})
	default:
		g.put(tree, path, file{mode: "100644", mark: g.blob(g.changed(g.contents[f.mark]))})
	}
}

// copyFolder copies the folder that path is in to another place.
func (g *generator) copyFolder(tree map[string]file, path string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return
	}
	from, to := path[:i+1], fmt.Sprintf("copy%d/", g.rnd.IntN(3))
	for _, p := range slices.Sorted(maps.Keys(tree)) {
		if rest, ok := strings.CutPrefix(p, from); ok && len(p) < 60 {
			g.put(tree, to+rest, tree[p])
		}
	}
}

// oldBlob returns one of the blobs made so far.
func (g *generator) oldBlob() int {
	marks := slices.Sorted(maps.Keys(g.contents))
	return marks[g.rnd.IntN(len(marks))]
}

// lines returns random text.
func (g *generator) lines(n int) []string {
	var lines []string
	for range n {
		lines = append(lines, fmt.Sprintf("line %x %x", g.rnd.Uint64(), g.rnd.Uint32()))
	}
	return lines
}

// changed returns text with a few lines replaced, removed or added.
func (g *generator) changed(lines []string) []string {
	lines = slices.Clone(lines)
	for range 1 + g.rnd.IntN(3) {
		at := g.rnd.IntN(len(lines) + 1)
		if at < len(lines) && g.rnd.IntN(2) == 0 {
			lines = slices.Delete(lines, at, at+1)
		}
		if g.rnd.IntN(3) > 0 {
			lines = slices.Insert(lines, min(at, len(lines)), g.lines(1)...)
		}
	}
	return lines
}

// blob writes a blob and returns its mark.
func (g *generator) blob(lines []string) int {
	g.marks++
	g.contents[g.marks] = lines
	text := strings.Join(lines, "\n")
	fmt.Fprintf(&g.out, "blob\nmark :%d\ndata %d\n%s\n", g.marks, len(text), text)
	return g.marks
}

// commit writes a commit of the branch's tree.
func (g *generator) commit(branch string, merge int) {
	g.marks++
	g.clock += int64(g.rnd.IntN(5000) - 500) // clocks are not always right
	author := []string{"Ann Author <ann@example.com>", "Böb <bob@example.org>", "<nameless@example.com>"}[g.rnd.IntN(3)]
	fmt.Fprintf(&g.out, "commit refs/heads/%s\nmark :%d\nauthor %s %d +0230\ncommitter C <c@example.com> %d -0700\ndata 2\nm\n",
		branch, g.marks, author, g.clock-100, g.clock)
	if from := g.tips[branch]; from != 0 {
		fmt.Fprintf(&g.out, "from :%d\n", from)
	}
	if merge != 0 {
		fmt.Fprintf(&g.out, "merge :%d\n", merge)
	}
	g.out.WriteString("deleteall\n")
	for _, path := range slices.Sorted(maps.Keys(g.trees[branch])) {
		f := g.trees[branch][path]
		ref := f.link
		if ref == "" {
			ref = fmt.Sprintf(":%d", f.mark)
		}
		fmt.Fprintf(&g.out, "M %s %s %s\n", f.mode, ref, path)
	}
	g.tips[branch] = g.marks
	g.out.WriteByte('\n')
}
