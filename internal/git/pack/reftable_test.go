package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
)

// tableWriter makes reftables for tests, as Git's technical/reftable.adoc describes them.
type tableWriter struct {
	version   byte
	format    git.Format
	blockSize int // 0 writes blocks that follow one another closely, of at most 300 bytes
	noPadding bool
}

// tableRef is a record; peeled, if set, is what its tag names.
type tableRef struct {
	Ref
	peeled magpie.Hash
}

func (w tableWriter) header() []byte {
	b := binary.BigEndian.AppendUint32([]byte("REFT"), uint32(w.version)<<24|uint32(w.blockSize))
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, 1), 9)
	if w.version == 2 {
		b = append(b, map[git.Format]string{git.SHA1: "sha1", git.SHA256: "s256"}[w.format]...)
	}
	return b
}

func appendVarint(b []byte, n int) []byte {
	var buf [10]byte
	i := len(buf) - 1
	buf[i] = byte(n & 0x7f)
	for n >>= 7; n > 0; n >>= 7 {
		n--
		i--
		buf[i] = 0x80 | byte(n&0x7f)
	}
	return append(b, buf[i:]...)
}

func rawID(hash magpie.Hash) []byte {
	id, err := git.ParseID(hash)
	if err != nil {
		panic(err)
	}
	return id.Bytes()
}

func (w tableWriter) record(last string, r tableRef) []byte {
	prefix := 0
	for prefix < len(last) && prefix < len(r.Name) && last[prefix] == r.Name[prefix] {
		prefix++
	}
	kind := 0
	var value []byte
	switch {
	case r.Target != "":
		kind, value = 3, append(appendVarint(nil, len(r.Target)), r.Target...)
	case r.peeled != "":
		kind, value = 2, append(rawID(r.Hash), rawID(r.peeled)...)
	case r.Hash != "":
		kind, value = 1, rawID(r.Hash)
	}
	b := appendVarint(nil, prefix)
	b = appendVarint(b, (len(r.Name)-prefix)<<3|kind)
	b = append(b, r.Name[prefix:]...)
	return append(appendVarint(b, 3), value...)
}

// table writes the refs, which it sorts.
func (w tableWriter) table(refs []tableRef) []byte {
	slices.SortFunc(refs, func(a, b tableRef) int { return strings.Compare(a.Name, b.Name) })
	file := w.header()
	limit := w.blockSize
	if limit == 0 {
		limit = 300
	}
	start := 0 // of the block
	for i := 0; i < len(refs); {
		head := len(file)
		block := append(file, 'r', 0, 0, 0)
		var restarts []int
		last := ""
		for n := 0; i < len(refs); n++ {
			if n%4 == 0 {
				last = ""
			}
			record := w.record(last, refs[i])
			used := len(block) - start + len(record) + 3*(len(restarts)+1) + 2
			if used > limit && n > 0 {
				break
			}
			if n%4 == 0 {
				restarts = append(restarts, len(block)-start)
			}
			block = append(block, record...)
			last = refs[i].Name
			i++
		}
		for _, at := range restarts {
			block = append(block, byte(at>>16), byte(at>>8), byte(at))
		}
		block = binary.BigEndian.AppendUint16(block, uint16(len(restarts)))
		binary.BigEndian.PutUint32(block[head:], uint32(len(block)-start)|'r'<<24)
		file = block
		for w.blockSize > 0 && !w.noPadding && (len(file)-start)%w.blockSize > 0 && i < len(refs) {
			file = append(file, 0)
		}
		start = len(file)
	}
	// A block of another kind ends the refs.
	file = append(file, 'i', 0, 0, 40)
	file = append(file, make([]byte, 36)...)
	footer := append(w.header(), make([]byte, 40)...)
	footer = binary.BigEndian.AppendUint32(footer, crc32.ChecksumIEEE(footer))
	return append(file, footer...)
}

// someRefs returns n refs of all kinds.
func someRefs(format git.Format, n int) []tableRef {
	hash := func(i int) magpie.Hash {
		return magpie.Hash(fmt.Sprintf("%0*x", 2*format.Size(), i+1))
	}
	refs := []tableRef{{Ref: Ref{Name: "HEAD", Target: "refs/heads/main"}}, {Ref: Ref{Name: "refs/heads/main", Hash: hash(999)}}}
	for i := range n {
		r := tableRef{Ref: Ref{Name: fmt.Sprintf("refs/heads/feature/%d/%s", i, strings.Repeat("x", i%30)), Hash: hash(i)}}
		if i%5 == 0 {
			r = tableRef{Ref: Ref{Name: fmt.Sprintf("refs/tags/v%d", i), Hash: hash(i)}, peeled: hash(i + 5000)}
		}
		refs = append(refs, r)
	}
	return refs
}

