package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"magpie/internal/mail/mailcatcher"
)

// Report is what a comparison of the world with the product's incidents and mails came to.
type Report struct {
	Planted     int // secrets
	Places      int
	Incidents   int
	Occurrences int
	Mails       int
	Redelivered int      // mails that came again under the same Message-ID, as may happen when the server is killed
	Problems    []string // what is missing, doubled or invented; never holds a secret
}

// Verify compares everything once.
func (s *Story) Verify(ctx context.Context) (Report, error) {
	incidents, err := list[incident](ctx, s.Client, "/incidents", nil)
	if err != nil {
		return Report{}, err
	}
	places := map[string][]Place{}
	for _, i := range incidents {
		found, err := list[occurrence](ctx, s.Client, "/incidents/"+i.ID+"/occurrences", nil)
		if err != nil {
			return Report{}, err
		}
		for _, o := range found {
			places[i.ID] = append(places[i.ID], Place{Repo: o.Repository, File: o.File, Commit: o.Commit, Line: o.LineStart})
		}
	}
	mails, again := s.Mails.Messages(), 0
	if s.Kill != nil {
		mails, again = distinct(mails)
	}
	r := compare(s.World.Secrets(), incidents, places, mails, s.Recipient)
	r.Redelivered = again
	return r, nil
}

// distinct drops mails that came again under the same Message-ID. SMTP can't promise more: a server that is killed after
// the mail was taken and before it could note that sends it again, under the same id, by which mailboxes know it.
func distinct(mails []mailcatcher.Message) (kept []mailcatcher.Message, again int) {
	seen := map[string]bool{}
	for _, m := range mails {
		if m.MessageID != "" && seen[m.MessageID] {
			again++
			continue
		}
		seen[m.MessageID] = true
		kept = append(kept, m)
	}
	return kept, again
}

// compare matches secrets with incidents by detector and masked value, which the world keeps distinct.
func compare(secrets []Secret, incidents []incident, places map[string][]Place, mails []mailcatcher.Message, recipient string) Report {
	r := Report{Planted: len(secrets), Incidents: len(incidents), Mails: len(mails)}
	problem := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	byKey := map[string][]incident{}
	for _, i := range incidents {
		byKey[i.Rule+" "+i.Masked] = append(byKey[i.Rule+" "+i.Masked], i)
		r.Occurrences += len(places[i.ID])
		if i.Occurrences != len(places[i.ID]) {
			problem("incident %d counts %d occurrences and lists %d", i.Number, i.Occurrences, len(places[i.ID]))
		}
	}
	for _, s := range secrets {
		r.Places += len(s.Places)
		key := s.Rule + " " + s.Value.Masked()
		found := byKey[key]
		delete(byKey, key)
		switch len(found) {
		case 0:
			problem("missing: no incident for the %s at %s", s.Rule, placeText(s.Places))
		case 1:
			if got := places[found[0].ID]; !samePlaces(s.Places, got) {
				problem("incident %d (%s): occurrences at %s, want %s", found[0].Number, s.Rule, placeText(got), placeText(s.Places))
			}
		default:
			problem("doubled: %d incidents for the %s at %s", len(found), s.Rule, placeText(s.Places))
		}
	}
	for _, left := range byKey {
		for _, i := range left {
			problem("invented: incident %d (%s) in %s %s is no planted secret", i.Number, i.Rule, i.FirstRepo, i.FirstFile)
		}
	}
	r.Problems = append(r.Problems, compareMails(incidents, mails, recipient)...)
	slices.Sort(r.Problems)
	return r
}

// compareMails wants exactly one mail an incident, over TLS, to the recipient.
func compareMails(incidents []incident, mails []mailcatcher.Message, recipient string) []string {
	var problems []string
	count := map[int]int{} // mail number → incidents in it
	for _, i := range incidents {
		n := 0
		for _, m := range mails {
			if about(m, i) {
				n++
				count[m.Number]++
			}
		}
		if n != 1 {
			problems = append(problems, fmt.Sprintf("mail: %d about incident %d, want 1", n, i.Number))
		}
	}
	for _, m := range mails {
		if count[m.Number] == 0 {
			problems = append(problems, fmt.Sprintf("mail: number %d is about no incident: %s", m.Number, m.Subject))
		}
		if !m.Envelope.TLS || !slices.Equal(m.Envelope.To, []string{recipient}) {
			problems = append(problems, fmt.Sprintf("mail: number %d went to %v, TLS %t", m.Number, m.Envelope.To, m.Envelope.TLS))
		}
	}
	return problems
}

// about reports whether a mail links to an incident, in both of its parts.
func about(m mailcatcher.Message, i incident) bool {
	// What follows the link keeps incident 1 from being taken for incident 12.
	return strings.Contains(m.Text, i.URL+"\n") && strings.Contains(m.HTML, i.URL+`"`)
}

func samePlaces(a, b []Place) bool {
	compare := func(x, y Place) int { return strings.Compare(placeText([]Place{x}), placeText([]Place{y})) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), compare), slices.SortedFunc(slices.Values(b), compare))
}

func placeText(places []Place) string {
	if len(places) == 0 {
		return "no place"
	}
	texts := make([]string, len(places))
	for i, p := range places {
		texts[i] = fmt.Sprintf("%s %s:%d in %.10s", p.Repo, p.File, p.Line, p.Commit)
	}
	return strings.Join(texts, ", ")
}
