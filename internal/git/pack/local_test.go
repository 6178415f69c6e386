package pack_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

// missing returns what a repository lacks.
func missing(t *testing.T, r *pack.Repository) pack.Missing {
	t.Helper()
	m, err := r.Missing(t.Context(), pack.MissingOptions{})
	if err != nil || !m.Checked {
		t.Fatalf("Missing: %+v, %v", m, err)
	}
	return m
}

// TestAlternates has a repository that borrows, by a relative path, from one that borrows from a third, and from one that
// is not there.
func TestAlternates(t *testing.T) {
	repos := []*gittest.Repo{gittest.New(t, "sha1"), gittest.New(t, "sha1"), gittest.New(t, "sha1")}
	want := map[string]gittest.Object{}
	for i, r := range repos {
		r.Generate(uint64(i+1), 10)
		maps.Copy(want, r.Objects())
	}
	relative, err := filepath.Rel(filepath.Join(repos[0].Dir, "objects"), filepath.Join(repos[1].Dir, "objects"))
	if err != nil {
		t.Fatal(err)
	}
	lend := func(r *gittest.Repo, text string) {
		overwrite(t, filepath.Join(r.Dir, "objects/info/alternates"), []byte(text))
	}
	lend(repos[0], relative+"\n"+relative+"\n/absent/objects\n")
	lend(repos[1], `"`+filepath.Join(repos[2].Dir, "objec\\164s")+`"`+"\n")
	overwrite(t, filepath.Join(repos[0].Dir, "objects/info/http-alternates"), []byte("http://127.0.0.1:1/objects\n"))
	r := open(t, repos[0].Dir)
	got, report := collect(t, r, git.WalkOptions{})
	compare(t, got, want)
	unread := r.Absent().Unread
	if report.Skipped != 0 || len(unread) != 1 || !strings.Contains(unread[0], "/absent/objects") {
		t.Errorf("skipped %v, unread %q", report.Why, unread)
	}
}

func TestWorktrees(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 40)
	dir := t.TempDir()
	for i, name := range []string{"one", "two"} {
		repo.Git("worktree", "add", "-q", "--detach", "--no-checkout", filepath.Join(dir, name), []string{"main~1", "main~2"}[i])
	}
	one := gittest.At(t, filepath.Join(dir, "one"))
	one.Git("update-ref", "refs/worktree/mine", "main~3")
	repo.Git("update-ref", "refs/bisect/bad", "main~4")
	name := func(refs []pack.Ref) map[string]magpie.Hash {
		m := map[string]magpie.Hash{}
		for _, r := range refs {
			if !strings.HasPrefix(r.Name, "refs/heads/") && !strings.HasPrefix(r.Name, "refs/tags/") {
				m[r.Name] = r.Hash
			}
		}
		return m
	}
	for _, tc := range []struct {
		path string
		want map[string]string
	}{
		{repo.Dir, map[string]string{
			"HEAD": "main", "refs/bisect/bad": "main~4",
			"worktrees/one/HEAD": "main~1", "worktrees/one/refs/worktree/mine": "main~3", "worktrees/two/HEAD": "main~2",
		}},
		{filepath.Join(dir, "one"), map[string]string{
			"HEAD": "main~1", "refs/worktree/mine": "main~3", "main-worktree/HEAD": "main", "main-worktree/refs/bisect/bad": "main~4",
			"worktrees/two/HEAD": "main~2",
		}},
	} {
		want := map[string]magpie.Hash{}
		for n, r := range tc.want {
			want[n] = rev(repo, r)
		}
		r := open(t, tc.path)
		refs, err := r.Refs()
		if diff := gocmp.Diff(want, name(refs)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tc.path, err, diff)
		}
		got, _ := collect(t, r, git.WalkOptions{})
		compare(t, got, repo.Objects())
		if m := missing(t, r); m.Total() != 0 {
			t.Errorf("%s: missing %+v", tc.path, m)
		}
	}
}

