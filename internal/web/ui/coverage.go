package ui

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/report"
	"magpie/internal/store"
	"magpie/internal/web/patient"
)

const (
	// refsPerPage is how many refs the coverage of one repository shows at once.
	refsPerPage = 200
	// sweepsShown is how many comparisons of everything the page tells about.
	sweepsShown = 5
)

// coveragePage proves to an auditor what was scanned: for each monitored repository how many of its refs, when that was
// last compared with Bitbucket, and for how long the oldest push has been waiting.
type coveragePage struct {
	Query             url.Values
	Filter            store.PerimeterFilter
	Integrations      []magpie.Integration
	Projects          []magpie.Project
	Sums              store.CoverageSums
	OldestWaiting     timestamp
	OldestCompared    timestamp
	Rows              []coverageRow
	Sweeps            []sweepRow
	MayManage         bool
	Every             string
	CSV               templ.SafeURL
	Self, First, Next templ.SafeURL
}

type coverageRow struct {
	store.CoverageRepo
	State                  badge
	Compare, Push, Waiting timestamp
}

// sweepRow is one comparison of everything.
type sweepRow struct {
	store.Sweep
	Began timestamp
	Badge badge
	Text  string
}

// coverageStates are the choices of the filter.
var coverageStates = []struct {
	State store.PerimeterState
	Label string
}{
	{"", "Any"},
	{store.PerimeterBehind, "Behind"},
	{store.PerimeterNeverScanned, "Never scanned"},
	{store.PerimeterPending, "Being set up"},
	{store.PerimeterTrouble, "With trouble"},
}

func (s *server) serveCoverage(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.coverage(r.Context(), userOf(r), r.URL.Query())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, coverageView(s.frame(r, "Coverage", sectionCoverage), page))
}

func (p Pages) coverage(ctx context.Context, user magpie.User, query url.Values) (coveragePage, error) {
	base, cursor := with(query, "note", ""), query.Get("cursor")
	page := coveragePage{Query: base, Filter: perimeterFilter(query), MayManage: mayManage(user), CSV: queryURL("/coverage.csv", base)}
	page.Self = queryURL("/coverage", base)
	if cursor != "" {
		self := cloneQuery(base)
		self.Set("cursor", cursor)
		page.First, page.Self = page.Self, queryURL("/coverage", self)
	}
	err := p.db.Read(ctx, func(tx *store.Tx) error { return page.read(ctx, tx, cursor, p.now()) })
	return page, err
}

func (page *coveragePage) read(ctx context.Context, tx *store.Tx, cursor string, now time.Time) (err error) {
	if page.Integrations, err = tx.Integrations(ctx); err != nil {
		return err
	}
	for _, i := range page.Integrations {
		if page.Filter.Integration != "" && page.Filter.Integration != i.ID {
			continue
		}
		projects, err := tx.Projects(ctx, i.ID)
		if err != nil {
			return err
		}
		page.Projects = append(page.Projects, projects...)
	}
	if page.Sums, err = tx.CoverageSums(ctx, page.Filter.Integration); err != nil {
		return err
	}
	page.Every = liveEvery(page.Sums.Monitored)
	page.OldestWaiting, page.OldestCompared = at(page.Sums.OldestWaiting, now), at(page.Sums.OldestCompared, now)
	list, err := tx.CoverageRepos(ctx, page.Filter, cursor, reposPerPage)
	if err != nil {
		return err
	}
	for _, r := range list.Repos {
		page.Rows = append(page.Rows, newCoverageRow(r, now))
	}
	if list.Next != "" {
		next := cloneQuery(page.Query)
		next.Set("cursor", list.Next)
		page.Next = queryURL("/coverage", next)
	}
	sweeps, err := tx.Sweeps(ctx, sweepsShown)
	for _, v := range sweeps {
		page.Sweeps = append(page.Sweeps, newSweepRow(v, now))
	}
	return err
}

func (page coveragePage) filtered() bool {
	return page.Filter != store.PerimeterFilter{}
}

func newCoverageRow(r store.CoverageRepo, now time.Time) coverageRow {
	return coverageRow{
		CoverageRepo: r, State: coverageBadge(r), Compare: at(r.ComparedAt, now), Push: at(r.LastPushAt, now), Waiting: at(r.WaitingSince, now),
	}
}

// coverageBadge says in a word whether anything that is known of a repository was not scanned.
func coverageBadge(r store.CoverageRepo) badge {
	switch {
	case !r.Monitored:
		return badge{Label: "Not monitored", Tone: "idle", Icon: "slash"}
	case r.State == magpie.RepoUnavailable:
		return badge{Label: "Unreadable", Tone: "bad", Icon: "slash", Title: r.StateReason}
	case r.ComparedAt.IsZero():
		return badge{Label: "Never compared", Tone: "warn", Icon: "clock"}
	case r.Current:
		return badge{Label: "Current", Tone: "good", Icon: "check"}
	case r.Waiting > 0:
		return badge{Label: plural(r.Waiting, "event") + " waiting", Tone: "active", Icon: "spinner"}
	default:
		return badge{Label: "Behind", Tone: "active", Icon: "spinner", Title: "Refs are known whose history is still to be scanned"}
	}
}

