package ui

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/time/rate"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/incident"
	"magpie/internal/rule"
	"magpie/internal/verify"
)

// TestCheckNow asks a vendor by the button, which is there only where asking is switched on.
func TestCheckNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people().bitbucket()
	o := incident.Options{DB: w.db, Keys: newKeys(t), Alerts: alert.New(alert.Options{DB: w.db, PublicURL: publicURL})}
	w.serveWith(incident.New(o))
	w.found(w.repo("APP", "service", nil), magpie.ScanPush, finding(1, "config/app.yaml"))
	b := w.as(w.member)
	b.get("/incidents/1").want(t, http.StatusOK).lacks(t, "Check now", "Is it alive?")
	b.post("/incidents/1/check", nil).want(t, http.StatusConflict)

	vendor := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":1}`) }))
	defer vendor.Close()
	o.Verify = verify.New(verify.Options{
		HTTP: vendor.Client(), Rate: rate.Inf, Hosts: map[string]string{"api.vendor.example": strings.TrimPrefix(vendor.URL, "https://")},
	})
	o.Rule = func(id magpie.RuleID) *rule.Rule {
		return &rule.Rule{ID: id, Probe: &rule.Probe{
			Method: http.MethodGet, URL: "https://api.vendor.example/me", Headers: map[string]string{"Authorization": "Bearer {{secret}}"},
			Valid: []rule.Answer{{Status: 200, Field: "id"}},
		}}
	}
	w.serveWith(incident.New(o))
	b = w.as(w.member)
	b.get("/incidents/1").want(t, http.StatusOK).has(t, "Check now").lacks(t, "Last checked")
	b.post("/incidents/1/check", nil).want(t, http.StatusSeeOther)
	b.get("/incidents/1?note=checked").want(t, http.StatusOK).
		has(t, "Its vendor accepts it", "Validity checked", "Last checked", "accepts it").lacks(t, string(secret(1).Reveal()))
}

// serveWith serves the same world from another incident service.
func (w *world) serveWith(incidents *incident.Service) {
	w.Helper()
	w.incidents, w.opts.Incidents = incidents, incidents
	handler, err := New(w.opts)
	if err != nil {
		w.Fatal(err)
	}
	w.server = httptest.NewServer(handler)
	w.Cleanup(w.server.Close)
}

func TestValidityBadge(t *testing.T) {
	t.Parallel()
	for v, want := range map[magpie.Validity]string{
		"": "", magpie.ValidityNotChecked: "", magpie.ValidityNoChecker: "", magpie.ValidityValid: "Valid", magpie.ValidityInvalid: "Invalid",
		magpie.ValidityUnknown: "Validity unknown", magpie.ValidityFailed: "Check failed",
	} {
		if got, ok := validityBadge(v); got.Label != want || ok != (want != "") {
			t.Errorf("validityBadge(%q) = %q, %t, want %q", v, got.Label, ok, want)
		}
	}
}
