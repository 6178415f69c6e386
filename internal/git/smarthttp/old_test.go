package smarthttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/smarthttp"
)

// dialects are the ways in which git's own server is made to answer: the Git-Protocol header as it arrives there, and its
// configuration.
var dialects = []struct {
	name, header string
	config       []string
	version      int
}{
	{"version 2", "version=2", nil, 2},
	{"version 0", "", []string{"protocol.version=0"}, 0},
	{"version 1", "version=1", nil, 1},
	{"version 0, any hash", "", []string{"uploadpack.allowAnySHA1InWant=true", "uploadpack.allowFilter=true"}, 0},
	{"version 0, reachable hashes", "", []string{"uploadpack.allowReachableSHA1InWant=true"}, 0},
}

// serve serves a repository with the given header in place of the client's.
func serve(t *testing.T, repo *gittest.Repo, header string, config []string) *smarthttp.Client {
	t.Helper()
	for _, kv := range config {
		key, value, _ := strings.Cut(kv, "=")
		repo.Git("config", key, value)
	}
	backend := gittest.Backend(t, filepath.Dir(repo.Dir))
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Git-Protocol", header)
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return newClient(t, smarthttp.Options{HTTP: srv.Client(), URL: srv.URL + "/" + filepath.Base(repo.Dir), Known: &smarthttp.Servers{}})
}

func TestDialects(t *testing.T) {
	for _, d := range dialects {
		for _, format := range []string{"sha1", "sha256"} {
			t.Run(d.name+" "+format, func(t *testing.T) {
				t.Parallel()
				repo := gittest.New(t, format)
				repo.Generate(5, 150)
				want, err := client(t, repo).LsRefs(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				c := serve(t, repo, d.header, d.config)
				for range 2 {
					got, err := c.LsRefs(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					if diff := gocmp.Diff(want, got); diff != "" {
						t.Fatalf("listing (-version 2 +this):\n%s", diff)
					}
				}
				some, err := c.LsRefs(context.Background(), "refs/tags/")
				if err != nil || len(some.Refs) == 0 || slices.ContainsFunc(some.Refs, func(r smarthttp.Ref) bool { return !strings.HasPrefix(r.Name, "refs/tags/") }) || some.Head != want.Head {
					t.Errorf("tags: %+v, %v", some, err)
				}
				features, err := c.Features(context.Background())
				if err != nil || features.Version != d.version {
					t.Errorf("features %+v, %v", features, err)
				}
				wants, f := tips(t, c)
				body, err := c.Fetch(context.Background(), smarthttp.Request{Wants: wants, Format: f, Progress: func(smarthttp.Progress) {}})
				if err != nil {
					t.Fatal(err)
				}
				compare(t, objects(t, body, f), reachable(repo, "--all"))

				log := strings.Fields(repo.Git("rev-list", "main"))
				old := magpie.Hash(log[len(log)/3])
				gone := magpie.Hash(strings.Repeat("5", 2*f.Size()))
				body, err = c.Fetch(context.Background(), smarthttp.Request{Wants: []magpie.Hash{magpie.Hash(log[0])}, Haves: []magpie.Hash{gone, old}, Format: f})
				if err != nil {
					t.Fatal(err)
				}
				compare(t, objects(t, body, f), reachable(repo, log[0], "^"+string(old)))
			})
		}
	}
}

// TestPartsOfAHistory asks for what lies between commits, with all files of the older ones; for a depth; and for commits
// alone.
func TestPartsOfAHistory(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, "sha1")
			repo.Generate(6, 150)
			repo.Git("config", "uploadpack.allowFilter", "true")
			c := serve(t, repo, d.header, d.config)
			tips(t, c)
			log := strings.Fields(repo.Git("rev-list", "--first-parent", "main"))
			tip, past := magpie.Hash(log[0]), log[4]
			commits := func(args ...string) []string {
				ids := strings.Fields(repo.Git(append([]string{"rev-list"}, args...)...))
				slices.Sort(ids)
				return ids
			}
			fetched := func(req smarthttp.Request) (map[string]gittest.Object, []magpie.Hash) {
				t.Helper()
				req.Wants = []magpie.Hash{tip}
				body, err := c.Fetch(context.Background(), req)
				if err != nil {
					t.Fatal(err)
				}
				return objects(t, body, git.SHA1), body.Edge()
			}
			kinds := func(all map[string]gittest.Object, kind string) (ids []string) {
				for id, o := range all {
					if o.Kind == kind {
						ids = append(ids, id)
					}
				}
				slices.Sort(ids)
				return ids
			}

			// Every parent of the part that is not in it is taken for a root.
			part := commits(string(tip), "^"+past)
			boundary := map[string]bool{}
			for _, id := range part {
				for _, p := range strings.Fields(repo.Git("rev-parse", id+"^@")) {
					if !slices.Contains(part, p) {
						boundary[p] = true
					}
				}
			}
			var shallow []magpie.Hash
			want := slices.Clone(part)
			for id := range boundary {
				shallow, want = append(shallow, magpie.Hash(id)), append(want, id)
			}
			slices.Sort(want)
			unknown := magpie.Hash(strings.Repeat("5", 40))
			all, _ := fetched(smarthttp.Request{Shallow: append(shallow, unknown)})
			if diff := gocmp.Diff(want, kinds(all, "commit")); diff != "" {
				t.Errorf("commits between (-want +got):\n%s", diff)
			}
			whole := map[string]bool{}
			for _, id := range want {
				for line := range strings.Lines(repo.Git("ls-tree", "-r", "-t", id)) {
					if f := strings.Fields(line); f[1] != "commit" {
						whole[f[2]] = true
					}
				}
			}
			for id := range whole {
				if _, ok := all[id]; !ok {
					t.Errorf("%s is missing, of the files of these commits", id)
				}
			}

			all, edge := fetched(smarthttp.Request{Depth: 3})
			got := kinds(all, "commit")
			if len(got) < 3 || len(edge) == 0 {
				t.Fatalf("depth 3: %d commits, edge %v", len(got), edge)
			}
			for _, id := range got {
				parents := strings.Fields(repo.Git("rev-parse", id+"^@"))
				missing := slices.ContainsFunc(parents, func(p string) bool { return !slices.Contains(got, p) })
				if atEdge := slices.Contains(edge, magpie.Hash(id)); missing && !atEdge {
					t.Errorf("%s misses a parent and is not said to be at the edge", id)
				}
			}

			features, err := c.Features(context.Background())
			if err != nil || !features.Filter || !features.Shallow || features.AnyHash != (d.version == 2 || len(d.config) > 0 && strings.Contains(d.config[0], "SHA1")) {
				t.Errorf("features %+v, %v", features, err)
			}
			all, _ = fetched(smarthttp.Request{CommitsOnly: true, Haves: []magpie.Hash{magpie.Hash(past)}})
			if diff := gocmp.Diff(part, kinds(all, "commit")); diff != "" || len(all) != len(part) {
				t.Errorf("commits alone, of %d objects (-want +got):\n%s", len(all), diff)
			}
		})
	}
}