// newSweepRow tells what a comparison of everything caught up.
func newSweepRow(v store.Sweep, now time.Time) sweepRow {
	row := sweepRow{Sweep: v, Began: at(v.BeganAt, now), Badge: badge{Label: "Done", Tone: "good", Icon: "check"}}
	var text []string
	if !v.DownSince.IsZero() {
		text = append(text, "Magpie was down from "+exactly(v.DownSince)+" to "+exactly(v.BeganAt)+".")
	}
	if v.EndedAt.IsZero() {
		row.Badge = badge{Label: "Running", Tone: "active", Icon: "spinner"}
		text = append(text, number(v.Compared)+" of "+plural(v.Repos, "repository")+" compared so far,")
	} else {
		text = append(text, plural(v.Compared, "repository")+" compared in "+took(v.EndedAt.Sub(v.BeganAt))+",")
	}
	switch {
	case v.Compared == 0 && !v.EndedAt.IsZero():
		text[len(text)-1] = "No repository was to be compared."
	case v.Behind == 0:
		text = append(text, "none had pushes that no event had announced.")
	default:
		text = append(text, number(v.Behind)+" had pushes that no event had announced; they were scanned.")
	}
	if v.Failed > 0 {
		text = append(text, plural(v.Failed, "repository")+" could not be read.")
		row.Badge.Tone, row.Badge.Icon = "warn", "warning"
	}
	row.Text = strings.Join(text, " ")
	return row
}

// exactly writes a time that an auditor may note down.
func exactly(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

func sweepReason(reason string) string {
	switch reason {
	case "start":
		return "After a start of Magpie"
	case "token":
		return "After trouble with a token"
	case "request":
		return "Asked for"
	default:
		return "Regular"
	}
}

// coverageRepoPage is how far each ref of one repository was scanned.
type coverageRepoPage struct {
	coverageRow
	Scan        timestamp
	Created     timestamp
	Browse      templ.SafeURL
	DefaultName string
	Rows        []coverageRefRow
	History     badge
	Hook        badge
	Reason      string
	Remedy      string
	Self        templ.SafeURL
	First, Next templ.SafeURL
}

type coverageRefRow struct {
	store.CoverageRef
	Kind, Name string
	Commit     templ.SafeURL
	Scanned    timestamp
}

func (s *server) serveCoverageRepo(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.coverageRepo(r.Context(), magpie.RepoID(r.PathValue("id")), r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, coverageRepoView(s.frame(r, page.FullName()+" · Coverage", sectionCoverage), page))
}

func (p Pages) coverageRepo(ctx context.Context, id magpie.RepoID, after string) (page coverageRepoPage, err error) {
	now, here := p.now(), "/coverage/"+url.PathEscape(string(id))
	var refs []store.CoverageRef
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		repo, err := tx.CoverageRepo(ctx, id)
		if err != nil {
			return err
		}
		i, err := tx.Integration(ctx, repo.IntegrationID)
		if err != nil {
			return err
		}
		page.coverageRow = newCoverageRow(repo, now)
		page.Reason, page.Remedy = trouble(repo.Repo, i)
		refs, err = tx.CoverageRefs(ctx, id, after, refsPerPage+1)
		return err
	})
	if magpie.KindOf(err) == magpie.KindNotFound {
		return page, magpie.Errorf(magpie.KindNotFound, "there is no such repository")
	}
	if err != nil {
		return page, err
	}
	page.Self, page.Browse = queryURL(here, url.Values{"after": {after}}), foreignURL(page.BrowseURL)
	page.Scan, page.Created = at(page.LastScanAt, now), at(page.CreatedAt, now)
	page.History, page.Hook = historyBadge(page.Repo), hookBadge(page.Repo)
	_, page.DefaultName = refName(page.DefaultBranch)
	if after != "" {
		page.First = pathURL(here)
	}
	if len(refs) > refsPerPage {
		refs = refs[:refsPerPage]
		page.Next = queryURL(here, url.Values{"after": {refs[refsPerPage-1].Ref}})
	}
	for _, ref := range refs {
		row := coverageRefRow{CoverageRef: ref, Commit: foreignURL(p.opts.LineURL(page.BrowseURL, "", ref.Hash, 0)), Scanned: at(ref.ScannedAt, now)}
		row.Kind, row.Name = refName(ref.Ref)
		page.Rows = append(page.Rows, row)
	}
	return page, nil
}

// refName returns the kind and the short name of a ref.
func refName(ref string) (kind, name string) {
	for prefix, kind := range map[string]string{"refs/heads/": "Branch", "refs/tags/": "Tag", "refs/pull-requests/": "Pull request"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			return kind, name
		}
	}
	return "Ref", ref
}

// shortHash returns as much of a hash as people read.
func shortHash(h magpie.Hash) string { return string(h[:min(len(h), 12)]) }

// serveCoverageCSV sends the coverage of every ref that the filter of the page chooses, line by line. What goes wrong after
// the first line cuts the connection, so that nobody takes half of it for the whole. It may take longer than a page.
func (s *server) serveCoverageCSV(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="magpie-coverage-`+s.opts.Now().UTC().Format("2006-01-02")+`.csv"`)
	out := &counted{ResponseWriter: w}
	err := report.WriteCoverageCSV(r.Context(), patient.NewWriter(out), s.opts.DB, perimeterFilter(r.URL.Query()))
	if err == nil {
		return nil
	}
	if !out.began {
		h.Del("Content-Disposition")
		return err
	}
	s.opts.Log.Error("sending the coverage as CSV", "err", err)
	panic(http.ErrAbortHandler)
}

// counted notes whether anything was written.
type counted struct {
	http.ResponseWriter
	began bool
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Write implements io.Writer.
func (c *counted) Write(b []byte) (int, error) {
	c.began = true
	return c.ResponseWriter.Write(b)
}

func (s *server) compareAll(w http.ResponseWriter, r *http.Request) error {
	if err := s.opts.Perimeter.SweepNow(r.Context(), userOf(r)); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/coverage"), "compare")
}
