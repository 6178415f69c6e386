package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

// delivered stores events that were under way for so long.
func (w *world) delivered(r magpie.Repo, n int, late time.Duration) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		for i := range n {
			received := time.Now().Add(-time.Duration(n-i) * time.Minute)
			_, err := tx.AddDelivery(w.ctx, store.Delivery{
				ID: store.NewID[magpie.DeliveryID](), RepoID: r.ID, ReceivedAt: received,
				Push: magpie.Push{RequestID: fmt.Sprint("request-", i), EventKey: "repo:refs_changed", SentAt: received.Add(-late)},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func TestTuningIsShown(t *testing.T) {
	t.Parallel()
	const settings = "/settings/integrations/bitbucket"
	properties := []string{"plugin.webhooks.io.threads", "Default 3", "plugin.webhooks.http.connection.host.max", "Default 5"}
	empty := newWorld(t).people()
	empty.as(empty.manager).get(settings).want(t, http.StatusOK).has(t, properties...).lacks(t, "95 of 100", "Too few events")

	few := newWorld(t).people().bitbucket()
	few.as(few.manager).get(settings).want(t, http.StatusOK).has(t, properties...).has(t, "Too few events to tell yet").lacks(t, "Half come within")

	for name, c := range map[string]struct {
		late time.Duration
		has  []string
		warn bool
	}{
		"fast": {time.Second, []string{"Deliveries are fast", "1.0 s", "30 events, the first"}, false},
		"slow": {90 * time.Second, []string{"Deliveries are late", "1 min 30 s", "plugin.webhooks.io.threads=6", "Half come within", "Longest", "Busiest ten seconds", "events a minute"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).people().bitbucket()
			w.delivered(w.repo("APP", "service", nil), 30, c.late)
			got := w.as(w.member).get(settings).want(t, http.StatusOK).has(t, properties...).has(t, c.has...)
			if warned := strings.Contains(got.body, "notice-warn"); warned != c.warn {
				t.Errorf("the page warns: %v, want %v", warned, c.warn)
			}
		})
	}
}

func TestRhythm(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	w.as(w.member).get("/settings/integrations/bitbucket").want(t, http.StatusOK).has(t, "are read every 15 minutes", "every hour all refs")
	for d, want := range map[time.Duration]string{
		time.Minute: "minute", 90 * time.Minute: "90 minutes", 3 * time.Hour: "3 hours", 24 * time.Hour: "day", 10 * time.Second: "10 seconds", 1500 * time.Millisecond: "1.5s",
	} {
		if got := every(d); got != want {
			t.Errorf("%v is every %s, want every %s", d, got, want)
		}
	}
}

func TestSyncTellsHowFarItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	w.repo("APP", "one", nil)
	w.repo("APP", "two", nil)
	b := w.as(w.manager)
	b.get("/settings/integrations/bitbucket").want(t, http.StatusOK).lacks(t, "known so far")
	b.post("/settings/integrations/bitbucket/"+string(w.integration.ID)+"/sync", nil).want(t, http.StatusSeeOther)
	b.get("/settings/integrations/bitbucket").want(t, http.StatusOK).has(t, "Sync under way", "reading repositories: 2 known so far")
}

// TestCheckResult holds what the check of a connection says, the repositories that the token may not administer included.
func TestCheckResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	page, err := w.pages().bitbucket(w.ctx, w.manager)
	if err != nil {
		t.Fatal(err)
	}
	page.Of = w.integration.ID
	page.Probe = &perimeter.Probe{
		Version: "9.4.3", TokenUser: "magpie-bot", SysAdmin: "unknown", Projects: 4, Repos: 30, Archived: 2, ReposAdmin: 16,
		TokenExpires: time.Date(2031, 12, 24, 0, 0, 0, 0, time.UTC),
	}
	for n := range 10 {
		page.Probe.NoAdmin = append(page.Probe.NoAdmin, fmt.Sprintf("APP/out-%d", n))
	}
	show := func() string {
		var b strings.Builder
		if err := bitbucketView(frame{Title: "Bitbucket", User: w.manager, Section: sectionSettings}, page).Render(w.ctx, &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	body := show()
	for _, want := range []string{
		"the token works", "no token can prove it", "24 Dec 2031", "4 projects, 30 repositories, of these 2 archived", "16 repositories",
		"give magpie-bot Admin there", "<code>APP/out-0</code>", "<code>APP/out-9</code>", "and 2 more",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the result lacks %q", want)
		}
	}
	page.Probe.NoAdmin, page.Probe.ReposAdmin, page.Probe.SysAdmin, page.Probe.TokenNeverExpires = nil, 28, "yes", true
	if body = show(); strings.Contains(body, "Admin there") || strings.Contains(body, "no token can prove it") || strings.Contains(body, "24 Dec 2031") {
		t.Error("a token that may do everything is said to lack something")
	}
}

func TestInsightsOfAProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	w.repo("APP", "service", nil)
	b, app := w.as(w.manager), w.projects["APP"].ID
	refuse := func(why string) {
		w.write(func(tx *store.Tx) error {
			_, err := tx.SetInsightsError(w.ctx, app, why)
			return err
		})
	}
	b.get("/perimeter").want(t, http.StatusOK).lacks(t, "Required report key", w.opts.InsightKey)
	b.post("/perimeter/projects/"+string(app), url.Values{"insights": {"on", "off"}}).want(t, http.StatusSeeOther)
	b.get("/perimeter").want(t, http.StatusOK).has(t, "Required report key", w.opts.InsightKey).lacks(t, "Code Insights: ")
	refuse("You are not permitted to do that: the permission REPO_WRITE is missing")
	b.get("/perimeter").want(t, http.StatusOK).has(t, "Code Insights: you are not permitted", "Give magpie-bot Write")
	refuse("Reports are switched off")
	b.get("/perimeter").want(t, http.StatusOK).has(t, "Code Insights: reports are switched off", "The next push tries it again").lacks(t, "Give magpie-bot Write")
	w.as(w.member).get("/perimeter").want(t, http.StatusOK).has(t, "Code Insights: ").lacks(t, "Required report key")
	b.post("/perimeter/projects/"+string(app), url.Values{"insights": {"off"}}).want(t, http.StatusSeeOther)
	b.get("/perimeter").want(t, http.StatusOK).lacks(t, "Required report key", "Code Insights: ")
}
