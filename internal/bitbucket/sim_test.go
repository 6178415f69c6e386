package bitbucket_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/bitbucketsim"
)

// versions are those whose differences matter to a client.
var versions = []string{"7.6.0", "8.9.0", "9.4.0", "10.4.2"}

// instance is a small Bitbucket: two projects and a personal one, an administrator and a reader with tokens.
type instance struct {
	*bitbucketsim.Server
	admin, reader bitbucketsim.Token
	repos         map[string]bitbucketsim.Repo // by name
}

func newInstance(t *testing.T, o bitbucketsim.Options) *instance {
	t.Helper()
	s, err := bitbucketsim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	in := &instance{Server: s, repos: map[string]bitbucketsim.Repo{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bot, err := s.CreateUser(bitbucketsim.User{Name: "Magpie.Bot", Permission: "SYS_ADMIN"})
	must(err)
	reader, err := s.CreateUser(bitbucketsim.User{Name: "reader"})
	must(err)
	in.admin, err = s.CreateToken(bitbucketsim.TokenSpec{User: bot, Permissions: []string{"PROJECT_READ", "REPO_ADMIN"}})
	must(err)
	in.reader, err = s.CreateToken(bitbucketsim.TokenSpec{User: reader, Permissions: []string{"PROJECT_READ", "REPO_READ"}})
	must(err)
	for _, key := range []string{"ALPHA", "BETA"} {
		_, err = s.CreateProject(key, "Project "+key)
		must(err)
		must(s.GrantProject(reader, key, "PROJECT_READ"))
	}
	personal, err := s.CreatePersonalProject(reader)
	must(err)
	for name, key := range map[string]string{"one": "ALPHA", "two": "ALPHA", "three": "BETA", "mine": personal.Key} {
		in.repos[name], err = s.CreateRepo(key, name)
		must(err)
	}
	return in
}

func (in *instance) client(token bitbucketsim.Token) *bitbucket.Client {
	return bitbucket.New(in.Client(), in.URL(), magpie.NewSecret(token.Text), nil)
}

func all[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// last returns the error that a list ends with.
func last[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

func names(infos []bitbucket.RepoInfo) []string {
	var out []string
	for _, i := range infos {
		out = append(out, i.Repo.Name)
	}
	slices.Sort(out)
	return out
}

func TestSimulatedInventory(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			in := newInstance(t, bitbucketsim.Options{Version: version, ContextPath: "/bitbucket"})
			in.SetMaxLimit(2)
			in.SetSparsePages(true)
			c, ctx := in.client(in.admin), t.Context()

			if base, err := bitbucket.ParseBaseURL(in.URL() + "/"); err != nil || base != in.URL() {
				t.Errorf("ParseBaseURL = %q, %v, want %q", base, err, in.URL())
			}
			got, err := c.Probe(ctx)
			if want := (bitbucket.Instance{Version: version, Username: "Magpie.Bot"}); err != nil || got != want {
				t.Errorf("Probe = %+v, %v, want %+v", got, err, want)
			}
			if admin, err := c.IsSysAdmin(ctx, "Magpie.Bot"); err != nil || !admin {
				t.Errorf("IsSysAdmin = %v, %v, want true", admin, err)
			}
			var keys []string
			for _, p := range all(t, c.Projects(ctx)) {
				keys = append(keys, p.Key)
			}
			if diff := cmp.Diff([]string{"ALPHA", "BETA"}, keys); diff != "" {
				t.Errorf("projects (-want +got)\n%s", diff)
			}
			if version != "7.6.0" {
				if err := in.Archive(in.repos["two"].ID, true); err != nil {
					t.Fatal(err)
				}
			}
			infos := all(t, c.AllRepos(ctx, bitbucket.ScopeVisible))
			if diff := cmp.Diff([]string{"mine", "one", "three", "two"}, names(infos)); diff != "" {
				t.Errorf("repositories (-want +got)\n%s", diff)
			}
			for _, i := range infos {
				if got, want := i.Repo.CloneURL, in.CloneURL(int(i.Repo.RemoteID)); got != want {
					t.Errorf("%s: clone address %q, want %q", i.Repo.Name, got, want)
				}
				if got, want := i.Project.Personal, i.Repo.Name == "mine"; got != want {
					t.Errorf("%s: personal = %v, want %v", i.Repo.Name, got, want)
				}
				if got, want := i.Repo.State == magpie.RepoArchived, i.Repo.Name == "two" && version != "7.6.0"; got != want {
					t.Errorf("%s: state %q", i.Repo.Name, i.Repo.State)
				}
			}
			if diff := cmp.Diff([]string{"one", "two"}, names(all(t, c.ProjectRepos(ctx, "ALPHA")))); diff != "" {
				t.Errorf("repositories of ALPHA (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff([]string{"mine"}, names(all(t, c.ProjectRepos(ctx, in.repos["mine"].Project)))); diff != "" {
				t.Errorf("repositories of the personal project (-want +got)\n%s", diff)
			}
			if got := in.Counts().WithCookies; got != 0 {
				t.Errorf("%d requests sent a cookie, want none", got)
			}
		})
	}
}

func TestSimulatedScope(t *testing.T) {
	t.Parallel()
	in := newInstance(t, bitbucketsim.Options{})
	c := in.client(in.reader)
	if got := names(all(t, c.AllRepos(t.Context(), bitbucket.ScopeVisible))); len(got) != 4 {
		t.Errorf("the reader sees %v, want all four", got)
	}
	if got := names(all(t, c.AllRepos(t.Context(), bitbucket.ScopeAdmin))); slices.Contains(got, "one") {
		t.Errorf("the reader administers %v, want not those of a project", got)
	}
	if admin, err := c.IsSysAdmin(t.Context(), "reader"); err != nil || admin {
		t.Errorf("IsSysAdmin = %v, %v, want false", admin, err)
	}
}

func TestSimulatedRefusals(t *testing.T) {
	t.Parallel()
	in := newInstance(t, bitbucketsim.Options{})
	ctx := t.Context()
	admin, reader := in.client(in.admin), in.client(in.reader)
	stranger := bitbucket.New(in.Client(), in.URL(), magpie.NewSecret("made-up"), nil)
	_, strangerProbe := stranger.Probe(ctx)
	_, noProject := admin.Repo(ctx, "NONE", "one")
	_, noRepo := admin.Repo(ctx, "ALPHA", "none")
	for name, tc := range map[string]struct {
		err  error
		kind magpie.Kind
	}{
		"unknown token, probe":    {strangerProbe, magpie.KindTokenInvalid},
		"unknown token, list":     {last(stranger.Webhooks(ctx, "ALPHA", "one")), magpie.KindTokenInvalid},
		"reader's webhooks":       {last(reader.Webhooks(ctx, "ALPHA", "one")), magpie.KindForbidden},
		"no such project":         {noProject, magpie.KindNotFound},
		"no such repository":      {noRepo, magpie.KindNotFound},
		"list of no such project": {last(admin.ProjectRepos(ctx, "NONE")), magpie.KindNotFound},
	} {
		if got := magpie.KindOf(tc.err); got != tc.kind {
			t.Errorf("%s: got %v (kind %q), want kind %q", name, tc.err, got, tc.kind)
		}
	}
}

func TestSimulatedTokenDies(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(*instance) error{
		"expired":       func(in *instance) error { return in.ExpireToken(in.admin.ID) },
		"revoked":       func(in *instance) error { return in.RevokeToken(in.admin.ID) },
		"user disabled": func(in *instance) error { return in.SetActive("magpie.bot", false) },
		"no licence":    func(in *instance) error { return in.SetLicensed("magpie.bot", false) },
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, strict %v", name, strict), func(t *testing.T) {
				t.Parallel()
				in := newInstance(t, bitbucketsim.Options{})
				in.SetStrictProbe(strict)
				c := in.client(in.admin)
				if _, err := c.Probe(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := kill(in); err != nil {
					t.Fatal(err)
				}
				want := magpie.KindTokenInvalid
				if name == "no licence" {
					want = magpie.KindNoLicence
				}
				_, err := c.Probe(t.Context())
				for what, err := range map[string]error{"probe": err, "webhooks": last(c.Webhooks(t.Context(), "ALPHA", "one"))} {
					if got := magpie.KindOf(err); got != want {
						t.Errorf("%s: got %v (kind %q), want kind %q", what, err, got, want)
					}
				}
			})
		}
	}
}