// TestSubmodule opens a working copy whose .git is a file, and one whose file leads nowhere.
func TestSubmodule(t *testing.T) {
	inner, outer := gittest.New(t, "sha1"), filepath.Join(t.TempDir(), "outer")
	inner.Generate(1, 20)
	inner.Git("clone", "-q", inner.Dir, outer)
	repo := gittest.At(t, outer)
	repo.Git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.Dir, "sub")
	sub := filepath.Join(outer, "sub")
	got, _ := collect(t, open(t, sub), git.WalkOptions{})
	compare(t, got, inner.Objects())
	overwrite(t, filepath.Join(sub, ".git"), []byte("gitdir: ../nowhere\n"))
	if _, err := pack.Open(sub, pack.Limits{}); magpie.KindOf(err) != magpie.KindInvalid || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v, want an error that names the folder", err)
	}
}

// TestMovedWorktree has a worktree whose repository is gone.
func TestMovedWorktree(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 5)
	dir := filepath.Join(t.TempDir(), "tree")
	repo.Git("worktree", "add", "-q", "--detach", "--no-checkout", dir, "main")
	overwrite(t, filepath.Join(repo.Dir, "worktrees/tree/commondir"), []byte("../../../gone\n"))
	if _, err := pack.Open(dir, pack.Limits{}); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("got %v", err)
	}
}

func clone(t *testing.T, repo *gittest.Repo, args ...string) *gittest.Repo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	repo.Git("config", "uploadpack.allowFilter", "true")
	repo.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	repo.Git(slices.Concat([]string{"clone", "-q", "--bare"}, args, []string{"file://" + repo.Dir, dir})...)
	return gittest.At(t, dir)
}

func TestShallowClone(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 60)
	shallow := clone(t, repo, "--depth=3", "--no-single-branch")
	r := open(t, shallow.Dir)
	var want []magpie.Hash
	for line := range strings.Lines(shallow.Git("rev-list", "--all")) {
		commit := strings.TrimSpace(line)
		whole := strings.Fields(repo.Git("rev-list", "--parents", "-n1", commit))
		if len(strings.Fields(shallow.Git("rev-list", "--parents", "-n1", commit))) < len(whole) {
			want = append(want, magpie.Hash(commit))
		}
	}
	slices.Sort(want)
	got := slices.Sorted(slices.Values(r.Absent().Shallow))
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("boundary %q, want %q", got, want)
	}
	if m := missing(t, r); m.Total() != 0 {
		t.Errorf("missing %+v, want nothing: what lies before the boundary is not expected", m)
	}
}

// TestPartialClone compares what is missing with what git says is.
func TestPartialClone(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		for _, filter := range []string{"blob:none", "tree:0", "blob:limit=900"} {
			t.Run(format+" "+filter, func(t *testing.T) {
				t.Parallel()
				repo := gittest.New(t, format)
				repo.Generate(1, 60)
				partial := clone(t, repo, "--filter="+filter)
				var want []magpie.Hash
				for line := range strings.Lines(partial.Git("rev-list", "--objects", "--all", "--missing=print")) {
					if id, ok := strings.CutPrefix(strings.TrimSpace(line), "?"); ok {
						want = append(want, magpie.Hash(id))
					}
				}
				slices.Sort(want)
				r := open(t, partial.Dir)
				m := missing(t, r)
				if !r.Absent().Partial || m.Total() != int64(len(want)) || len(want) < 5 {
					t.Errorf("partial: %v; missing %d, want %d", r.Absent().Partial, m.Total(), len(want))
				}
				if strings.HasPrefix(filter, "blob") != (m.Blobs == m.Total()) || strings.HasPrefix(filter, "tree") != (m.Trees == m.Total()) {
					t.Errorf("missing %d blobs and %d trees of %d", m.Blobs, m.Trees, m.Total())
				}
				for i, o := range m.First {
					if o.ID != want[i] {
						t.Errorf("%d. missing is %s, want %s", i, o.ID, want[i])
					}
				}
			})
		}
	}
}

