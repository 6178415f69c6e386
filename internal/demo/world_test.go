package demo

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"magpie/internal/bitbucketsim"
	"magpie/internal/detect"
	"magpie/rules"
)

func newWorld(t *testing.T) *World {
	t.Helper()
	w, err := New(bitbucketsim.Options{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "safe.directory=*", "--git-dir", dir}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out)
}

func TestWorldIsAsLargeAsPromised(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repos := w.Sim.Repos()
	keys := map[string]bool{}
	authors, tags, branches, merges := map[string]bool{}, 0, 0, 0
	for _, r := range repos {
		keys[r.Project] = true
		for author := range strings.Lines(git(t, r.Dir, "log", "--all", "--format=%ae")) {
			authors[author] = true
		}
		tags += strings.Count(git(t, r.Dir, "tag"), "\n")
		branches += strings.Count(git(t, r.Dir, "branch"), "\n")
		merges += strings.Count(git(t, r.Dir, "log", "--all", "--merges", "--format=%h"), "\n")
		git(t, r.Dir, "fsck", "--strict")
	}
	personal := slices.ContainsFunc(repos, func(r bitbucketsim.Repo) bool { return strings.HasPrefix(r.Project, "~") })
	if len(keys) < 3 || !personal || len(repos) < 8 || w.Commits() < 300 || len(authors) < 4 || tags < 5 || branches <= len(repos) || merges < 10 {
		t.Errorf("the world has %d projects (personal: %v), %d repositories, %d commits, %d authors, %d tags, %d branches, %d merges; want more",
			len(keys), personal, len(repos), w.Commits(), len(authors), tags, branches, merges)
	}
}

// TestPlantedPlaces asks git whether each secret is where the world says, and came there with the commit it says.
func TestPlantedPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo := w.Repos()[0]
	if _, err := w.PushSecret(repo, "", "slack", ""); err != nil {
		t.Fatal(err)
	}
	shared := 0
	for _, s := range w.Secrets() {
		if len(s.Places) == 0 {
			t.Errorf("a secret of %s is nowhere", s.Rule)
		}
		if len(s.Places) > 1 {
			shared++
		}
		for _, p := range s.Places {
			dir := w.repos[p.Repo].Dir
			text := git(t, dir, "show", p.Commit+":"+p.File)
			lines := strings.SplitN(text, "\n", p.Line)
			value := string(s.Value.Reveal())
			if len(lines) < p.Line || !strings.Contains(lines[p.Line-1], value) || strings.Count(text, value) != 1 {
				t.Errorf("%s at %s does not hold its secret once, in line %d", p.File, p.Repo, p.Line)
			}
			changed := git(t, dir, "show", "--format=", "--name-only", p.Commit)
			if !strings.Contains(changed, p.File+"\n") {
				t.Errorf("commit %s of %s does not change %s", p.Commit, p.Repo, p.File)
			}
		}
	}
	if shared == 0 {
		t.Error("no secret is in two places")
	}
}

// TestDetectorsFindExactlyThePlantedSecrets scans every blob of every repository as a whole: the decoys must stay
// silent, and each planted secret must be found by the detector meant for it.
func TestDetectorsFindExactlyThePlantedSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, kindName := range sortedKinds() {
		if _, err := w.PushSecret(w.Repos()[i%len(w.Repos())], "", kindName, ""); err != nil {
			t.Fatal(err)
		}
	}
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detect.New(all, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // value → rule
	for _, s := range w.Secrets() {
		want[string(s.Value.Reveal())] = s.Rule
	}
	found := map[string]bool{}
	scanner := engine.NewScanner()
	for _, r := range w.Sim.Repos() {
		for _, blob := range blobs(t, r.Dir) {
			for _, m := range scanner.Scan([]byte(blob.text)) {
				if !engine.Allowed(m.Rule, blob.path) {
					continue
				}
				value := string(m.Secret)
				if want[value] != string(m.Rule.ID) {
					t.Errorf("%s reports something in %s/%s:%s that the world expects of %q", m.Rule.ID, r.Project, r.Slug, blob.path, want[value])
				}
				found[value] = true
			}
		}
	}
	for _, s := range w.Secrets() {
		if !found[string(s.Value.Reveal())] {
			t.Errorf("the secret of %s at %v is not found", s.Rule, s.Places)
		}
	}
}

func sortedKinds() []string {
	var names []string
	for name := range kinds {
		if name != "key" && name != "aws-secret" { // keys begin and end alike, so there is one; the other needs a telling name
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type blob struct{ path, text string }

// blobs returns all blobs reachable from any ref, with a path at which each stands.
func blobs(t *testing.T, dir string) []blob {
	t.Helper()
	var ids strings.Builder
	var paths []string
	for line := range strings.Lines(git(t, dir, "rev-list", "--all", "--objects")) {
		id, path, named := strings.Cut(strings.TrimSpace(line), " ")
		if named {
			ids.WriteString(id + "\n")
			paths = append(paths, path)
		}
	}
	cmd := exec.Command("git", "-c", "safe.directory=*", "--git-dir", dir, "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(ids.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []blob
	for _, path := range paths {
		head, rest, _ := bytes.Cut(out, []byte("\n"))
		var id, kind string
		var size int
		if _, err := fmt.Sscan(string(head), &id, &kind, &size); err != nil {
			t.Fatalf("git cat-file answers %q", head)
		}
		if kind == "blob" {
			all = append(all, blob{path, string(rest[:size])})
		}
		out = rest[size+1:]
	}
	return all
}
