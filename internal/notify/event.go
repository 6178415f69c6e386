package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"magpie"
)

// Type says what happened.
type Type string

// The types of event.
const (
	Opened   Type = "incident.opened"
	Reopened Type = "incident.reopened" // resolved, and then found at a new place
	Digest   Type = "incident.digest"   // many incidents at once; only to receivers that group

	TokenInvalid Type = "integration.token_invalid" // Bitbucket refuses our token
	NoLicence    Type = "integration.no_licence"    // its user is kept out for want of a licence
	NoPermission Type = "integration.no_permission" // it works, but lost its permissions
	TokenExpires Type = "integration.token_expires" // it works, but not for long
)

// Event is one thing to tell. Exactly one of Incident, Digest and Integration is set. Its JSON form is the body of a
// delivery to a Webhook.
type Event struct {
	ID       string    `json:"id"` // the same in each attempt
	Type     Type      `json:"type"`
	Time     time.Time `json:"time"` // when it happened
	Incident *Incident `json:"incident,omitempty"`
	Digest   *Group    `json:"digest,omitempty"`

	Integration *Integration `json:"integration,omitempty"`
}

// Incident is what is told about an incident. What is not known is empty.
type Incident struct {
	ID         magpie.IncidentID `json:"id"`
	Number     int64             `json:"number"`
	Title      string            `json:"title"`    // name of the detector
	Detector   magpie.RuleID     `json:"detector"` // its stable id
	Provider   string            `json:"provider"`
	Severity   magpie.Severity   `json:"severity"`
	Masked     string            `json:"masked"`     // a hint for those who know the value
	Repository string            `json:"repository"` // "KEY/slug"
	File       string            `json:"file"`
	Line       int               `json:"line"` // from 1
	Commit     magpie.Hash       `json:"commit"`
	Author     string            `json:"author"`
	URL        string            `json:"url"` // of the incident's page
}

// Group is many incidents that were opened together.
type Group struct {
	Count int64           `json:"count"`
	Worst magpie.Severity `json:"worst"`
	URL   string          `json:"url"` // of the list of incidents
}

// Integration is what is told about a connection to a Bitbucket and its token.
type Integration struct {
	ID           magpie.IntegrationID `json:"id"`
	Bitbucket    string               `json:"bitbucket"`              // its address
	TokenUser    string               `json:"token_user"`             // whose token it is
	Reason       string               `json:"reason"`                 // what Bitbucket says; empty if the token works
	Since        time.Time            `json:"since,omitzero"`         // when it stopped working
	TokenExpires time.Time            `json:"token_expires,omitzero"` // if that is known
	URL          string               `json:"url"`                    // of the page where it is replaced
}

func (s *Sender) body(e Event) ([]byte, error) {
	e.Time = e.Time.UTC()
	if s.kind == Slack {
		return json.Marshal(map[string]string{"text": text(e)})
	}
	return json.Marshal(e)
}

// text is an event as a chat shows it, in Slack's mrkdwn.
func text(e Event) string {
	if g := e.Digest; g != nil {
		return fmt.Sprintf(":rotating_light: *%d secrets found together*, the worst of them %s\n<%s|Open the incidents>",
			g.Count, escape(string(g.Worst)), escape(g.URL))
	}
	if i := e.Integration; i != nil {
		return integrationText(e.Type, i)
	}
	v := e.Incident
	headline := "New secret"
	if e.Type == Reopened {
		headline = "A resolved secret is back"
	}
	lines := []string{
		fmt.Sprintf(":rotating_light: *%s: %s* (%s)", headline, escape(v.Title), escape(string(v.Severity))),
		"Secret: " + code(v.Masked),
		"Where: " + code(place(v)),
	}
	if v.Commit != "" {
		lines = append(lines, "Commit: "+code(v.Commit.Short()))
	}
	if v.Author != "" {
		lines = append(lines, "Author: "+escape(v.Author))
	}
	lines = append(lines, fmt.Sprintf("<%s|Open incident #%d>", escape(v.URL), v.Number))
	return strings.Join(lines, "\n")
}

func integrationText(why Type, i *Integration) string {
	headline := "Bitbucket refuses the access token"
	switch why {
	case NoLicence:
		headline = "Bitbucket keeps the token's user out for want of a licence"
	case NoPermission:
		headline = "The access token lost its permissions"
	case TokenExpires:
		headline = "The access token expires on " + i.TokenExpires.UTC().Format(time.DateOnly)
	}
	lines := []string{
		fmt.Sprintf(":warning: *%s*", headline),
		"Bitbucket: " + code(i.Bitbucket),
		"Token of: " + code(i.TokenUser),
	}
	if i.Reason != "" {
		lines = append(lines, "Reason: "+escape(i.Reason))
	}
	return strings.Join(append(lines, fmt.Sprintf("<%s|Open the settings>", escape(i.URL))), "\n")
}

func place(v *Incident) string {
	where := v.Repository
	if v.File != "" {
		where += " " + v.File
		if v.Line > 0 {
			where += fmt.Sprintf(":%d", v.Line)
		}
	}
	return where
}

// code shows text as it is, in a code span that it can't leave.
func code(text string) string {
	if text = strings.ReplaceAll(escape(text), "`", "'"); text == "" {
		return ""
	}
	return "`" + text + "`"
}

// longest is how much of a text from outside a chat shows, in characters.
const longest = 300

// escape makes text from outside harmless in a chat: it stays on its line and can neither link nor call people.
func escape(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	if r := []rune(text); len(r) > longest {
		text = string(r[:longest-1]) + "…"
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
