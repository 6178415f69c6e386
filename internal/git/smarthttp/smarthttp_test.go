package smarthttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
	"magpie/internal/git/smarthttp"
)

// token is made up.
const token = "only-for-" + "this-test"

// client returns a client for a repository served by git itself.
func client(t *testing.T, repo *gittest.Repo) *smarthttp.Client {
	t.Helper()
	srv, address := repo.Serve(token)
	return newClient(t, smarthttp.Options{HTTP: srv.Client(), URL: address, Token: magpie.NewSecret(token)})
}

func newClient(t *testing.T, opts smarthttp.Options) *smarthttp.Client {
	t.Helper()
	c, err := smarthttp.New(opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

// objects fetches, spools and walks, and returns what came by id.
func objects(t *testing.T, body io.ReadCloser, format git.Format) map[string]gittest.Object {
	t.Helper()
	defer body.Close()
	s, err := pack.Spool(context.Background(), body, t.TempDir(), format, pack.Limits{}, nil)
	if err != nil {
		t.Fatalf("Spool: %v", err)
	}
	defer s.Close()
	var mu sync.Mutex
	got := map[string]gittest.Object{}
	report, err := s.Walk(context.Background(), git.WalkOptions{}, func(int) git.Visitor {
		return func(o git.Object) error {
			mu.Lock()
			defer mu.Unlock()
			got[o.ID.String()] = gittest.Object{Kind: o.Kind.String(), Data: bytes.Clone(o.Data)}
			return nil
		}
	})
	if err != nil || report.Skipped != 0 {
		t.Fatalf("Walk: %v, skipped %v", err, report.Why)
	}
	return got
}

// reachable returns the objects that git rev-list names for the given arguments.
func reachable(repo *gittest.Repo, args ...string) map[string]gittest.Object {
	all, want := repo.Objects(), map[string]gittest.Object{}
	for line := range strings.Lines(repo.Git(append([]string{"rev-list", "--objects"}, args...)...)) {
		id := strings.Fields(line)[0]
		want[id] = all[id]
	}
	return want
}

func compare(t *testing.T, got, want map[string]gittest.Object) {
	t.Helper()
	for id, w := range want {
		if g, ok := got[id]; !ok || g.Kind != w.Kind || !bytes.Equal(g.Data, w.Data) {
			t.Errorf("%s %s differs or is missing", w.Kind, id)
		}
	}
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("got %d objects, want %d", len(got), len(want))
	}
}

func TestLsRefs(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, format)
			repo.Generate(1, 120)
			repo.Git("update-ref", "refs/pull-requests/1/from", "main")
			var want []smarthttp.Ref
			for line := range strings.Lines(repo.Git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)")) {
				f := append(strings.Fields(line), "")
				want = append(want, smarthttp.Ref{Name: f[0], Hash: magpie.Hash(f[1]), Peeled: magpie.Hash(f[2])})
			}
			head := magpie.Hash(strings.TrimSpace(repo.Git("rev-parse", "HEAD")))
			all := append([]smarthttp.Ref{{Name: "HEAD", Hash: head, Target: "refs/heads/main"}}, want...)
			c := client(t, repo)
			l, err := c.LsRefs(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if l.Format.String() != format || l.SkippedCount != 0 {
				t.Errorf("format %v, skipped %v", l.Format, l.Skipped)
			}
			if diff := gocmp.Diff(all, l.Refs); diff != "" {
				t.Errorf("all refs (-want +got):\n%s", diff)
			}
			l, err = c.LsRefs(context.Background(), "refs/tags/", "refs/pull-requests/")
			if err != nil {
				t.Fatal(err)
			}
			some := slices.DeleteFunc(want, func(r smarthttp.Ref) bool { return strings.HasPrefix(r.Name, "refs/heads/") })
			if diff := gocmp.Diff(some, l.Refs); diff != "" || len(some) < 2 {
				t.Errorf("some refs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmptyRepository(t *testing.T) {
	l, err := client(t, gittest.New(t, "sha1")).LsRefs(context.Background())
	if err != nil || len(l.Refs) != 0 {
		t.Errorf("got %v, %v; want no refs", l, err)
	}
}

// tips lists what all refs name.
func tips(t *testing.T, c *smarthttp.Client) (hashes []magpie.Hash, format git.Format) {
	t.Helper()
	l, err := c.LsRefs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range l.Refs {
		hashes = append(hashes, r.Hash)
	}
	return hashes, l.Format
}

func TestFetchEverything(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, format)
			repo.Generate(2, 200)
			c := client(t, repo)
			wants, f := tips(t, c)
			body, err := c.Fetch(context.Background(), smarthttp.Request{Wants: wants, Format: f})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, objects(t, body, f), reachable(repo, "--all"))
		})
	}
}

