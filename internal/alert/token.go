package alert

import (
	"context"
	"fmt"
	"strings"
	"time"

	"magpie"
	"magpie/internal/notify"
	"magpie/internal/store"
)

// The kinds of message about an integration. But for the last they are named after its state.
const (
	integrationPrefix = "integration."
	kindToken         = integrationPrefix + string(magpie.IntegrationTokenInvalid)
	kindLicence       = integrationPrefix + string(magpie.IntegrationNoLicence)
	kindPermission    = integrationPrefix + string(magpie.IntegrationNoPermission)
	kindExpires       = integrationPrefix + "token_expires"
)

func aboutIntegration(kind string) bool { return strings.HasPrefix(kind, integrationPrefix) }

// TokenInvalid tells the Owner and the Managers, and the webhook or chat, that an integration's token keeps it from its
// work: the integration's State says how. One message of each kind comes for each time that the token stopped working, which
// AuthFailingSince names, whatever the state does meanwhile.
func (s *Service) TokenInvalid(ctx context.Context, tx *store.Tx, i magpie.Integration) error {
	kind := integrationPrefix + string(i.State)
	return s.tellManagers(ctx, tx, kind, i.ID, fmt.Sprintf("%s|%s|%d", kind, i.ID, i.AuthFailingSince.UnixMicro()))
}

// TokenExpires tells them that an integration's token expires within so many days: once for each date and number of days,
// however often it is called.
func (s *Service) TokenExpires(ctx context.Context, tx *store.Tx, i magpie.Integration, days int) error {
	return s.tellManagers(ctx, tx, kindExpires, i.ID, fmt.Sprintf("%s|%s|%s|%d", kindExpires, i.ID, dayOf(i.TokenExpiresAt), days))
}

func (s *Service) tellManagers(ctx context.Context, tx *store.Tx, kind string, id magpie.IntegrationID, key string) error {
	people, err := recipients(ctx, tx, magpie.RoleOwner, magpie.RoleManager)
	if err != nil {
		return err
	}
	if s.notify != nil {
		if err := s.addNotice(ctx, tx, kind, string(id), key); err != nil {
			return err
		}
	}
	return s.tell(ctx, tx, people, kind, string(id), key)
}

// integrationPage is a mail about an integration.
func (s *Service) integrationPage(ctx context.Context, tx *store.Tx, a store.Alert) (subject string, p page, err error) {
	i, err := tx.Integration(ctx, magpie.IntegrationID(a.Subject))
	if err != nil {
		return "", page{}, err
	}
	p = page{Action: "Replace the token", Link: s.settingsURL(), Facts: []fact{{"Bitbucket", line(i.BaseURL)}, {"Token of", line(i.TokenUser)}}}
	if a.Kind == kindExpires {
		return expiryPage(i, p)
	}
	switch a.Kind {
	case kindLicence:
		p.Title = "Bitbucket keeps the token's user out for want of a licence"
		p.Lead = "Let an administrator of Bitbucket give the user a licence again, or renew the licence of Bitbucket. The token is kept and need not be replaced: " +
			"Magpie asks every few minutes, resumes by itself, and catches up with what was pushed meanwhile. Nothing is lost."
		p.Action = "Open the settings"
	case kindPermission:
		p.Title = "The access token lost its permissions"
		p.Lead = "Bitbucket still accepts it, but Magpie can't look after the webhooks any more, and new pushes may go unseen. Give the token's user its permissions " +
			"again, or replace the token. Magpie notices by itself and catches up with what was pushed meanwhile."
	default:
		p.Title = "Bitbucket refuses the access token"
		p.Lead = "Until it is replaced, Magpie can't see what is pushed there. Nothing is lost: all that was found stays, and with a new token " +
			"Magpie catches up with what was pushed meanwhile."
	}
	if !i.AuthFailingSince.IsZero() { // else it works again by now
		p.Facts = append(p.Facts, fact{"Since", date(i.AuthFailingSince)}, fact{"Reason", line(i.StateReason)})
	}
	return "[Magpie] " + p.Title + ": " + line(i.BaseURL), p, nil
}

func expiryPage(i magpie.Integration, p page) (subject string, _ page, err error) {
	if i.TokenExpiresAt.IsZero() {
		return "", p, magpie.Errorf(magpie.KindConflict, "the token was replaced before the mail could leave")
	}
	p.Title = "The access token expires on " + dayOf(i.TokenExpiresAt)
	p.Lead = "From then on Bitbucket refuses it, and Magpie can't see what is pushed. Create a new token before, best without expiry, and enter it; " +
		"nothing else has to be set up again."
	p.Facts = append(p.Facts, fact{"Expires", date(i.TokenExpiresAt) + inDays(time.Until(i.TokenExpiresAt))})
	return "[Magpie] " + p.Title + ": " + line(i.BaseURL), p, nil
}

// inDays says how far ahead a time is.
func inDays(left time.Duration) string {
	switch days := int((left + 12*time.Hour) / (24 * time.Hour)); {
	case left <= 0:
		return ""
	case days < 1:
		return " (within a day)"
	case days == 1:
		return " (in 1 day)"
	default:
		return fmt.Sprintf(" (in %d days)", days)
	}
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// settingsURL is where tokens are replaced.
func (s *Service) settingsURL() string { return s.publicURL + "/settings/integrations/bitbucket" }

// integrationEvent is a message about an integration as a program or chat gets it.
func (s *Service) integrationEvent(ctx context.Context, tx *store.Tx, e notify.Event, id magpie.IntegrationID) (notify.Event, error) {
	i, err := tx.Integration(ctx, id)
	if err != nil {
		return e, err
	}
	e.Integration = &notify.Integration{
		ID: i.ID, Bitbucket: i.BaseURL, TokenUser: i.TokenUser, Reason: i.StateReason, Since: i.AuthFailingSince, TokenExpires: i.TokenExpiresAt, URL: s.settingsURL(),
	}
	return e, nil
}
