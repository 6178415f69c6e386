package scan_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
	"magpie/internal/scan"
)

// remains is a repository with a secret that was removed, one that moved to another file, one in a file that became
// larger, and one that is only on a branch.
func remains(t *testing.T) *gittest.Repo {
	t.Helper()
	repo := gittest.New(t, "sha1")
	var in strings.Builder
	commit := func(branch string, when int, files ...string) {
		fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter C <c@example.com> %d +0000\ndata 1\nm\n", branch, when)
		if branch != "main" {
			in.WriteString("from refs/heads/main\n")
		}
		for i := 0; i < len(files); i += 2 {
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", files[i], len(files[i+1]), files[i+1])
		}
	}
	commit("main", 1, "removed", "k = "+key("removed"), "moved", "k = "+key("moved"), "grown", "k = "+key("grown"))
	commit("main", 2, "grown", "k = "+key("grown")+strings.Repeat("\n# more", 50), "removed", "clean", "moved", "clean", "other", "# now here\nk = "+key("moved"))
	commit("branch", 3, "branch", "k = "+key("branch"))
	repo.Feed([]byte(in.String()), "fast-import", "--quiet")
	repo.Git("config", "uploadpack.allowFilter", "true")
	repo.Git("tag", "-a", "-m", "x", "v1", "main~1")
	return repo
}

func TestPresence(t *testing.T) {
	repo := remains(t)
	const all = "refs/heads/branch refs/heads/main refs/tags/v1"
	known := map[string]string{
		key("removed"): "absent " + all,
		key("moved"):   "present " + all,
		key("grown"):   "present " + all,
		key("branch"):  "absent refs/heads/branch",
	}
	clone := func(name string, options ...string) string {
		dir := filepath.Join(t.TempDir(), name)
		repo.Git(append(append([]string{"clone", "-q", "--bare"}, options...), "file://"+repo.Dir, dir)...)
		return dir
	}
	detached := clone("detached")
	gittest.At(t, detached).Git("update-ref", "--no-deref", "HEAD", "refs/heads/main")
	stray := clone("stray")
	gittest.At(t, stray).Feed([]byte("k = "+key("loose")), "hash-object", "-w", "--stdin")
	for name, tc := range map[string]struct {
		dir  string
		want map[string]string
	}{
		"complete": {repo.Dir, known},
		"detached": {detached, map[string]string{
			key("removed"): " " + all, key("moved"): " " + all, key("grown"): " " + all, key("branch"): " refs/heads/branch",
		}},
		// What is not there can't be told to be gone: it may be in what the clone lacks.
		"shallow": {clone("shallow", "--depth=1", "--no-single-branch"), map[string]string{
			key("removed"): " " + all, key("moved"): "present " + all, key("grown"): "present " + all, key("branch"): " refs/heads/branch",
		}},
		"partial": {clone("partial", "--filter=blob:limit=200"), map[string]string{
			key("removed"): " " + all, key("moved"): "present " + all, key("grown"): " " + all, key("branch"): " refs/heads/branch",
		}},
		"no commit holds it": {stray, map[string]string{
			key("removed"): "absent " + all, key("moved"): "present " + all, key("grown"): "present " + all, key("branch"): "absent refs/heads/branch",
			key("loose"): "absent ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := pack.Open(tc.dir, pack.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			result, err := scan.ExamineRepository(t.Context(), r, scan.Examination{Engine: testEngine(t)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, remaining(result)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// remaining says of each secret its presence and all the refs that reach any of its places.
func remaining(result scan.Result) map[string]string {
	out := map[string]string{}
	for _, p := range result.Places {
		text := fmt.Sprintf("%s %s", p.Presence, strings.Join(p.Refs, " "))
		if len(text) > len(out[string(p.Secret.Reveal())]) {
			out[string(p.Secret.Reveal())] = text
		}
	}
	return out
}

func TestPresenceInABundle(t *testing.T) {
	repo := remains(t)
	path := filepath.Join(t.TempDir(), "all.bundle")
	repo.Git("bundle", "create", "-q", path, "--all")
	result, err := scan.ExamineBundle(t.Context(), path, scan.Examination{Engine: testEngine(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := remaining(result)[key("branch")], " refs/heads/branch"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
