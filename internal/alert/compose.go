package alert

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"magpie"
	"magpie/internal/mail"
	"magpie/internal/store"
)

//go:embed template
var templates embed.FS

var (
	textTemplates = texttemplate.Must(texttemplate.ParseFS(templates, "template/*.txt"))
	htmlTemplates = htmltemplate.Must(htmltemplate.ParseFS(templates, "template/*.html"))
)

// digestShown is how many incidents a digest lists; the rest are behind its link.
const digestShown = 1000

// page is what a template shows. All text in it is one line each and harmless as plain text.
type page struct {
	Title  string // first line, and in HTML the heading
	Lead   string // a sentence about it
	Facts  []fact
	List   []entry // of a digest
	More   int64   // incidents that the list leaves out
	Action string  // text of the link
	Link   string
	Footer string
}

type fact struct{ Name, Value string }

type entry struct {
	Title, Severity, Place, Masked, Link string
}

// compose renders a message from what the database says now.
func (s *Service) compose(ctx context.Context, a store.Alert) (mail.Message, error) {
	var subject string
	var p page
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		user, err := tx.Account(ctx, a.UserID)
		if err != nil {
			return err
		}
		if user.Disabled {
			return magpie.Errorf(magpie.KindInvalid, "the account was disabled before the mail could leave")
		}
		subject, p, err = s.page(ctx, tx, a)
		return err
	})
	if err != nil {
		return mail.Message{}, err
	}
	p.Footer = "You get this mail because you have an account at " + s.publicURL + ". The secret itself is never sent by mail."
	if aboutIntegration(a.Kind) {
		p.Footer = "You get this mail because you are an Owner or a Manager at " + s.publicURL + ". The token itself is never sent by mail."
	}
	name := "alert"
	if a.Kind == kindDigest {
		name = "digest"
	}
	var text, html bytes.Buffer
	if err := textTemplates.ExecuteTemplate(&text, name+".txt", p); err != nil {
		return mail.Message{}, fmt.Errorf("rendering mail %s: %w", a.ID, err)
	}
	if err := htmlTemplates.ExecuteTemplate(&html, name+".html", p); err != nil {
		return mail.Message{}, fmt.Errorf("rendering mail %s: %w", a.ID, err)
	}
	return mail.Message{
		To: a.Recipient, Subject: line(subject), Text: text.String(), HTML: html.String(),
		MessageID: "magpie." + string(a.ID) + "@" + s.domain,
	}, nil
}

func (s *Service) page(ctx context.Context, tx *store.Tx, a store.Alert) (subject string, p page, err error) {
	switch {
	case a.Kind == kindDigest:
		return s.digestPage(ctx, tx, a.Subject)
	case aboutIntegration(a.Kind):
		return s.integrationPage(ctx, tx, a)
	}
	v, err := tx.Incident(ctx, magpie.IncidentID(a.Subject))
	if err != nil {
		return "", page{}, err
	}
	find := tx.EarliestOccurrence
	if a.Kind == kindReopened {
		find = tx.LatestOccurrence
	}
	o, err := find(ctx, v.ID)
	if err != nil {
		return "", page{}, err
	}
	p = page{Facts: facts(v, o), Action: "Open the incident", Link: s.IncidentURL(v.Number)}
	where := line(v.Title) + " in " + line(repoName(v, o))
	switch a.Kind {
	case kindReopened:
		p.Title = "A resolved secret is back: " + where
		p.Lead = fmt.Sprintf("Incident %d was resolved, but its secret was found at a new place. It is open again.", v.Number)
	case kindAssigned:
		p.Title = "Assigned to you: " + where
		p.Lead = fmt.Sprintf("Incident %d was assigned to you.", v.Number)
	default:
		p.Title = "New secret: " + where
		p.Lead = "Revoke it where it was issued; removing it from the repository alone does not help."
	}
	return fmt.Sprintf("[Magpie] %s: %s", severityName(v.Severity), p.Title), p, nil
}

func facts(v magpie.Incident, o store.Occurrence) []fact {
	file := line(o.File)
	if file == "" {
		file = "in no commit any more"
	}
	list := []fact{
		{"Incident", fmt.Sprintf("#%d", v.Number)},
		{"Detector", line(v.Title)},
		{"Severity", severityName(v.Severity)},
		{"Secret", line(v.Masked)},
		{"Repository", line(repoName(v, o))},
		{"File", fmt.Sprintf("%s:%d", file, o.LineStart)},
		{"Commit", line(o.Commit.Short())},
		{"Author", author(o)},
		{"Date", date(o.CommitAt)},
		{"Occurrences", fmt.Sprint(v.Occurrences)},
	}
	known := list[:0]
	for _, f := range list {
		if f.Value != "" {
			known = append(known, f)
		}
	}
	return known
}

func repoName(v magpie.Incident, o store.Occurrence) string {
	if o.Repo != "" {
		return o.Repo
	}
	return v.FirstRepo
}

func author(o store.Occurrence) string {
	switch name, email := line(o.Author), line(o.Email); {
	case email == "":
		return name
	case name == "":
		return email
	default:
		return name + " <" + email + ">"
	}
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func severityName(s magpie.Severity) string {
	if s == "" {
		return "Unknown"
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}

func (s *Service) digestPage(ctx context.Context, tx *store.Tx, digest string) (subject string, p page, err error) {
	n, worst, err := tx.DigestIncidents(ctx, digest, digestShown)
	if err != nil {
		return "", page{}, err
	}
	p = page{
		Title: fmt.Sprintf("%d secrets found", n), More: n - int64(len(worst)), Action: "Open the incidents", Link: s.publicURL + "/incidents",
		Lead: "They were found together, so they come in one mail. The worst are first.",
	}
	for _, v := range worst {
		p.List = append(p.List, entry{
			Title: fmt.Sprintf("#%d %s", v.Number, line(v.Title)), Severity: severityName(v.Severity),
			Place: line(v.FirstRepo) + " " + line(v.FirstFile), Masked: line(v.Masked), Link: s.IncidentURL(v.Number),
		})
	}
	if len(worst) > 0 {
		subject = fmt.Sprintf("[Magpie] %s and below: %s", severityName(worst[0].Severity), p.Title)
	}
	return subject, p, nil
}

// IncidentURL is the address of the page of the incident with a number.
func (s *Service) IncidentURL(number int64) string {
	return fmt.Sprintf("%s/incidents/%d", s.publicURL, number)
}

// longestLine is how much of a name from outside a mail shows, in characters.
const longestLine = 300

// line makes text from outside harmless in a mail: line breaks, control characters and those that reorder text become
// blanks, so that a file's name can't pretend to be a line of ours.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	if r := []rune(text); len(r) > longestLine {
		return string(r[:longestLine-1]) + "…"
	}
	return text
}