func TestSimulatedTrouble(t *testing.T) {
	t.Parallel()
	in := newInstance(t, bitbucketsim.Options{})
	c, ctx := in.client(in.admin), t.Context()

	in.SetRateLimit(bitbucketsim.RateLimit{Capacity: 3, FillRate: 20, RetryAfter: 1})
	for range 3 {
		if got := len(all(t, c.AllRepos(ctx, bitbucket.ScopeAdmin))); got != 4 {
			t.Errorf("%d repositories under a rate limit, want 4", got)
		}
	}
	in.SetRateLimit(bitbucketsim.RateLimit{})

	in.FailRequests(0.3, http.StatusBadGateway)
	for range 5 {
		if err := last(c.Projects(ctx)); err != nil && magpie.KindOf(err) != magpie.KindUnavailable {
			t.Errorf("with some requests failing: %v, want success or KindUnavailable", err)
		}
	}
	in.FailRequests(0, 0)

	in.SetMaintenance(true)
	if err := last(c.Projects(ctx)); magpie.KindOf(err) != magpie.KindUnavailable {
		t.Errorf("in maintenance: %v, want KindUnavailable", err)
	}
	in.SetMaintenance(false)

	for kind, name := range map[bitbucketsim.CertKind]string{
		bitbucketsim.CertExpired: "expired", bitbucketsim.CertWrongHost: "wrong host", bitbucketsim.CertUntrusted: "untrusted",
	} {
		if err := in.UseCertificate(kind); err != nil {
			t.Fatal(err)
		}
		fresh := in.client(in.admin) // a new connection
		if _, err := fresh.Probe(ctx); magpie.KindOf(err) != magpie.KindUnavailable {
			t.Errorf("%s certificate: %v, want KindUnavailable", name, err)
		}
	}
}

