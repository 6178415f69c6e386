package incident_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"magpie"
	"magpie/internal/incident"
	"magpie/internal/queue"
	"magpie/internal/rule"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
	"magpie/internal/verify"
)

// vendor is where secrets of the test rule can be asked about: it accepts those that it knows.
type vendor struct {
	*httptest.Server
	asked  atomic.Int32
	status atomic.Int32 // of the next answers
}

func newVendor(t *testing.T) *vendor {
	t.Helper()
	v := &vendor{}
	v.status.Store(http.StatusOK)
	v.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.asked.Add(1)
		if got, want := r.Header.Get("Authorization"), "Bearer "+string(secret(1).Reveal()); got != want {
			t.Error("the vendor got another value than the one that was found")
		}
		w.WriteHeader(int(v.status.Load()))
		_, _ = io.WriteString(w, `{"id":1}`)
	}))
	t.Cleanup(v.Close)
	return v
}

// checking runs test on both databases with a service that asks the vendor, and jobs that run.
func checking(t *testing.T, on bool, test func(t *testing.T, b *bundle, v *vendor)) {
	t.Helper()
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			b := &bundle{t: t}
			_, jobs := storetest.Open(t, address(t), func(e *queue.Engine, db *store.DB) {
				b.db = db
				o := incident.Options{DB: db, Keys: newKeys(t), Alerts: newAlerts(db), Log: slog.New(slog.DiscardHandler)}
				if on {
					o.Verify = verify.New(verify.Options{
						HTTP: v.Client(), Rate: rate.Inf, Hosts: map[string]string{"api.vendor.example": strings.TrimPrefix(v.URL, "https://")},
					})
					o.Rule = testRule
				}
				b.Service = incident.New(o)
				newAlerts(db).Register(e)
				b.Register(e)
			})
			b.robin = b.addUser("robin", magpie.RoleOwner)
			b.repo = b.addRepo("KEY", "app")
			if err := jobs.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			test(t, b, v)
		})
	}
}

// testRule is the one detector of the tests.
func testRule(id magpie.RuleID) *rule.Rule {
	return &rule.Rule{ID: id, Probe: &rule.Probe{
		Method: http.MethodGet, URL: "https://api.vendor.example/me", Headers: map[string]string{"Authorization": "Bearer {{secret}}"},
		Valid: []rule.Answer{{Status: 200, Field: "id"}}, Invalid: []rule.Answer{{Status: 401}},
	}}
}

// waitValidity polls until the one incident has been checked.
func (b *bundle) waitValidity(want magpie.Validity) magpie.Incident {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		v := b.only()
		if v.Validity == want {
			return v
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("validity %q, want %q", v.Validity, want)
		}
	}
}

func TestNewSecretIsChecked(t *testing.T) {
	t.Parallel()
	checking(t, true, func(t *testing.T, b *bundle, v *vendor) {
		v.status.Store(http.StatusServiceUnavailable)
		b.push(finding(1, "a.env", 1))
		for deadline := time.Now().Add(time.Minute); v.asked.Load() == 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the vendor was not asked")
			}
		}
		v.status.Store(http.StatusOK) // trouble that passes is asked through
		got := b.waitValidity(magpie.ValidityValid)
		if got.CheckedAt.IsZero() || got.Status != magpie.IncidentTriggered {
			t.Errorf("incident %+v, want the time of the check and nothing else changed", got)
		}
		last := fmt.Sprint(b.events(got.ID))
		if !strings.Contains(last, "checked") || strings.Contains(last, string(secret(1).Reveal())) {
			t.Errorf("history %s, want a check without the value", last)
		}
		asked := v.asked.Load()
		b.push(finding(1, "a.env", 1)) // known
		b.push(finding(1, "b.env", 2)) // known, at another place
		v.status.Store(http.StatusUnauthorized)
		result, err := b.CheckNow(t.Context(), b.robin, got.ID)
		if err != nil || result.Validity != magpie.ValidityInvalid {
			t.Errorf("CheckNow = %+v, %v, want invalid", result, err)
		}
		if n := v.asked.Load() - asked; n != 1 {
			t.Errorf("asked %d times more, want once, for the user", n)
		}
		if got := b.only().Validity; got != magpie.ValidityInvalid {
			t.Errorf("validity %q, want invalid", got)
		}
		audit := b.audit()
		if len(audit) == 0 || audit[0].Action != "incident.checked" {
			t.Errorf("audit %+v, want the check first", audit)
		}
	})
}

func TestCheckIsOffByDefault(t *testing.T) {
	t.Parallel()
	checking(t, false, func(t *testing.T, b *bundle, v *vendor) {
		b.push(finding(1, "a.env", 1))
		got := b.only()
		if got.Validity != magpie.ValidityNotChecked || !got.CheckedAt.IsZero() || b.CanCheck(got.Rule) {
			t.Errorf("validity %q at %v, want not checked", got.Validity, got.CheckedAt)
		}
		if _, err := b.CheckNow(t.Context(), b.robin, got.ID); magpie.KindOf(err) != magpie.KindConflict {
			t.Errorf("CheckNow = %v, want KindConflict", err)
		}
		if n := v.asked.Load(); n != 0 {
			t.Errorf("the vendor was asked %d times", n)
		}
	})
}

func TestCheckNowRefuses(t *testing.T) {
	t.Parallel()
	checking(t, true, func(t *testing.T, b *bundle, v *vendor) {
		b.push(finding(1, "a.env", 1))
		id := b.waitValidity(magpie.ValidityValid).ID
		asked := v.asked.Load()
		if _, err := b.CheckNow(t.Context(), magpie.User{ID: "nobody"}, id); magpie.KindOf(err) != magpie.KindForbidden {
			t.Errorf("CheckNow by nobody = %v, want KindForbidden", err)
		}
		if _, err := b.CheckNow(t.Context(), b.robin, "nothing"); magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("CheckNow of nothing = %v, want KindNotFound", err)
		}
		if v.asked.Load() != asked {
			t.Error("the vendor was asked for somebody who may not")
		}
	})
}