func TestFetchWhatIsNew(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(4, 200)
	c := client(t, repo)
	log := strings.Fields(repo.Git("rev-list", "main"))
	gone := magpie.Hash(strings.Repeat("5", 40))
	for _, back := range []int{1, len(log) / 3, len(log) - 1} {
		old := magpie.Hash(log[back])
		body, err := c.Fetch(context.Background(), smarthttp.Request{
			Wants: []magpie.Hash{magpie.Hash(log[0])}, Haves: []magpie.Hash{gone, old, old},
		})
		if err != nil {
			t.Fatalf("%d back: %v", back, err)
		}
		compare(t, objects(t, body, git.SHA1), reachable(repo, log[0], "^"+string(old)))
	}
}

func TestFetchForcePushedAway(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(4, 60)
	tip := strings.TrimSpace(repo.Git("rev-parse", "main"))
	blob := strings.TrimSpace(string(repo.Feed([]byte("leaked"), "hash-object", "-w", "--stdin")))
	tree := strings.TrimSpace(string(repo.Feed([]byte("100644 blob "+blob+"\tf\n"), "mktree")))
	lost := strings.TrimSpace(repo.Git("commit-tree", tree, "-p", tip, "-m", "gone from every ref"))
	c := client(t, repo)
	body, err := c.Fetch(context.Background(), smarthttp.Request{
		Wants: []magpie.Hash{magpie.Hash(lost)}, Haves: []magpie.Hash{magpie.Hash(tip)},
	})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, objects(t, body, git.SHA1), reachable(repo, lost, "^"+tip))
}

func TestGoneWants(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(4, 60)
	c := client(t, repo)
	log := strings.Fields(repo.Git("rev-list", "main"))
	tip, old := magpie.Hash(log[0]), magpie.Hash(log[1])
	gone := []magpie.Hash{magpie.Hash(strings.Repeat("7", 40)), magpie.Hash(strings.Repeat("8", 40))}

	_, err := c.Fetch(context.Background(), smarthttp.Request{Wants: []magpie.Hash{tip, gone[0]}})
	if refused, ok := errors.AsType[*smarthttp.NotOurRefError](err); !ok || refused.Hash != gone[0] || magpie.KindOf(err) != magpie.KindNotFound {
		t.Fatalf("got error %v (kind %q), want that %s is not there", err, magpie.KindOf(err), gone[0])
	}

	req := smarthttp.Request{Wants: []magpie.Hash{tip}}
	body, dropped, err := c.FetchAvailable(context.Background(), req, []magpie.Hash{gone[0], old, gone[1]})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, objects(t, body, git.SHA1), reachable(repo, string(tip)))
	slices.Sort(dropped)
	if diff := gocmp.Diff(gone, dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}

	if _, dropped, err = c.FetchAvailable(context.Background(), smarthttp.Request{}, gone); err == nil || len(dropped) != 2 {
		t.Errorf("nothing available: got %v, dropped %v", err, dropped)
	}
	if _, _, err = c.FetchAvailable(context.Background(), smarthttp.Request{Wants: gone[:1]}, []magpie.Hash{old}); magpie.KindOf(err) != magpie.KindNotFound {
		t.Errorf("required want gone: got %v", err)
	}
}

func TestWrongToken(t *testing.T) {
	repo := gittest.New(t, "sha1")
	srv, address := repo.Serve("another")
	c := newClient(t, smarthttp.Options{HTTP: srv.Client(), URL: address, Token: magpie.NewSecret(token)})
	_, err := c.LsRefs(context.Background())
	if magpie.KindOf(err) != magpie.KindTokenInvalid || strings.Contains(err.Error(), token) {
		t.Errorf("got %v", err)
	}
}

func TestNotFound(t *testing.T) {
	repo := gittest.New(t, "sha1")
	srv, address := repo.Serve(token)
	c := newClient(t, smarthttp.Options{HTTP: srv.Client(), URL: address + "-not", Token: magpie.NewSecret(token)})
	if _, err := c.LsRefs(context.Background()); magpie.KindOf(err) != magpie.KindNotFound {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesAddresses(t *testing.T) {
	for _, address := range []string{
		"http://bitbucket.example.com/scm/p/r.git", "ssh://git@bitbucket.example.com/p/r.git", "https:///scm/p/r.git",
		"https://user:pass@bitbucket.example.com/scm/p/r.git", "https://bitbucket.example.com/r.git?x=1", "::", "",
	} {
		_, err := smarthttp.New(smarthttp.Options{HTTP: http.DefaultClient, URL: address})
		if magpie.KindOf(err) != magpie.KindInvalid || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%q: got %v", address, err)
		}
	}
}
