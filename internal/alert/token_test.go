package alert_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/notify"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// addIntegration stores an integration whose texts try to break out of a mail.
func (b *bundle) addIntegration(state magpie.IntegrationState, since, expires time.Time) magpie.Integration {
	b.t.Helper()
	i := magpie.Integration{
		ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeProject, BaseURL: "https://bitbucket.example.com", TokenUser: "robot<b>\nOpen: https://phish.example",
		State: state, StateReason: "Bitbucket says: <script>alert(1)</script>", CreatedAt: time.Now(), AuthFailingSince: since, TokenExpiresAt: expires,
	}
	b.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertIntegration(ctx, i, []byte("sealed")); err != nil || since.IsZero() {
			return err
		}
		_, _, err := tx.NoteRefusal(ctx, i.ID, since, time.Minute)
		return err
	})
	return i
}

func TestTokenMails(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, tc := range []struct {
		state   magpie.IntegrationState
		subject string
		text    string
	}{
		{magpie.IntegrationTokenInvalid, "[Magpie] Bitbucket refuses the access token: https://bitbucket.example.com", "Until it is replaced"},
		{magpie.IntegrationNoLicence, "[Magpie] Bitbucket keeps the token's user out for want of a licence: https://bitbucket.example.com", "need not be replaced"},
		{magpie.IntegrationNoPermission, "[Magpie] The access token lost its permissions: https://bitbucket.example.com", "Bitbucket still accepts it"},
	} {
		t.Run(string(tc.state), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, address string) {
				p := newPost()
				b := open(t, address, p)
				b.addPeople()
				i := b.addIntegration(tc.state, since, time.Time{})
				tell := func(i magpie.Integration) {
					b.write(func(ctx context.Context, tx *store.Tx) error { return b.TokenInvalid(ctx, tx, i) })
				}
				tell(i)
				tell(i) // the same failure
				b.start()
				b.waitRows(string(i.ID), map[string]string{"owner@example.com": "sent", "manager@example.com": "sent"})
				for _, m := range p.messages() {
					checkMail(t, m.Subject, m.Text, m.HTML)
					if m.Subject != tc.subject {
						t.Errorf("subject %q, want %q", m.Subject, tc.subject)
					}
					text := strings.ReplaceAll(m.Text, "\r\n", "\n")
					for _, want := range []string{
						tc.text, "Since:       2026-03-04 05:06 UTC\n", "Bitbucket:   https://bitbucket.example.com\n", "Token of:    robot<b> Open:",
						"Reason:      Bitbucket says: <script>", publicURL + "/settings/integrations/bitbucket", "an Owner or a Manager",
					} {
						if !strings.Contains(text, want) {
							t.Errorf("the plain text lacks %q:\n%s", want, text)
						}
					}
					for _, want := range []string{tc.text, "2026-03-04 05:06 UTC", "&lt;script&gt;", `<a href="` + publicURL + `/settings/integrations/bitbucket"`} {
						if !strings.Contains(m.HTML, want) {
							t.Errorf("the HTML lacks %q:\n%s", want, m.HTML)
						}
					}
				}
				i.AuthFailingSince = since.Add(time.Hour) // another failure
				tell(i)
				list, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]store.Alert, error) { return tx.AlertsAbout(t.Context(), string(i.ID)) })
				if err != nil || len(list) != 4 {
					t.Errorf("%d messages about two failures, %v, want 2 for each", len(list), err)
				}
			})
		})
	}
}

func TestExpiryMails(t *testing.T) {
	t.Parallel()
	p := newPost()
	b := open(t, storetest.SQLite(t), p)
	b.addPeople()
	expires := time.Now().Add(13*24*time.Hour + time.Hour)
	i := b.addIntegration(magpie.IntegrationActive, time.Time{}, expires)
	gone := b.addIntegration(magpie.IntegrationActive, time.Time{}, time.Time{})
	b.write(func(ctx context.Context, tx *store.Tx) error {
		for range 2 {
			if err := b.TokenExpires(ctx, tx, i, 14); err != nil {
				return err
			}
		}
		gone := gone
		gone.TokenExpiresAt = expires
		return b.TokenExpires(ctx, tx, gone, 14)
	})
	b.start()
	b.waitRows(string(i.ID), map[string]string{"owner@example.com": "sent", "manager@example.com": "sent"})
	failed := "failed: the token was replaced before the mail could leave"
	b.waitRows(string(gone.ID), map[string]string{"owner@example.com": failed, "manager@example.com": failed})
	for _, m := range p.messages() {
		checkMail(t, m.Subject, m.Text, m.HTML)
		day := expires.UTC().Format("2006-01-02")
		if want := "[Magpie] The access token expires on " + day + ": https://bitbucket.example.com"; m.Subject != want {
			t.Errorf("subject %q, want %q", m.Subject, want)
		}
		for _, part := range []string{m.Text, m.HTML} {
			if !strings.Contains(part, expires.UTC().Format("2006-01-02 15:04 UTC")+" (in 13 days)") || !strings.Contains(part, "Create a new token before") {
				t.Errorf("the mail lacks the date or what to do:\n%s", part)
			}
		}
	}
}

func TestReceiversHearOfTokens(t *testing.T) {
	t.Parallel()
	for kind, want := range map[notify.Kind]string{
		notify.Webhook: `"type":"integration.token_invalid"`,
		notify.Slack:   `:warning: *Bitbucket refuses the access token*`,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, taking)
			b := openNotifying(t, storetest.SQLite(t), r.sender(t, kind))
			i := b.addIntegration(magpie.IntegrationTokenInvalid, time.Now(), time.Time{})
			b.write(func(ctx context.Context, tx *store.Tx) error { return b.TokenInvalid(ctx, tx, i) })
			b.start()
			host := strings.TrimPrefix(r.URL, "https://")
			b.waitRows(string(i.ID), map[string]string{string(kind) + " " + host: "sent"})
			bodies, _ := r.taken()
			if len(bodies) != 1 || !strings.Contains(bodies[0], want) {
				t.Fatalf("bodies %q, want one with %s", bodies, want)
			}
			if kind == notify.Slack {
				return
			}
			var e notify.Event
			if err := json.Unmarshal([]byte(bodies[0]), &e); err != nil {
				t.Fatal(err)
			}
			want := &notify.Integration{
				ID: i.ID, Bitbucket: i.BaseURL, TokenUser: i.TokenUser, Reason: i.StateReason, Since: e.Integration.Since,
				URL: publicURL + "/settings/integrations/bitbucket",
			}
			if diff := cmp.Diff(want, e.Integration); diff != "" || e.Incident != nil || e.Integration.Since.IsZero() {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}