func TestSimulatedTooOld(t *testing.T) {
	t.Parallel()
	in := newInstance(t, bitbucketsim.Options{Version: "7.5.0"})
	_, err := in.client(in.admin).Probe(t.Context())
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok || e.Kind != magpie.KindInvalid || !strings.Contains(e.Message, "7.5.0") {
		t.Errorf("got %v, want KindInvalid that names 7.5.0", err)
	}
}

func TestSimulatedRename(t *testing.T) {
	t.Parallel()
	for _, mode := range []bitbucketsim.RenameMode{bitbucketsim.RenameAlias, bitbucketsim.RenameRedirect} {
		in := newInstance(t, bitbucketsim.Options{})
		in.SetRenameMode(mode)
		id := in.repos["one"].ID
		if err := errors.Join(in.Rename(id, "First One"), in.Move(id, "BETA")); err != nil {
			t.Fatal(err)
		}
		got, err := in.client(in.admin).Repo(t.Context(), "ALPHA", "one")
		if err != nil || got.Repo.RemoteID != int64(id) || got.Repo.FullName() != "BETA/first-one" {
			t.Errorf("mode %v: got %s with id %d, %v, want BETA/first-one with id %d", mode, got.Repo.FullName(), got.Repo.RemoteID, err, id)
		}
	}
}

// delivery is what a webhook receiver got.
type delivery struct {
	header http.Header
	body   []byte
}

