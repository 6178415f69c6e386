package ui

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/incident"
	"magpie/internal/store"
)

// occurrencesPerPage is how many occurrences an incident's page shows at once.
const occurrencesPerPage = 20

// incidentPage is all about one incident.
type incidentPage struct {
	magpie.Incident
	Assignee    string
	Info        RuleInfo
	Known       bool // the detector is still known
	Occurrences []occurrenceRow
	Next        templ.SafeURL // further occurrences
	First       templ.SafeURL
	Timeline    []timelineRow
	People      []magpie.User // who can be assigned
	Seen        timestamp
	Found       timestamp
	Commit      timestamp
	Closed      timestamp
	Self        templ.SafeURL
	MayHandle   bool
	MayReveal   bool
	CanCheck    bool // its vendor can be asked whether the secret is alive
	Checked     timestamp
	Revealed    string // the value, only in the answer to a reveal
}

type occurrenceRow struct {
	ID       magpie.OccurrenceID
	Repo     string
	File     string
	Line     string
	Commit   string
	Author   string
	Email    string
	Decoded  string
	Date     timestamp
	Presence magpie.Presence // of the secret on the default branch
	Seen     timestamp       // when that was looked at
	Link     templ.SafeURL
	RepoLink templ.SafeURL
	Code     []codeLine
}

type codeLine struct {
	Number int
	Text   string
	Hit    bool
}

type timelineRow struct {
	Text   string
	Actor  string
	Detail string
	At     timestamp
}

func incidentNumber(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil || n < 1 {
		return 0, errNoPage()
	}
	return n, nil
}

func (s *server) serveIncident(w http.ResponseWriter, r *http.Request) error {
	number, err := incidentNumber(r)
	if err != nil {
		return err
	}
	page, err := s.pages.incident(r.Context(), userOf(r), number, r.URL.Query().Get("cursor"))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, incidentView(s.frame(r, "#"+strconv.FormatInt(number, 10)+" "+page.Title, sectionIncidents), page))
}

// incident builds the page of an incident; after is the id of the last occurrence of the page before.
func (p Pages) incident(ctx context.Context, user magpie.User, number int64, after string) (incidentPage, error) {
	var people []magpie.User
	var found magpie.Incident
	err := p.db.Read(ctx, func(tx *store.Tx) (err error) {
		if found, err = tx.IncidentByNumber(ctx, number); err != nil {
			return err
		}
		people, err = tx.Accounts(ctx)
		return err
	})
	if magpie.KindOf(err) == magpie.KindNotFound {
		return incidentPage{}, &magpie.Error{Kind: magpie.KindNotFound, Message: "there is no incident with this number", Err: err}
	}
	if err != nil {
		return incidentPage{}, err
	}
	page := incidentPage{Incident: found, MayHandle: mayHandle(user), MayReveal: mayReveal(user), Self: incidentURL(number)}
	page.setTimes(p.now())
	page.CanCheck = page.MayHandle && p.opts.Incidents.CanCheck(found.Rule)
	page.Info, page.Known = p.opts.Rule(found.Rule)
	names := map[magpie.UserID]string{}
	for _, u := range people {
		names[u.ID] = personName(u)
		if !u.Disabled {
			page.People = append(page.People, u)
		}
	}
	page.Assignee = names[found.AssigneeID]
	if after != "" {
		page.First, page.Self = incidentURL(number), queryURL(string(incidentURL(number)), url.Values{"cursor": {after}})
	}
	if err := page.readOccurrences(ctx, p, after); err != nil {
		return page, err
	}
	events, err := p.opts.Incidents.Timeline(ctx, found.ID)
	if err != nil {
		return page, err
	}
	for i := len(events) - 1; i >= 0; i-- {
		page.Timeline = append(page.Timeline, newTimelineRow(events[i], names, p.now()))
	}
	return page, nil
}

func (page *incidentPage) setTimes(now time.Time) {
	page.Seen, page.Found = at(page.LastSeenAt, now), at(page.FirstSeenAt, now)
	page.Commit, page.Closed = at(page.FirstCommitAt, now), at(page.ClosedAt, now)
	page.Checked = at(page.CheckedAt, now)
}

func (page *incidentPage) readOccurrences(ctx context.Context, p Pages, after string) error {
	list, err := p.opts.Incidents.Occurrences(ctx, page.ID, incident.Page{After: magpie.OccurrenceID(after), Limit: occurrencesPerPage + 1})
	if err != nil {
		return err
	}
	if len(list) > occurrencesPerPage {
		list = list[:occurrencesPerPage]
		page.Next = queryURL(string(incidentURL(page.Number)), url.Values{"cursor": {string(list[len(list)-1].ID)}})
	}
	for _, o := range list {
		page.Occurrences = append(page.Occurrences, p.newOccurrenceRow(o))
	}
	return nil
}

// codeLines splits an excerpt into numbered lines and marks those that hold the secret.
func codeLines(e magpie.Excerpt, first, last int) (lines []codeLine) {
	if e.Text == "" {
		return nil
	}
	for i, text := range strings.Split(strings.TrimSuffix(e.Text, "\n"), "\n") {
		n := e.FirstLine + i
		lines = append(lines, codeLine{Number: n, Text: text, Hit: n >= first && n <= last})
	}
	return lines
}

var eventTexts = map[string]string{
	"opened": "Found", "occurrence": "New occurrence", "assigned": "Assigned", "unassigned": "Unassigned", "resolved": "Resolved",
	"ignored": "Ignored", "reopened": "Reopened", "regressed": "Reopened: the secret was pushed again", "revealed": "Secret revealed",
	"alerted": "Alert sent", "severity": "Severity changed", "checked": "Validity checked",
}

func newTimelineRow(e magpie.IncidentEvent, names map[magpie.UserID]string, now time.Time) timelineRow {
	row := timelineRow{Text: eventTexts[e.Action], Actor: "Magpie", Detail: e.Detail, At: at(e.At, now)}
	if row.Text == "" {
		row.Text = sentence(e.Action)
	}
	if e.Actor != "" {
		row.Actor = names[e.Actor]
		if row.Actor == "" {
			row.Actor = "a former user"
		}
	}
	return row
}

func (p Pages) newOccurrenceRow(o incident.Occurrence) occurrenceRow {
	row := occurrenceRow{
		ID: o.ID, Repo: o.Repo, File: o.File, Line: strconv.Itoa(o.LineStart), Commit: o.Commit.Short(), Author: o.Author, Email: o.Email,
		Decoded: strings.ReplaceAll(o.DecodedFrom, ">", " in "), Date: at(o.CommitAt, p.now()),
		Presence: o.Presence, Seen: at(o.PresenceAt, p.now()),
		RepoLink: foreignURL(o.BrowseURL), Code: codeLines(o.Excerpt, o.LineStart, o.LineEnd),
	}
	if row.Repo == "" {
		row.Repo = "a repository that is not connected any more"
	}
	if o.LineEnd > o.LineStart {
		row.Line += "–" + strconv.Itoa(o.LineEnd)
	}
	if o.BrowseURL != "" && o.File != "" {
		row.Link = foreignURL(p.opts.LineURL(o.BrowseURL, o.File, o.Commit, o.LineStart))
	}
	return row
}
