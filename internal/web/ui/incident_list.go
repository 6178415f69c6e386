package ui

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/store"
)

// incidentsPerPage is how many incidents a page of the list shows.
const incidentsPerPage = 50

// incidentListPage is the list of incidents.
type incidentListPage struct {
	Query             url.Values // as asked, without the cursor
	Filter            store.IncidentFilter
	Sort              store.IncidentSort
	Tabs              []incidentTab
	Severities        []severityChoice
	Rules             []store.Choice
	Repos             []store.Choice
	People            []store.Choice
	Rows              []incidentRow
	Count             int64
	Any               bool // there are incidents at all
	Connected         bool // there is an integration
	Self, First, Next templ.SafeURL
}

type incidentTab struct {
	Label   string
	Count   int64
	URL     templ.SafeURL
	Current bool
}

type severityChoice struct {
	Severity magpie.Severity
	Chosen   bool
}

type incidentRow struct {
	magpie.Incident
	Assignee string
	Seen     timestamp
	Commit   timestamp
}

// The tabs of the list: what "status" may be in its address, and what it means.
var incidentTabs = []struct {
	Key, Label string
	Statuses   []magpie.IncidentStatus
}{
	{"open", "Open", openStatuses},
	{"triggered", "Triggered", []magpie.IncidentStatus{magpie.IncidentTriggered}},
	{"assigned", "Assigned", []magpie.IncidentStatus{magpie.IncidentAssigned}},
	{"resolved", "Resolved", []magpie.IncidentStatus{magpie.IncidentResolved}},
	{"ignored", "Ignored", []magpie.IncidentStatus{magpie.IncidentIgnored}},
	{"all", "All", nil},
}

var incidentSorts = []struct {
	Sort  store.IncidentSort
	Label string
}{
	{store.IncidentNewest, "Newest first"},
	{store.IncidentWorst, "Worst first"},
	{store.IncidentActivity, "Last seen first"},
	{store.IncidentOldest, "Oldest first"},
}

func (s *server) serveIncidentList(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.incidentList(r.Context(), userOf(r), r.URL.Query())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, incidentListView(s.frame(r, "Incidents", sectionIncidents), page))
}

// incidentFilter reads what an address asks for. Values that mean nothing choose nothing, so a stale link shows an
// empty list rather than an error.
func incidentFilter(user magpie.User, q url.Values) store.IncidentFilter {
	f := store.IncidentFilter{
		Statuses: openStatuses, Rule: magpie.RuleID(q.Get("detector")), Repo: magpie.RepoID(q.Get("repo")),
		Assignee: magpie.UserID(q.Get("assignee")), Text: q.Get("q"),
	}
	for _, tab := range incidentTabs {
		if tab.Key == q.Get("status") {
			f.Statuses = tab.Statuses
		}
	}
	if f.Assignee == "me" {
		f.Assignee = user.ID
	}
	for _, s := range magpie.Severities() {
		if slices.Contains(q["severity"], string(s)) {
			f.Severities = append(f.Severities, s)
		}
	}
	return f
}

func (p Pages) incidentList(ctx context.Context, user magpie.User, query url.Values) (incidentListPage, error) {
	cursor := query.Get("cursor")
	base := with(query, "note", "")
	page := incidentListPage{Query: base, Filter: incidentFilter(user, query), Sort: store.IncidentSort(query.Get("sort"))}
	page.Self = queryURL("/incidents", with(base, "", ""))
	if cursor != "" {
		page.First = page.Self
		self := cloneQuery(base)
		self.Set("cursor", cursor)
		page.Self = queryURL("/incidents", self)
	}
	for _, s := range magpie.Severities() {
		page.Severities = append(page.Severities, severityChoice{s, slices.Contains(page.Filter.Severities, s)})
	}
	err := p.db.Read(ctx, func(tx *store.Tx) error { return page.read(ctx, tx, cursor, p) })
	return page, err
}

func (page *incidentListPage) read(ctx context.Context, tx *store.Tx, cursor string, p Pages) error {
	list, err := tx.Incidents(ctx, page.Filter, page.Sort, cursor, incidentsPerPage)
	if err != nil {
		return err
	}
	if page.Rules, err = tx.IncidentRules(ctx); err != nil {
		return err
	}
	if page.Repos, err = tx.IncidentRepos(ctx); err != nil {
		return err
	}
	people, err := tx.Accounts(ctx)
	if err != nil {
		return err
	}
	integrations, err := tx.Integrations(ctx)
	if err != nil {
		return err
	}
	page.Connected, page.Any = len(integrations) > 0, len(page.Rules) > 0
	names := map[magpie.UserID]string{}
	for _, u := range people {
		names[u.ID] = personName(u)
		page.People = append(page.People, store.Choice{Value: string(u.ID), Label: personName(u)})
	}
	now := p.now()
	for _, i := range list.Incidents {
		page.Rows = append(page.Rows, incidentRow{i, names[i.AssigneeID], at(i.LastSeenAt, now), at(i.FirstCommitAt, now)})
	}
	if list.Next != "" {
		next := cloneQuery(page.Query)
		next.Set("cursor", list.Next)
		page.Next = queryURL("/incidents", next)
	}
	return page.readTabs(ctx, tx)
}

// readTabs counts the incidents of each tab under the other filters, and with them those of this list.
func (page *incidentListPage) readTabs(ctx context.Context, tx *store.Tx) error {
	current := page.Query.Get("status")
	if current == "" {
		current = "open"
	}
	others := page.Filter
	others.Statuses = nil
	counts, err := tx.CountIncidentsByStatus(ctx, others)
	for _, tab := range incidentTabs {
		n := countOf(counts, tab.Statuses)
		if tab.Key == current {
			page.Count = n
		}
		page.Tabs = append(page.Tabs, incidentTab{tab.Label, n, queryURL("/incidents", with(page.Query, "status", tab.Key)), tab.Key == current})
	}
	return err
}

// countOf adds the counts of some statuses, or of all if there are none.
func countOf(counts []store.StatusCount, statuses []magpie.IncidentStatus) (n int64) {
	for _, c := range counts {
		if len(statuses) == 0 || slices.Contains(statuses, c.Status) {
			n += c.Count
		}
	}
	return n
}

// filtered reports whether anything but the tab narrows the list.
func (page incidentListPage) filtered() bool {
	f := page.Filter
	return len(f.Severities) > 0 || f.Rule != "" || f.Repo != "" || f.Assignee != "" || f.Text != ""
}