func TestReftable(t *testing.T) {
	for _, w := range []tableWriter{
		{version: 1},
		{version: 1, blockSize: 4096},
		{version: 1, blockSize: 256},
		{version: 1, blockSize: 256, noPadding: true},
		{version: 2, format: git.SHA1, blockSize: 512},
		{version: 2, format: git.SHA256, blockSize: 512},
		{version: 2, format: git.SHA256},
	} {
		for _, n := range []int{0, 1, 7, 300} {
			t.Run(fmt.Sprintf("%+v with %d", w, n), func(t *testing.T) {
				refs := someRefs(w.format, n)
				table, err := openReftable(w.table(refs))
				if err != nil {
					t.Fatal(err)
				}
				var got, want []Ref
				for _, r := range refs {
					want = append(want, r.Ref)
				}
				if err := table.each(func(r Ref) { got = append(got, r) }); err != nil {
					t.Error(err)
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// reftableRepo returns a bare repository that stores its refs in the given tables, oldest first.
func reftableRepo(t *testing.T, format git.Format, tables ...[]byte) *gittest.Repo {
	t.Helper()
	repo := gittest.New(t, format.String())
	repo.Git("config", "core.repositoryFormatVersion", "1")
	repo.Git("config", "extensions.refStorage", "reftable")
	writeStack(t, filepath.Join(repo.Dir, "reftable"), tables...)
	return repo
}

func writeStack(t *testing.T, dir string, tables ...[]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for i, table := range tables {
		name := fmt.Sprintf("0x%012x-0x%012x-%08x.ref", i+1, i+1, i)
		list.WriteString(name + "\n")
		if err := os.WriteFile(filepath.Join(dir, name), table, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "tables.list"), []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func refsOf(t *testing.T, dir string) ([]Ref, error) {
	t.Helper()
	r, err := Open(dir, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Refs()
}

// TestReftableStack has a table that moves one ref, deletes another and adds a third, and a linked worktree.
func TestReftableStack(t *testing.T) {
	for _, format := range []git.Format{git.SHA1, git.SHA256} {
		w := tableWriter{version: 2, format: format, blockSize: 256}
		a, b := magpie.Hash(strings.Repeat("a1", format.Size())), magpie.Hash(strings.Repeat("b2", format.Size()))
		repo := reftableRepo(t, format,
			w.table([]tableRef{
				{Ref: Ref{Name: "HEAD", Target: "refs/heads/main"}}, {Ref: Ref{Name: "refs/heads/main", Hash: a}}, {Ref: Ref{Name: "refs/heads/gone", Hash: a}},
			}),
			w.table([]tableRef{{Ref: Ref{Name: "refs/heads/main", Hash: b}}, {Ref: Ref{Name: "refs/heads/gone"}}, {Ref: Ref{Name: "refs/tags/v1", Hash: a}, peeled: b}}),
		)
		tree := filepath.Join(repo.Dir, "worktrees", "side")
		writeStack(t, filepath.Join(tree, "reftable"), w.table([]tableRef{
			{Ref: Ref{Name: "HEAD", Target: "refs/heads/main"}}, {Ref: Ref{Name: "refs/bisect/bad", Hash: a}},
		}))
		for name, text := range map[string]string{"HEAD": "ref: refs/heads/.invalid\n", "commondir": "../..\n"} {
			if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		shared := []Ref{{Name: "refs/heads/main", Hash: b}, {Name: "refs/tags/v1", Hash: a}}
		got, err := refsOf(t, repo.Dir)
		want := slices.Concat([]Ref{{Name: "HEAD", Hash: b, Target: "refs/heads/main"}}, shared, []Ref{
			{Name: "worktrees/side/HEAD", Hash: b, Target: "refs/heads/main"}, {Name: "worktrees/side/refs/bisect/bad", Hash: a},
		})
		if diff := gocmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		got, err = refsOf(t, tree)
		want = slices.Concat([]Ref{
			{Name: "HEAD", Hash: b, Target: "refs/heads/main"},
			{Name: "main-worktree/HEAD", Hash: b, Target: "refs/heads/main"},
			{Name: "refs/bisect/bad", Hash: a},
		}, shared)
		if diff := gocmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("worktree: %v (-want +got):\n%s", err, diff)
		}
	}
}

// TestBrokenReftable has tables that can't be read. What the others say is still there.
func TestBrokenReftable(t *testing.T) {
	w := tableWriter{version: 1, blockSize: 256}
	good := w.table(someRefs(git.SHA1, 100))
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	newFooter := func(b []byte) []byte {
		footer := b[len(b)-68:]
		copy(footer, b[:24])
		binary.BigEndian.PutUint32(footer[64:], crc32.ChecksumIEEE(footer[:64]))
		return b
	}
	for name, bad := range map[string][]byte{
		"empty":          {},
		"cut short":      good[:len(good)/2],
		"other magic":    change(0, 'X'),
		"version 9":      newFooter(change(4, 9)),
		"checksum":       change(len(good)-10, 7),
		"other format":   (tableWriter{version: 2, format: git.SHA256}).table(someRefs(git.SHA256, 3)),
		"long block":     newFooter(change(25, 0xff)),
		"record kind":    newFooter(change(29, good[29]|7)),
		"too many marks": newFooter(change(int(binary.BigEndian.Uint32(good[24:])&0xffffff)-2, 0xff)),
	} {
		t.Run(name, func(t *testing.T) {
			old := w.table([]tableRef{{Ref: Ref{Name: "refs/heads/old", Hash: magpie.Hash(strings.Repeat("c3", 20))}}})
			got, err := refsOf(t, reftableRepo(t, git.SHA1, old, bad).Dir)
			if !errors.Is(err, errReftable) {
				t.Errorf("got error %v", err)
			}
			if !slices.ContainsFunc(got, func(r Ref) bool { return r.Name == "refs/heads/old" }) {
				t.Errorf("got %v, want what the other table says", got)
			}
		})
	}
	repo := reftableRepo(t, git.SHA1, good)
	if err := os.WriteFile(filepath.Join(repo.Dir, "reftable/tables.list"), []byte("absent.ref\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := refsOf(t, repo.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent table: got error %v", err)
	}
	if err := os.WriteFile(filepath.Join(repo.Dir, "reftable/tables.list"), []byte("../../evil.ref\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := refsOf(t, repo.Dir); !errors.Is(err, errReftable) {
		t.Errorf("table elsewhere: got error %v", err)
	}
}

// TestReftableOfGit compares with git, if this one can write reftables.
func TestReftableOfGit(t *testing.T) {
	dir := t.TempDir()
	init := exec.Command("git", "init", "-q", "--bare", "--ref-format=reftable", "-b", "main", dir)
	init.Env = gittest.Env()
	if out, err := init.CombinedOutput(); err != nil {
		t.Skipf("this git writes no reftables: %s", out)
	}
	repo := gittest.At(t, dir)
	repo.Generate(3, 150)
	for i := range 300 {
		repo.Git("update-ref", fmt.Sprintf("refs/heads/many/%d", i), fmt.Sprintf("main~%d", i%3))
		if i == 200 {
			repo.Git("pack-refs", "--all")
		}
	}
	repo.Git("update-ref", "-d", "refs/heads/many/7")
	tree := filepath.Join(t.TempDir(), "tree")
	repo.Git("worktree", "add", "-q", "--no-checkout", "-b", "side", tree, "main~1")
	want := map[string]Ref{}
	for line := range strings.Lines(repo.Git("for-each-ref", "--format=%(refname) %(objectname) %(symref)")) {
		f := append(strings.Fields(line), "")
		want[f[0]] = Ref{Name: f[0], Hash: magpie.Hash(f[1]), Target: f[2]}
	}
	main := magpie.Hash(strings.TrimSpace(repo.Git("rev-parse", "main")))
	side := magpie.Hash(strings.TrimSpace(repo.Git("rev-parse", "side")))
	want["HEAD"] = Ref{Name: "HEAD", Hash: main, Target: "refs/heads/main"}
	want["worktrees/tree/HEAD"] = Ref{Name: "worktrees/tree/HEAD", Hash: side, Target: "refs/heads/side"}
	list, err := refsOf(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Ref{}
	for _, r := range list {
		if strings.HasPrefix(r.Name, "refs/") || strings.HasSuffix(r.Name, "HEAD") && !strings.HasSuffix(r.Name, "ORIG_HEAD") {
			got[r.Name] = r
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-git +ours):\n%s", diff)
	}
	if list, err = refsOf(t, tree); err != nil || list[0] != (Ref{Name: "HEAD", Hash: side, Target: "refs/heads/side"}) {
		t.Errorf("worktree: got %v, %v", list[0], err)
	}
}

// FuzzReftable checks that no table makes the reader panic or hang. The footer is put right, so that the fuzzer gets past
// it.
func FuzzReftable(f *testing.F) {
	for _, w := range []tableWriter{{version: 1}, {version: 1, blockSize: 256}, {version: 2, format: git.SHA256, blockSize: 512}} {
		table := w.table(someRefs(w.format, 40))
		f.Add(table[:len(table)-len(w.header())-44])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 28 {
			return
		}
		header := data[:24]
		if data[4] == 2 {
			header = data[:28]
		}
		footer := append(slices.Clone(header), make([]byte, 40)...)
		footer = binary.BigEndian.AppendUint32(footer, crc32.ChecksumIEEE(footer))
		table, err := openReftable(append(slices.Clone(data), footer...))
		if err != nil {
			return
		}
		n := 0
		_ = table.each(func(Ref) { n++ })
		if n > len(data) {
			t.Errorf("%d refs in %d bytes", n, len(data))
		}
	})
}
