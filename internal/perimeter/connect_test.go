package perimeter

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/bitbucketsim"
	"magpie/internal/store"
)

func TestConnectInstance(t *testing.T) {
	for _, version := range []string{"7.6.0", "7.21.0", "8.9.0", "9.4.0", "10.2.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			run := onSQLite
			if version == "9.4.0" { // the versions differ at Bitbucket's side only
				run = each
			}
			run(t, bitbucketsim.Options{Version: version}, func(b *bench) {
				b.sim.SetSparsePages(true)
				b.sim.SetMaxLimit(2)
				archived := b.simRepo("BETA", "Two")
				archives := !strings.HasPrefix(version, "7.")
				if archives {
					must(0, b.sim.Archive(archived, true))
				}
				i := b.connected()
				if i.Version != version || i.TokenUser != "magpie" || i.BaseURL != b.sim.URL() {
					b.Errorf("connected as %+v", i)
				}
				if got := len(b.repos()); got != 5 {
					b.Errorf("%d repositories, want 5:\n%s", got, b.describe())
				}
				for _, r := range b.repos() {
					b.checkHooked(r, !archives || r.RemoteID != int64(archived))
				}
				if got := b.looks.firsts(); got != 5 {
					b.Errorf("%d first looks, want 5", got)
				}
				if got := b.audited("integration.connected"); len(got) != 1 || got[0].Actor != owner.Email {
					b.Errorf("audit rows %v", got)
				}
				b.checkTokenSealed(i.ID)
			})
		})
	}
}

// checkHooked asserts that a monitored repository has exactly the one webhook that it should have, or none.
func (b *bench) checkHooked(r magpie.Repo, want bool) {
	b.Helper()
	hooks := b.hooksOf(r.RemoteID)
	if !want {
		if len(hooks) != 0 || r.Hook == magpie.HookInstalled {
			b.Errorf("%s has webhooks %v and state %s, want none", r.FullName(), hooks, r.Hook)
		}
		return
	}
	if len(hooks) != 1 {
		b.Errorf("%s has webhooks %v, want one", r.FullName(), hooks)
		return
	}
	h, err := store.Query(b.ctx, b.db, func(tx *store.Tx) (store.Hook, error) { return tx.HookOf(b.ctx, r.ID) })
	if err != nil {
		b.Fatal(err)
	}
	w := hooks[0]
	if w.URL != publicURL+"/hooks/bitbucket/"+string(h.ID) || int64(w.ID) != h.RemoteID || w.Name != "Magpie" || !w.Active || !w.HasSecret ||
		!slices.Equal(w.Events, bitbucket.HookEvents) {
		b.Errorf("%s has webhook %+v for row %+v", r.FullName(), w, h)
	}
	if r.Hook != magpie.HookInstalled || r.HookReason != "" {
		b.Errorf("%s has hook state %s (%s)", r.FullName(), r.Hook, r.HookReason)
	}
}

func (b *bench) checkTokenSealed(id magpie.IntegrationID) {
	b.Helper()
	sealed, err := store.Query(b.ctx, b.db, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(b.ctx, id) })
	if err != nil || bytes.Contains(sealed, []byte(b.token.Text)) || len(sealed) == 0 {
		b.Errorf("the stored token is %d bytes, and holds the token itself or not at all (%v)", len(sealed), err)
	}
}

// Under a context path, and with links and pages as odd as they come.
func TestConnectUnderContextPath(t *testing.T) {
	t.Parallel()
	onSQLite(t, bitbucketsim.Options{ContextPath: "/bitbucket"}, func(b *bench) {
		b.connected()
		for _, r := range b.repos() {
			b.checkHooked(r, true)
		}
	})
}

