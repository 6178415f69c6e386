package perimeter

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/guard"
	"magpie/internal/store/storetest"
)

// refusal is how a check must end.
type refusal struct {
	kind    magpie.Kind
	field   string
	message string // part of it
	hint    string // part of it
}

func (b *bench) checkRefusal(err error, want refusal) {
	b.Helper()
	e := asPublic(err)
	if e == nil || e.Kind != want.kind || e.Field != want.field || !strings.Contains(e.Message, want.message) || !strings.Contains(e.Hint, want.hint) || e.Hint == "" {
		b.Errorf("got %#v, want %+v", err, want)
	}
	if e != nil && strings.Contains(e.Message+e.Hint, b.token.Text) {
		b.Error("the refusal repeats the token")
	}
}

// B3, B21, B22: what is no address of a Bitbucket is refused before anything is asked, with what to type instead.
func TestCheckAddress(t *testing.T) {
	t.Parallel()
	b := start(t, bitbucketsim.Options{}, storetest.SQLite(t))
	b.run()
	url := b.sim.URL()
	host := strings.TrimPrefix(url, "https://")
	b.sim.ResetCounts()
	for name, tc := range map[string]struct{ url, message, hint string }{
		"not https":         {"http://" + host, "must start with https://", "type https://"},
		"no scheme":         {host, "does not start with https://", "type " + url},
		"a page":            {url + "/projects/ALPHA", "a page inside Bitbucket (/projects/ALPHA)", "type " + url},
		"a page to browse":  {url + "/browse", "a page inside Bitbucket (/browse)", "type " + url},
		"a page in context": {url + "/bitbucket/projects", "more than one path segment (/bitbucket/projects)", "type " + url + "/bitbucket"},
		"credentials":       {"https://u:p@" + host, "user name or password", "type " + url},
		"query":             {url + "?at=main", "query (the part from ? on)", "type " + url},
		"fragment":          {url + "#top", "fragment (the part from # on)", "type " + url},
		"blanks within":     {"https://bit bucket.example", "can't be read", "https://bitbucket.example"},
		"nothing":           {" ", "missing", "https://"},
		"cloud":             {"https://bitbucket.org/team", "Bitbucket Cloud", "magpie scan in a pipeline"},
		"cloud's API":       {"https://api.bitbucket.org", "Bitbucket Cloud", "magpie scan in a pipeline"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.T = t
			_, err := b.Check(t.Context(), magpie.ModeInstance, tc.url, magpie.NewSecret(b.token.Text))
			b.checkRefusal(err, refusal{magpie.KindInvalid, "url", tc.message, tc.hint})
		})
	}
	if n := b.sim.Counts().Total; n != 0 {
		t.Errorf("%d requests were made for addresses that can't be right", n)
	}
	for _, sloppy := range []string{"  " + url + "/  ", strings.Replace(url, "https", "HTTPS", 1) + "//"} {
		if p, err := b.Check(b.ctx, magpie.ModeInstance, sloppy, magpie.NewSecret(" "+b.token.Text+"\n")); err != nil || p.BaseURL != url {
			t.Errorf("%q is connected as %q, %v, want %s", sloppy, p.BaseURL, err, url)
		}
	}
}