// TestMissingObjects takes a blob, a commit and a tree out of a repository that does not say it lacks any.
func TestMissingObjects(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 30)
	packed := files(t, repo.Dir, "objects/pack/*.pack")[0]
	all, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t, repo.Dir, "objects/pack/*") {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	repo.Feed(all, "unpack-objects", "-q")
	if m := missing(t, open(t, repo.Dir)); m.Total() != 0 {
		t.Fatalf("missing %+v before anything was", m)
	}
	entry := strings.Fields(repo.Git("ls-tree", "-r", "main"))
	lost := map[string]magpie.Hash{"blob": magpie.Hash(entry[2]), "tree": rev(repo, "main~5^{tree}"), "commit": rev(repo, "main~5")}
	tip := rev(repo, "main")
	for _, hash := range lost {
		if err := os.Remove(filepath.Join(repo.Dir, "objects", string(hash[:2]), string(hash[2:]))); err != nil {
			t.Fatal(err)
		}
	}
	m := missing(t, open(t, repo.Dir))
	// The tree is named by the commit, which is lost itself.
	if m.Commits != 1 || m.Blobs != 1 || m.Total() != 2 {
		t.Errorf("missing %+v", m)
	}
	for _, o := range m.First {
		if o.ID != lost[o.Kind.String()] || o.By == "" {
			t.Errorf("missing %s, want one of %v", o, lost)
		}
	}
	if err := os.Remove(filepath.Join(repo.Dir, "objects", string(tip[:2]), string(tip[2:]))); err != nil {
		t.Fatal(err)
	}
	m, err = open(t, repo.Dir).Missing(t.Context(), pack.MissingOptions{AtMost: 1})
	if err != nil || m.Checked || m.Others != 1 || m.First[0].ID != tip || m.First[0].By != "refs/heads/main" && m.First[0].By != "HEAD" {
		t.Errorf("only refs: missing %+v, %v", m, err)
	}
}

// asNobody runs the test once more, as a user who may do little.
func asNobody(t *testing.T) {
	t.Helper()
	again := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.v")
	again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	again.Dir, again.Env = os.TempDir(), append(os.Environ(), "HOME="+os.TempDir())
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as another user: %v\n%s", err, out)
	}
}

// TestUnlistedFolder has folders of objects that nobody may list.
func TestUnlistedFolder(t *testing.T) {
	if os.Geteuid() == 0 { // who may list everything
		asNobody(t)
		return
	}
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 5)
	for _, name := range []string{"pack", "ab"} {
		dir := filepath.Join(repo.Dir, "objects", name)
		_ = os.Mkdir(dir, 0o700)
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(dir, 0o700)
	}
	if _, report := collect(t, open(t, repo.Dir), git.WalkOptions{}); report.Skipped != 2 {
		t.Errorf("skipped %v, want both folders", report.Why)
	}
}

// TestMisnamedLooseObject has one under the name of another.
func TestMisnamedLooseObject(t *testing.T) {
	repo := gittest.New(t, "sha1")
	id := strings.TrimSpace(string(repo.Feed([]byte("content"), "hash-object", "-w", "--stdin")))
	other := filepath.Join(repo.Dir, "objects", "00", strings.Repeat("1", 38))
	if err := os.MkdirAll(filepath.Dir(other), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(repo.Dir, "objects", id[:2], id[2:]), other); err != nil {
		t.Fatal(err)
	}
	got, report := collect(t, open(t, repo.Dir), git.WalkOptions{})
	compare(t, got, map[string]gittest.Object{id: {Kind: "blob", Data: []byte("content")}})
	if report.Skipped != 1 || report.Why[0].ID.String() != "00"+strings.Repeat("1", 38) {
		t.Errorf("skipped %v, want the name", report.Why)
	}
}

func TestUnknownExtension(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(1, 3)
	config := filepath.Join(repo.Dir, "config")
	old, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, config, append(old, "[extensions] objectStash = \"x\" ; why not\n\tpartialClone = origin\n"...))
	a := open(t, repo.Dir).Absent()
	if len(a.Unread) != 1 || !strings.Contains(a.Unread[0], "objectstash") || !a.Partial {
		t.Errorf("got %+v", a)
	}
	overwrite(t, config, append(old, "[extensions]\n\trefStorage = stones\n"...))
	if _, err := open(t, repo.Dir).Refs(); magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("refs stored as stones: got %v", err)
	}
}