func TestConnectRefusals(t *testing.T) {
	t.Parallel()
	b := start(t, bitbucketsim.Options{}, "sqlite:"+t.TempDir()+"/magpie.db")
	b.run()
	must(b.sim.CreateUser(bitbucketsim.User{Name: "reader"}))
	must(0, b.sim.GrantProject("reader", "ALPHA", "PROJECT_READ"))
	must(b.sim.CreateUser(bitbucketsim.User{Name: "nobody"}))
	must(b.sim.CreateUser(bitbucketsim.User{Name: "lead"}))
	must(0, b.sim.GrantProject("lead", "ALPHA", "PROJECT_ADMIN"))
	text := func(user string, permissions ...string) string {
		return must(b.sim.CreateToken(bitbucketsim.TokenSpec{User: user, Permissions: permissions})).Text
	}
	expired := must(b.sim.CreateToken(bitbucketsim.TokenSpec{User: "magpie", Expiry: time.Now().Add(-time.Hour)})).Text
	host := b.sim.URL()[len("https://"):]
	for name, test := range map[string]struct {
		mode       magpie.Mode
		url, token string
		field      string
		kind       magpie.Kind
		message    string // part of it
	}{
		"no mode":              {"", b.sim.URL(), b.token.Text, "mode", magpie.KindInvalid, "not a way"},
		"http":                 {magpie.ModeInstance, "http://" + host, b.token.Text, "url", magpie.KindInvalid, "https://"},
		"page":                 {magpie.ModeInstance, b.sim.URL() + "/projects", b.token.Text, "url", magpie.KindInvalid, "page inside"},
		"credentials":          {magpie.ModeInstance, "https://u:p@" + host, b.token.Text, "url", magpie.KindInvalid, "password"},
		"cloud":                {magpie.ModeInstance, "https://api.bitbucket.org", b.token.Text, "url", magpie.KindInvalid, "Cloud"},
		"metadata address":     {magpie.ModeInstance, "https://169.254.169.254", b.token.Text, "url", magpie.KindInvalid, "not permitted"},
		"nobody there":         {magpie.ModeInstance, "https://127.0.0.1:1", b.token.Text, "url", magpie.KindUnavailable, "refuses connections"},
		"no token":             {magpie.ModeInstance, b.sim.URL(), " ", "token", magpie.KindInvalid, "missing"},
		"no token text":        {magpie.ModeInstance, b.sim.URL(), "a b", "token", magpie.KindInvalid, "not an access token"},
		"wrong token":          {magpie.ModeInstance, b.sim.URL(), "wrong", "token", magpie.KindTokenInvalid, "does not accept"},
		"expired token":        {magpie.ModeProject, b.sim.URL(), expired, "token", magpie.KindTokenInvalid, "does not accept"},
		"not sysadmin":         {magpie.ModeInstance, b.sim.URL(), text("lead", "REPO_ADMIN", "PROJECT_READ"), "token", magpie.KindForbidden, "lead is not a system administrator"},
		"read only":            {magpie.ModeInstance, b.sim.URL(), text("magpie", "REPO_READ", "PROJECT_READ"), "token", magpie.KindForbidden, "Repository admin permission on any of the 5"},
		"read only in project": {magpie.ModeProject, b.sim.URL(), text("reader", "REPO_ADMIN", "PROJECT_READ"), "token", magpie.KindForbidden, "Repository admin permission in any project"},
		"no project read":      {magpie.ModeProject, b.sim.URL(), text("lead", "REPO_ADMIN"), "token", magpie.KindForbidden, "Project read"},
		"sees nothing":         {magpie.ModeProject, b.sim.URL(), text("nobody", "REPO_ADMIN", "PROJECT_READ"), "token", magpie.KindForbidden, "sees no project"},
	} {
		_, err := b.Connect(b.ctx, owner, ConnectInput{Mode: test.mode, URL: test.url, Token: magpie.NewSecret(test.token)})
		b.checkRefused(name, err, test.kind, test.field, test.message)
	}
	old := start(t, bitbucketsim.Options{Version: "7.5.2"}, "")
	_, err := b.Check(b.ctx, magpie.ModeInstance, old.sim.URL(), magpie.NewSecret(old.token.Text))
	b.checkRefused("another authority", err, magpie.KindUnavailable, "url", "authority that this machine does not trust")
	trusting := New(old.options(b.db, testKeys(t)))
	_, err = trusting.Check(b.ctx, magpie.ModeInstance, old.sim.URL(), magpie.NewSecret(old.token.Text))
	b.checkRefused("too old", err, magpie.KindInvalid, "url", "needs 7.6")
	for kind, message := range map[bitbucketsim.CertKind]string{bitbucketsim.CertExpired: "expired on", bitbucketsim.CertWrongHost: "for another name"} {
		must(0, old.sim.UseCertificate(kind))
		_, err = New(old.options(b.db, testKeys(t))).Check(b.ctx, magpie.ModeInstance, old.sim.URL(), magpie.NewSecret(old.token.Text))
		b.checkRefused(message, err, magpie.KindUnavailable, "url", message)
	}
	if n := b.count("SELECT (SELECT count(*) FROM integration) + (SELECT count(*) FROM audit) + (SELECT count(*) FROM river_job)"); n != 0 {
		t.Errorf("refusals left %d rows", n)
	}
}