// What answers there, and what keeps us from it: each has its own sentence and remedy (B8, B10).
func TestCheckServer(t *testing.T) {
	t.Parallel()
	const probe = "/application-properties"
	for name, tc := range map[string]struct {
		version string
		trouble func(s *bitbucketsim.Server)
		closed  bool // loopback is not permitted
		want    refusal
	}{
		"a web page":       {trouble: failing(bitbucketsim.Failure{Share: 1, Status: 200, Body: bitbucketsim.BodyHTML, Path: probe}), want: refusal{magpie.KindInvalid, "url", "is not a Bitbucket", "start page"}},
		"something else":   {trouble: failing(bitbucketsim.Failure{Share: 1, Status: 200, Body: bitbucketsim.BodyJSON, Path: probe}), want: refusal{magpie.KindInvalid, "url", "is not a Bitbucket", "start page"}},
		"not there":        {trouble: failing(bitbucketsim.Failure{Share: 1, Status: 404, Body: bitbucketsim.BodyHTML, Path: probe}), want: refusal{magpie.KindInvalid, "url", "is not a Bitbucket", "start page"}},
		"too old":          {version: "7.5.2", want: refusal{magpie.KindInvalid, "url", "Bitbucket 7.5.2; Magpie needs 7.6 or later", "upgraded"}},
		"maintenance":      {trouble: func(s *bitbucketsim.Server) { s.SetMaintenance(true) }, want: refusal{magpie.KindUnavailable, "", "503", ""}},
		"certificate old":  {trouble: certificate(bitbucketsim.CertExpired), want: refusal{magpie.KindUnavailable, "url", "expired on", ""}},
		"certificate name": {trouble: certificate(bitbucketsim.CertWrongHost), want: refusal{magpie.KindUnavailable, "url", "for another name", ""}},
		"certificate CA":   {trouble: certificate(bitbucketsim.CertUntrusted), want: refusal{magpie.KindUnavailable, "url", "authority that this machine does not trust", "MAGPIE_CA_FILE"}},
		"private address":  {closed: true, want: refusal{magpie.KindInvalid, "url", "are not permitted: it is a loopback address", "MAGPIE_OUTGOING_ALLOW"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, bitbucketsim.Options{Version: tc.version}, storetest.SQLite(t))
			b.run()
			if tc.trouble != nil {
				tc.trouble(b.sim)
			}
			if tc.closed {
				b.opts.HTTP = guard.New(guard.Options{}).Client(10 * time.Second)
			}
			_, err := b.Connect(b.ctx, owner, ConnectInput{Mode: magpie.ModeInstance, URL: b.sim.URL(), Token: magpie.NewSecret(b.token.Text)})
			b.checkRefusal(err, tc.want)
			if n := b.count("SELECT count(*) FROM integration"); n != 0 {
				t.Error("a refused instance was stored")
			}
		})
	}
}

func failing(f bitbucketsim.Failure) func(*bitbucketsim.Server) {
	return func(s *bitbucketsim.Server) { s.SetFailures(f) }
}

func certificate(kind bitbucketsim.CertKind) func(*bitbucketsim.Server) {
	return func(s *bitbucketsim.Server) { must(0, s.UseCertificate(kind)) }
}

// Repositories without permission are named, ten of them at most, and counted (B5).
func TestCheckNamesRepositories(t *testing.T) {
	t.Parallel()
	b := start(t, bitbucketsim.Options{}, storetest.SQLite(t))
	b.run()
	must(b.sim.CreateUser(bitbucketsim.User{Name: "lead"}))
	must(b.sim.CreateProject("MANY", "Many"))
	must(0, b.sim.GrantProject("lead", "MANY", "PROJECT_READ"))
	for n := range 12 {
		must(b.sim.CreateRepo("MANY", fmt.Sprintf("r%02d", n)))
	}
	token := magpie.NewSecret(b.newToken("lead").Text)
	_, err := b.Check(b.ctx, magpie.ModeProject, b.sim.URL(), token)
	b.checkRefusal(err, refusal{magpie.KindForbidden, "token", "Repository admin permission in any project (it can only read MANY/r00, MANY/r01", "Repository admin"})
	if e := asPublic(err); e != nil && (!strings.Contains(e.Message, "MANY/r09 and 2 more") || strings.Contains(e.Message, "MANY/r10")) {
		t.Errorf("message %q, want ten names and the number of the rest", e.Message)
	}
	must(0, b.sim.GrantProject("lead", "ALPHA", "PROJECT_ADMIN"))
	p, err := b.Check(b.ctx, magpie.ModeProject, b.sim.URL(), token)
	if err != nil || p.ReposAdmin != 2 || p.Repos != 14 || len(p.NoAdmin) != 10 || len(p.Installable) != 1 || p.Installable[0].Key != "ALPHA" {
		t.Errorf("probe %+v, %v; want 2 of 14 repositories and ten names", p, err)
	}
}

