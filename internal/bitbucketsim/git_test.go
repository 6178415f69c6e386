package bitbucketsim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGitCloneAndPush(t *testing.T) {
	for _, contextPath := range []string{"", "/bitbucket"} {
		t.Run("context path "+contextPath, func(t *testing.T) {
			b := start(t, Options{ContextPath: contextPath})
			rcv := receive(t)
			b.hook(rocket, rcv.URL, "repo:refs_changed")
			b.commit("", "README", "hello\n")
			writer := b.newToken("admin", "REPO_WRITE")
			dir := filepath.Join(t.TempDir(), "clone")
			b.mustGit("clone", b.CloneURL(b.repo.ID), dir)
			if got := must(os.ReadFile(filepath.Join(dir, "README"))); string(got) != "hello\n" {
				t.Errorf("README = %q, want hello", got)
			}
			big := strings.Repeat("a line of text that git will not compress to nothing\n", 100)
			must(0, os.WriteFile(filepath.Join(dir, "big"), []byte(big), 0o600))
			b.mustGit("-C", dir, "add", "big")
			b.mustGit("-C", dir, "commit", "-qm", "big")
			b.mustGit("-C", dir, "tag", "v1")
			if out, err := b.git(writer.Text, "-C", dir, "push", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/second", "v1"); err != nil {
				t.Fatalf("push: %v\n%s", err, out)
			}
			b.delivered()
			got := rcv.all()
			if len(got) != 2 {
				t.Fatalf("deliveries = %d, want 2: one for each push", len(got))
			}
			if n := len(got[1].json["changes"].([]any)); n != 3 {
				t.Errorf("changes of the push = %d, want 3", n)
			}
		})
	}
}
