package git_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

func TestReadFiles(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		repo := gittest.New(t, format)
		repo.Feed([]byte(strings.Join([]string{
			"commit refs/heads/main", "committer T <t@example.com> 1700000000 +0000", "data 1", "x",
			"M 100644 inline .ignore", "data 4", "one\n",
			"M 100644 inline a/b/file", "data 4", "two\n",
			"M 100644 inline a/large", "data 20", "01234567890123456789",
			"M 120000 inline link", "data 7", ".ignore",
			"commit refs/heads/main", "committer T <t@example.com> 1700000001 +0000", "data 1", "x",
			"M 100644 inline .ignore", "data 6", "three\n", "",
		}, "\n")), "fast-import", "--quiet")
		source, err := pack.Open(repo.Dir, pack.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		read := func(rev string, paths ...string) (map[string]string, bool) {
			t.Helper()
			files, whole, err := git.ReadFiles(context.Background(), source, magpie.Hash(strings.TrimSpace(repo.Git("rev-parse", rev))), paths, 10)
			if err != nil {
				t.Fatal(err)
			}
			texts := map[string]string{}
			for name, data := range files {
				texts[name] = string(data)
			}
			return texts, whole
		}
		for _, tt := range []struct {
			rev   string
			paths []string
			want  map[string]string
			whole bool
		}{
			{"main~1", []string{".ignore", "a/b/file", "none", "a/none", "link", "a/b", ".ignore/x"}, map[string]string{".ignore": "one\n", "a/b/file": "two\n"}, true},
			{"main", []string{".ignore"}, map[string]string{".ignore": "three\n"}, true},
			{"main", []string{"a/large"}, map[string]string{}, false},
			{"main", []string{"none"}, map[string]string{}, true},
			{"main:.ignore", []string{".ignore"}, map[string]string{}, false}, // no commit
		} {
			got, whole := read(tt.rev, tt.paths...)
			if diff := cmp.Diff(tt.want, got); diff != "" || whole != tt.whole {
				t.Errorf("%s: %s %q: whole %t, want %t\n%s", format, tt.rev, tt.paths, whole, tt.whole, diff)
			}
		}
	}
}
