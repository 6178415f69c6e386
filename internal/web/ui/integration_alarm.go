package ui

import (
	"fmt"
	"time"

	"magpie"
)

// expirySoon is how long before its end a token is worth a warning.
const expirySoon = 14 * 24 * time.Hour

// integrationBadge is the state of an integration in two words.
func integrationBadge(i magpie.Integration) badge {
	switch {
	case i.Removing:
		return badge{Label: "Being removed", Tone: "idle", Icon: "spinner"}
	case i.State == magpie.IntegrationTokenInvalid:
		return badge{Label: "Token invalid", Tone: "bad", Icon: "key"}
	case i.State == magpie.IntegrationNoLicence:
		return badge{Label: "No licence", Tone: "bad", Icon: "key"}
	case i.State == magpie.IntegrationNoPermission:
		return badge{Label: "Permission missing", Tone: "bad", Icon: "key"}
	case i.State == magpie.IntegrationUnreachable:
		return badge{Label: "Unreachable", Tone: "warn", Icon: "warning"}
	case inGrace(i):
		return badge{Label: "Token refused", Tone: "warn", Icon: "clock", Title: "Asked again until the grace period is over"}
	default:
		return badge{Label: "Token valid", Tone: "good", Icon: "check"}
	}
}

// inGrace reports whether Bitbucket refuses the token, but not yet for as long as counts.
func inGrace(i magpie.Integration) bool {
	return i.State == magpie.IntegrationActive && !i.AuthFailingSince.IsZero()
}

// stateNote says what an integration's state means and what to do about it.
func stateNote(i magpie.Integration) string {
	switch {
	case i.State == magpie.IntegrationTokenInvalid:
		return "Everything found so far stays, and nothing that is pushed is lost: it waits. Submit a new token; what was pushed meanwhile is caught up."
	case i.State == magpie.IntegrationNoLicence:
		return "Give " + i.TokenUser + " a licence in Bitbucket, or submit another user's token. It is asked again by itself, and what was pushed meanwhile is caught up."
	case i.State == magpie.IntegrationNoPermission:
		return "What the token may still do goes on. Give its user the permission again, or submit another token; what was missed is caught up."
	case i.State == magpie.IntegrationUnreachable:
		return "It is tried again by itself. Nothing is lost meanwhile."
	case inGrace(i):
		return "A single refusal may be a hiccup, so Bitbucket is asked again before anybody is bothered. If you revoked the token, submit a new one now."
	default:
		return ""
	}
}

// expiryBadge warns of a token that ends soon, or has ended; there is none for one that doesn't.
func expiryBadge(i magpie.Integration, now time.Time) (badge, bool) {
	left := i.TokenExpiresAt.Sub(now)
	switch {
	case i.TokenExpiresAt.IsZero() || left > expirySoon:
		return badge{}, false
	case left <= 0:
		return badge{Label: "Expired", Tone: "bad", Icon: "clock"}, true
	case left < 24*time.Hour:
		return badge{Label: "Expires within a day", Tone: "bad", Icon: "clock"}, true
	default:
		return badge{Label: "Expires in " + plural(int64(left/(24*time.Hour)), "day"), Tone: "warn", Icon: "clock"}, true
	}
}

// integrationAlarms lists the integrations that wait for somebody, and the tokens that will soon.
func integrationAlarms(all []magpie.Integration, now time.Time) (alarms []alarm) {
	settings := pathURL("/settings/integrations/bitbucket")
	for _, i := range all {
		switch {
		case i.Removing:
			continue
		case i.State == magpie.IntegrationTokenInvalid:
			alarms = append(alarms, alarm{
				"bad", "Bitbucket refuses the token of " + i.BaseURL + ": pushes and history there are not scanned.",
				"Create a new token and submit it; what was pushed meanwhile is caught up.", settings, "Replace the token",
			})
		case i.State == magpie.IntegrationNoLicence:
			alarms = append(alarms, alarm{
				"bad", i.BaseURL + " has no licence for " + i.TokenUser + ": pushes and history there are not scanned.",
				"Give the user a licence, or submit another token; what was pushed meanwhile is caught up.", settings, "See the integration",
			})
		case i.State == magpie.IntegrationNoPermission:
			alarms = append(alarms, alarm{
				"bad", "The token of " + i.BaseURL + " lost a permission: " + i.StateReason, "What it may still do goes on.", settings, "See the integration",
			})
		case inGrace(i):
			alarms = append(alarms, alarm{"warn", i.BaseURL + ": " + sentence(i.StateReason) + ".", "", settings, "See the integration"})
		}
		if b, soon := expiryBadge(i, now); soon && i.State != magpie.IntegrationTokenInvalid {
			alarms = append(alarms, alarm{
				b.Tone, fmt.Sprintf("The token of %s: %s, on %s.", i.BaseURL, lowerFirst(b.Label), i.TokenExpiresAt.UTC().Format("2 Jan 2006")),
				"Create a new one without expiry and submit it before.", settings, "Replace the token",
			})
		}
	}
	return alarms
}