func (b *bench) checkRefused(name string, err error, kind magpie.Kind, field, message string) {
	b.Helper()
	e := asPublic(err)
	if e == nil || e.Kind != kind || e.Field != field || !bytes.Contains([]byte(e.Message), []byte(message)) || e.Hint == "" {
		b.Errorf("%s: got %#v, want kind %q, field %q, a message with %q and a hint", name, err, kind, field, message)
	}
}

func TestConnectTwice(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		i := b.connected()
		for _, mode := range []magpie.Mode{magpie.ModeInstance, magpie.ModeProject} {
			_, err := b.Connect(b.ctx, owner, ConnectInput{Mode: mode, URL: b.sim.URL(), Token: magpie.NewSecret(b.token.Text)})
			b.checkRefused("again as "+string(mode), err, magpie.KindConflict, "url", "already monitored as a whole")
		}
		if err := b.Remove(b.ctx, owner, i.ID); err != nil {
			b.Fatal(err)
		}
		b.eventually("the removal", func() bool { return b.count("SELECT count(*) FROM integration") == 0 })
		b.connected()
	})
}

func TestProjectMode(t *testing.T) {
	t.Parallel()
	each(t, bitbucketsim.Options{}, func(b *bench) {
		must(b.sim.CreateUser(bitbucketsim.User{Name: "lead"}))
		must(0, b.sim.GrantProject("lead", "ALPHA", "PROJECT_ADMIN"))
		must(0, b.sim.GrantProject("lead", "BETA", "PROJECT_READ"))
		b.token = b.newToken("lead")
		i := b.connect(magpie.ModeProject)
		offered := b.available(i.ID)
		if len(offered) != 1 || offered[0].Key != "ALPHA" || offered[0].Installed {
			b.Fatalf("offered %+v, want ALPHA alone, not installed", offered)
		}
		b.synced(i.ID)
		if n := len(b.repos()); n != 0 {
			b.Errorf("%d repositories before any project is installed", n)
		}
		b.install(i.ID, offered[0].ID, true)
		b.checkNames("ALPHA/one", "ALPHA/two")
		must(b.sim.CreateRepo("ALPHA", "Three"))
		must(b.sim.CreateProject("GAMMA", "Gamma"))
		must(b.sim.CreateRepo("GAMMA", "One"))
		must(0, b.sim.GrantProject("lead", "GAMMA", "PROJECT_ADMIN"))
		b.sync(i.ID)
		b.checkNames("ALPHA/one", "ALPHA/three", "ALPHA/two")
		for _, r := range b.repos() {
			b.checkHooked(r, true)
		}
		second := must(b.Connect(b.ctx, owner, ConnectInput{Mode: magpie.ModeProject, URL: b.sim.URL(), Token: magpie.NewSecret(b.token.Text)}))
		offered = b.available(second.ID)
		if err := b.InstallProject(b.ctx, owner, second.ID, offered[0].ID, true); magpie.KindOf(err) != magpie.KindConflict {
			b.Errorf("installing a project twice: %v, want a conflict", err)
		}
		_, err := b.Connect(b.ctx, owner, ConnectInput{Mode: magpie.ModeInstance, URL: b.sim.URL(), Token: magpie.NewSecret(b.newToken("magpie").Text)})
		b.checkRefused("as a whole too", err, magpie.KindConflict, "url", "certain projects")

		must(0, b.sim.Move(b.simRepo("ALPHA", "Three"), "GAMMA"))
		b.sync(i.ID)
		if r := b.repo("GAMMA/three"); r.Monitored || len(b.hooksOf(r.RemoteID)) != 0 {
			b.Errorf("a repository moved out of the installed project is still watched: %+v", r)
		}
		b.install(i.ID, b.repo("ALPHA/one").ProjectID, false)
		b.eventually("hooks taken away", func() bool { return len(b.sim.Webhooks()) == 0 })
	})
}

func (b *bench) install(i magpie.IntegrationID, p magpie.ProjectID, installed bool) {
	b.Helper()
	before := b.integrationRow(i).SyncedAt
	if err := b.InstallProject(b.ctx, owner, i, p, installed); err != nil {
		b.Fatal(err)
	}
	b.eventually("the sync after installing", func() bool { return b.integrationRow(i).SyncedAt.After(before) })
	b.settled(i)
}

func (b *bench) checkNames(want ...string) {
	b.Helper()
	var got []string
	for _, r := range b.repos() {
		got = append(got, r.FullName())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		b.Errorf("repositories %v, want %v", got, want)
	}
}