// The check lists; it asks about no repository by itself.
func TestCheckIsCheap(t *testing.T) {
	t.Parallel()
	b := start(t, bitbucketsim.Options{}, storetest.SQLite(t))
	b.run()
	must(b.sim.CreateRepos("ALPHA", 2000, bitbucketsim.Seed{}))
	b.sim.ResetCounts()
	p, err := b.Check(b.ctx, magpie.ModeInstance, b.sim.URL(), magpie.NewSecret(b.token.Text))
	if err != nil || p.Repos != 2005 || p.ReposAdmin != 2005 || p.SysAdmin != "yes" {
		t.Fatalf("probe %+v, %v", p, err)
	}
	if n := b.sim.Counts().Total; n > 20 {
		t.Errorf("%d requests for 2005 repositories, want no more than their pages", n)
	}
}

// B25, B32: several instances side by side, and several tokens on one, each with its own token and projects.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	eachGrace(t, 0, func(b *bench, l *told) {
		whole := b.connected()
		second := start(b.T, bitbucketsim.Options{}, "")
		b.opts.HTTP = trustingBoth(b, second)
		for _, user := range []string{"one", "two"} {
			must(second.sim.CreateUser(bitbucketsim.User{Name: user}))
		}
		must(0, second.sim.GrantProject("one", "ALPHA", "PROJECT_ADMIN"))
		must(0, second.sim.GrantProject("two", "BETA", "PROJECT_ADMIN"))
		ids := map[string]magpie.IntegrationID{}
		for user, project := range map[string]string{"one": "ALPHA", "two": "BETA"} {
			i := must(b.Connect(b.ctx, owner, ConnectInput{Mode: magpie.ModeProject, URL: second.sim.URL(), Token: magpie.NewSecret(second.newToken(user).Text)}))
			ids[user] = i.ID
			offered := b.available(i.ID)
			if len(offered) != 1 || offered[0].Key != project {
				b.Fatalf("%s is offered %+v, want %s alone", user, offered, project)
			}
			b.install(i.ID, offered[0].ID, true)
		}
		if n := len(second.sim.Webhooks()); n != 4 {
			b.Errorf("%d webhooks at the second instance, want 4", n)
		}
		must(0, second.sim.SetActive("one", false))
		b.pass(defaultEvery)
		if b.integrationRow(ids["one"]).State != magpie.IntegrationTokenInvalid || b.integrationRow(ids["two"]).State != magpie.IntegrationActive ||
			b.integrationRow(whole.ID).State != magpie.IntegrationActive || len(l.heard()) != 1 {
			b.Errorf("one dead token told %v and changed others", l.heard())
		}
	})
}

// trustingBoth returns a client that trusts the authorities of two simulated instances.
func trustingBoth(a, b *bench) *http.Client {
	roots := x509.NewCertPool()
	for _, s := range []*bench{a, b} {
		roots.AppendCertsFromPEM(s.sim.CACertificate())
	}
	return guard.New(guard.Options{RootCAs: roots, AllowPrivate: must(guard.ParseAllow("loopback"))}).Client(30 * time.Second)
}

// The pipeline for Bitbucket Cloud is YAML, clones everything, and runs a command that exists.
func TestCloudPipeline(t *testing.T) {
	t.Parallel()
	var got struct {
		Clone     struct{ Depth string }
		Pipelines struct {
			Default []struct{ Step struct{ Script []string } }
		}
	}
	if err := yaml.Unmarshal([]byte(CloudPipeline), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Pipelines.Default) != 1 || got.Clone.Depth != "full" || got.Pipelines.Default[0].Step.Script[0] != "magpie scan --no-progress ." {
		t.Errorf("pipeline %+v", got)
	}
}
