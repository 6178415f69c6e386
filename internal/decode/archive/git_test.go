package archive

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"magpie/internal/git/gittest"
)

// versions is what a file of a repository held, one after the other: long enough for all but one to be stored as deltas.
func versions() (all []string) {
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintf(&text, "line %d of many\n", i*i)
	}
	for i := range 5 {
		all = append(all, strings.Replace(text.String(), fmt.Sprintf("line %d of", i*i), fmt.Sprintf("version %d of", i), 1))
	}
	return all
}

// gitted makes a repository of versions and returns its pack, a bundle, and the loose object of the first version.
func gitted(t testing.TB, format string) (packFile, bundle, loose []byte) {
	t.Helper()
	r := gittest.New(t, format)
	parent := []string{}
	for i, text := range versions() {
		blob := strings.TrimSpace(string(r.Feed([]byte(text), "hash-object", "-w", "--stdin")))
		tree := strings.TrimSpace(string(r.Feed([]byte("100644 blob "+blob+"\ta.conf\n"), "mktree")))
		commit := strings.TrimSpace(r.Git(append([]string{"commit-tree", "-m", fmt.Sprintf("version %d", i), tree}, parent...)...))
		parent = []string{"-p", commit}
		r.Git("update-ref", "refs/heads/main", commit)
		if i == 0 {
			loose = read(t, filepath.Join(r.Dir, "objects", blob[:2], blob[2:]))
		}
	}
	r.Git("bundle", "create", "-q", "x.bundle", "main")
	return r.Pack(), read(t, filepath.Join(r.Dir, "x.bundle")), loose
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGitObjects(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		packFile, bundle, loose := gitted(t, format)
		for kind, data := range map[string][]byte{"pack": packFile, "bundle": bundle} {
			members, skipped := gather(t, data)
			var all strings.Builder
			commits := 0
			for path, text := range members {
				if strings.HasPrefix(path, kind+":commit ") {
					commits++
				}
				all.WriteString(text)
			}
			for _, text := range versions() {
				if !strings.Contains(all.String(), text) {
					t.Errorf("a version is not in the %s", kind)
				}
			}
			if commits != len(versions()) || len(members) != 2*len(versions()) || len(skipped) > 0 {
				t.Errorf("%d members, %d of them commits; skipped %q", len(members), commits, skipped)
			}
		}
		want(t, loose, "zlib>git:blob", entry{"", versions()[0]})
	}
}

func TestGitDamageIsTold(t *testing.T) {
	packFile, bundle, _ := gitted(t, "sha1")
	changed := bytes.Clone(packFile)
	changed[len(changed)-1] ^= 1
	for name, tt := range map[string]struct {
		data    []byte
		want    string
		members int // at least
	}{
		"cut off":        {packFile[:len(packFile)-60], "packfile ends too early", 1},
		"changed":        {changed, "does not match its checksum", 10},
		"bundle cut off": {bundle[:len(bundle)-60], "packfile ends too early", 1},
		"header only":    {bundle[:30], "bundle: ", 0},
		"many objects":   {append([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), packFile[12:]...), "the packfile announces", 0},
	} {
		members, skipped := gather(t, tt.data)
		if !strings.Contains(strings.Join(skipped, "\n"), tt.want) || len(members) < tt.members {
			t.Errorf("%s: %d members, skipped %q, want %q", name, len(members), skipped, tt.want)
		}
	}
}

func FuzzGit(f *testing.F) {
	packFile, bundle, _ := gitted(f, "sha1")
	f.Add(packFile, false)
	f.Add(bundle, true)
	f.Fuzz(func(t *testing.T, data []byte, isBundle bool) {
		kind := "pack"
		if isBundle {
			kind = "bundle"
		}
		checkWalk(t, kind, data)
	})
}
