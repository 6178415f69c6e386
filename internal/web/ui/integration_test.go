package ui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/store"
)

// TestIntegrationStates walks an integration through what can happen to its token.
func TestIntegrationStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	b, member := w.as(w.manager), w.as(w.member)
	settings, base := "/settings/integrations/bitbucket", "/settings/integrations/bitbucket/"+string(w.integration.ID)
	w.repo("APP", "one", nil)
	w.repo("APP", "two", nil)
	set := func(state magpie.IntegrationState, why string) {
		w.write(func(tx *store.Tx) error {
			_, err := tx.SetIntegrationState(w.ctx, w.integration.ID, state, why, time.Now())
			return err
		})
	}
	b.get("/scans").want(t, http.StatusOK).lacks(t, "Replace the token")
	for _, c := range []struct {
		state         magpie.IntegrationState
		badge, banner string
	}{
		{magpie.IntegrationTokenInvalid, "Token invalid", "refuses the token of https://bitbucket.example.com"},
		{magpie.IntegrationNoLicence, "No licence", "has no licence for magpie-bot"},
		{magpie.IntegrationNoPermission, "Permission missing", "lost a permission"},
	} {
		set(c.state, "Bitbucket said so")
		b.get(settings).want(t, http.StatusOK).has(t, c.badge, "Bitbucket said so")
		for _, path := range []string{"/", "/incidents", "/scans", "/coverage", "/account"} {
			b.get(path).want(t, http.StatusOK).has(t, c.banner)
		}
		member.get("/perimeter").want(t, http.StatusOK).has(t, c.banner)
		perimeter := w.as(w.manager).get("/perimeter").want(t, http.StatusOK).has(t, `class="reason">Bitbucket said so.`)
		if n := strings.Count(perimeter.body, "Bitbucket said so."); n != 1 {
			t.Errorf("%s: the perimeter says %d times why, want once", c.state, n)
		}
	}
	set(magpie.IntegrationActive, "")

	// A token that ends.
	b.post(base+"/expiry", url.Values{"expires": {"soon"}}).want(t, http.StatusUnprocessableEntity).has(t, "This is not a date", `aria-invalid="true"`)
	soon := time.Now().Add(5*24*time.Hour + time.Hour)
	b.post(base+"/expiry", url.Values{"expires": {soon.UTC().Format(time.DateOnly)}}).want(t, http.StatusSeeOther)
	b.get(settings).want(t, http.StatusOK).has(t, "Expires in", soon.UTC().Format("2 Jan 2006"), `value="`+soon.UTC().Format(time.DateOnly)+`"`)
	b.get("/scans").want(t, http.StatusOK).has(t, "The token of https://bitbucket.example.com: expires in")
	b.post(base+"/expiry", url.Values{"expires": {"2199-01-02"}}).want(t, http.StatusSeeOther)
	b.get(settings).has(t, "2 Jan 2199").lacks(t, "Expires in")
	b.get("/scans").lacks(t, "expires in")
	b.post(base+"/expiry", url.Values{"expires": {""}}).want(t, http.StatusSeeOther)
	b.get(settings).has(t, "never, or not known")
	b.post(base+"/token", url.Values{"token": {"made-up"}, "expires": {"31.12.2031"}}).want(t, http.StatusUnprocessableEntity).has(t, "This is not a date").lacks(t, "made-up")
	b.post(settings+"/new", url.Values{"mode": {"instance"}, "url": {"https://b.example.com"}, "token": {"made-up"}, "expires": {"x"}}).
		want(t, http.StatusUnprocessableEntity).has(t, `id="expires-error"`).lacks(t, "made-up")

	// What stayed behind.
	w.write(func(tx *store.Tx) error {
		return tx.Audit(w.ctx, magpie.User{}, "integration.removed", "https://old.example.com", "webhooks could not be deleted and are left on APP/service")
	})
	b.get(settings).want(t, http.StatusOK).has(t, "Removed lately", "https://old.example.com", "left on APP/service")
	member.get(settings).want(t, http.StatusOK).lacks(t, "Removed lately")
}

func TestGraceIsNoDeadToken(t *testing.T) {
	t.Parallel()
	now := time.Now()
	i := magpie.Integration{BaseURL: "https://b.example.com", State: magpie.IntegrationActive, StateReason: "Bitbucket refuses the token since noon; it is asked again until one", AuthFailingSince: now}
	if got := integrationBadge(i); got.Label != "Token refused" || got.Tone != "warn" {
		t.Errorf("in the grace period the badge is %+v", got)
	}
	alarms := integrationAlarms([]magpie.Integration{i}, now)
	if len(alarms) != 1 || alarms[0].Tone != "warn" {
		t.Errorf("in the grace period the alarms are %+v", alarms)
	}
	i.Removing = true
	if alarms := integrationAlarms([]magpie.Integration{i}, now); len(alarms) != 0 {
		t.Errorf("an integration that is being removed raises %+v", alarms)
	}
	for left, want := range map[time.Duration]string{-time.Hour: "Expired", time.Hour: "Expires within a day", 80 * time.Hour: "Expires in 3 days", 15 * 24 * time.Hour: ""} {
		i.TokenExpiresAt = now.Add(left)
		if got, _ := expiryBadge(i, now); got.Label != want {
			t.Errorf("%v before its end a token says %q, want %q", left, got.Label, want)
		}
	}
}