// TestOldServersRefuseNothing asks a server of version 0 only for what it shows, and leaves out what it does not.
func TestOldServersRefuseNothing(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(4, 60)
	log := strings.Fields(repo.Git("rev-list", "main"))
	tip, old := magpie.Hash(log[0]), magpie.Hash(log[1])
	c := serve(t, repo, "", nil)
	_, err := c.Fetch(context.Background(), smarthttp.Request{Wants: []magpie.Hash{old}})
	if refused, ok := errors.AsType[*smarthttp.NotOurRefError](err); !ok || refused.Hash != old {
		t.Errorf("got %v, want that %s is not shown", err, old)
	}
	body, dropped, err := c.FetchAvailable(context.Background(), smarthttp.Request{Wants: []magpie.Hash{tip}}, []magpie.Hash{old})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, objects(t, body, git.SHA1), reachable(repo, string(tip)))
	if !slices.Equal(dropped, []magpie.Hash{old}) {
		t.Errorf("dropped %v", dropped)
	}
	c = serve(t, repo, "", []string{"uploadpack.allowReachableSHA1InWant=true"})
	if body, err = c.Fetch(context.Background(), smarthttp.Request{Wants: []magpie.Hash{old}}); err != nil {
		t.Fatal(err)
	}
	compare(t, objects(t, body, git.SHA1), reachable(repo, string(old)))
}

func TestOldEmptyRepository(t *testing.T) {
	for _, header := range []string{"", "version=1"} {
		l, err := serve(t, gittest.New(t, "sha1"), header, nil).LsRefs(context.Background())
		if err != nil || len(l.Refs) != 0 {
			t.Errorf("header %q: got %v, %v; want no refs", header, l, err)
		}
	}
}