// receiver starts a server that hands on what it gets.
func receiver(t *testing.T) (string, <-chan delivery) {
	t.Helper()
	got := make(chan delivery, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- delivery{r.Header, body}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hooks/bitbucket/abc", got
}

func next(t *testing.T, from <-chan delivery) delivery {
	t.Helper()
	select {
	case d := <-from:
		return d
	case <-time.After(time.Minute):
		t.Fatal("nothing was delivered")
		return delivery{}
	}
}

// The whole life of a webhook: installed, kept single, used for a push and a rename, removed.
func TestSimulatedWebhook(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			in := newInstance(t, bitbucketsim.Options{Version: version})
			c, ctx := in.client(in.admin), t.Context()
			url, deliveries := receiver(t)
			secret := magpie.NewSecret("made-up-hook-" + version)
			spec := bitbucket.HookSpec{Name: "Magpie", URL: url, Secret: secret}
			foreign := bitbucket.HookSpec{Name: "CI", URL: url + "/ci", Secret: secret}

			if branch, err := c.DefaultBranch(ctx, "ALPHA", "one"); err != nil || branch != "" {
				t.Errorf("default branch of an empty repository = %q, %v, want none", branch, err)
			}
			other, err := c.CreateWebhook(ctx, "ALPHA", "one", foreign)
			if err != nil {
				t.Fatal(err)
			}
			first, err := c.CreateWebhook(ctx, "ALPHA", "one", spec)
			if err != nil {
				t.Fatal(err)
			}
			again, err := c.UpdateWebhook(ctx, "ALPHA", "one", first.ID, spec)
			if err != nil || again.ID != first.ID {
				t.Errorf("updated: id %d, %v, want %d", again.ID, err, first.ID)
			}
			if err := c.DeleteWebhook(ctx, "ALPHA", "one", other.ID); err != nil {
				t.Fatal(err)
			}
			hooks := all(t, c.Webhooks(ctx, "ALPHA", "one"))
			want := []bitbucket.Webhook{{ID: first.ID, Name: "Magpie", URL: url, Events: bitbucket.HookEvents, Active: true}}
			if diff := cmp.Diff(want, hooks); diff != "" {
				t.Errorf("webhooks (-want +got)\n%s", diff)
			}

			pushed, err := in.Push(bitbucketsim.Push{Repo: in.repos["one"].ID, Commits: []bitbucketsim.Commit{{Files: map[string]string{"a.txt": "a"}}}})
			if err != nil {
				t.Fatal(err)
			}
			push := parse(t, next(t, deliveries), secret)
			wantPush := magpie.Push{
				RemoteRepoID: int64(in.repos["one"].ID), RequestID: push.RequestID, EventKey: bitbucket.EventRefsChanged, Actor: "Magpie.Bot",
				Changes: []magpie.RefChange{{Ref: "refs/heads/main", From: magpie.Hash(pushed.Changes[0].From), To: magpie.Hash(pushed.Changes[0].To), Type: magpie.ChangeAdd}},
			}
			if age := time.Since(push.SentAt); age < -time.Minute || age > time.Minute {
				t.Errorf("sent at %v, want about now", push.SentAt)
			}
			push.SentAt = time.Time{}
			if diff := cmp.Diff(wantPush, push); diff != "" {
				t.Errorf("push (-want +got)\n%s", diff)
			}
			if branch, err := c.DefaultBranch(ctx, "ALPHA", "one"); err != nil || branch != "refs/heads/main" {
				t.Errorf("default branch = %q, %v, want refs/heads/main", branch, err)
			}

			if err := in.Rename(in.repos["one"].ID, "uno"); err != nil {
				t.Fatal(err)
			}
			if got := parse(t, next(t, deliveries), secret); got.EventKey != bitbucket.EventModified || got.RemoteRepoID != int64(in.repos["one"].ID) {
				t.Errorf("after a rename: %+v, want repo:modified of the same repository", got)
			}
			if err := c.DeleteWebhook(ctx, "ALPHA", "uno", first.ID); err != nil {
				t.Error(err)
			}
			if got := in.Webhooks(); len(got) != 0 {
				t.Errorf("%d webhooks left, want none", len(got))
			}
		})
	}
}

// parse checks a delivery as the receiver of the product does.
func parse(t *testing.T, d delivery, secret magpie.Secret) magpie.Push {
	t.Helper()
	signature := d.header.Get("X-Hub-Signature")
	if !bitbucket.VerifySignature(secret, signature, d.body) {
		t.Errorf("the signature %q does not verify", signature)
	}
	if bitbucket.VerifySignature(secret, signature, append(d.body, ' ')) {
		t.Error("a changed body verifies")
	}
	push, err := bitbucket.ParseEvent(d.header.Get("X-Event-Key"), d.header.Get("X-Request-Id"), d.body)
	if err != nil {
		t.Fatal(err)
	}
	if push.RequestID == "" {
		t.Error("no request id")
	}
	return push
}
