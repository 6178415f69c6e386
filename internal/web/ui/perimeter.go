package ui

import (
	"context"
	"net/http"
	"net/url"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/store"
)

// reposPerPage is how many repositories a page of the perimeter shows.
const reposPerPage = 100

// perimeterPage shows what is watched and what is not, and why.
type perimeterPage struct {
	Query             url.Values
	Filter            store.PerimeterFilter
	Integrations      []magpie.Integration
	Projects          []store.PerimeterProject
	Project           store.PerimeterProject // the chosen one, if any
	Groups            []perimeterGroup
	Count             int64
	Coverage          store.Coverage
	Tabs              []incidentTab
	MayManage         bool
	MayScan           bool
	Back              string // where the actions lead back to
	Self, First, Next templ.SafeURL
}

// perimeterGroup is the repositories of one project on this page.
type perimeterGroup struct {
	Key, Name, BaseURL string
	Personal           bool
	URL                templ.SafeURL
	Several            bool // there are several integrations, so the instance is worth a word
	Repos              []repoRow
}

type repoRow struct {
	store.PerimeterRepo
	Hook    badge
	History badge
	Reason  string
	Remedy  string
	Push    timestamp
	Scan    timestamp
	Browse  templ.SafeURL
}

var perimeterTabs = []struct {
	State store.PerimeterState
	Label string
}{
	{store.PerimeterAll, "All"},
	{store.PerimeterMonitored, "Monitored"},
	{store.PerimeterUnmonitored, "Not monitored"},
	{store.PerimeterPending, "Being set up"},
	{store.PerimeterTrouble, "With trouble"},
	{store.PerimeterDeleted, "Deleted"},
}

func (s *server) servePerimeter(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.perimeter(r.Context(), userOf(r), r.URL.Query())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, perimeterView(s.frame(r, "Perimeter", sectionPerimeter), page))
}

func perimeterFilter(q url.Values) store.PerimeterFilter {
	return store.PerimeterFilter{
		Integration: magpie.IntegrationID(q.Get("integration")), Project: magpie.ProjectID(q.Get("project")),
		State: store.PerimeterState(q.Get("state")), Text: q.Get("q"),
	}
}

func (p Pages) perimeter(ctx context.Context, user magpie.User, query url.Values) (perimeterPage, error) {
	base, cursor := with(query, "note", ""), query.Get("cursor")
	page := perimeterPage{
		Query: base, Filter: perimeterFilter(query), MayManage: mayManage(user), MayScan: mayScan(user), Self: queryURL("/perimeter", base),
	}
	if cursor != "" {
		self := cloneQuery(base)
		self.Set("cursor", cursor)
		page.First, page.Self = page.Self, queryURL("/perimeter", self)
	}
	page.Back = string(page.Self)
	err := p.db.Read(ctx, func(tx *store.Tx) error { return page.read(ctx, tx, cursor, p) })
	return page, err
}

func (page *perimeterPage) read(ctx context.Context, tx *store.Tx, cursor string, p Pages) (err error) {
	if page.Integrations, err = tx.Integrations(ctx); err != nil {
		return err
	}
	if page.Projects, err = tx.PerimeterProjects(ctx, page.Filter.Integration); err != nil {
		return err
	}
	for _, project := range page.Projects {
		if project.ID == page.Filter.Project {
			page.Project = project
		}
	}
	if page.Coverage, err = tx.Coverage(ctx, page.Filter.Integration); err != nil {
		return err
	}
	list, err := tx.PerimeterRepos(ctx, page.Filter, cursor, reposPerPage)
	if err != nil {
		return err
	}
	integrations := map[magpie.IntegrationID]magpie.Integration{}
	for _, i := range page.Integrations {
		integrations[i.ID] = i
	}
	for _, r := range list.Repos {
		page.add(p.newRepoRow(r, integrations[r.IntegrationID]))
	}
	if list.Next != "" {
		next := cloneQuery(page.Query)
		next.Set("cursor", list.Next)
		page.Next = queryURL("/perimeter", next)
	}
	return page.readTabs(ctx, tx)
}

// add puts a repository into the group of its project; the list comes in that order.
func (page *perimeterPage) add(row repoRow) {
	if n := len(page.Groups); n == 0 || page.Groups[n-1].Repos[0].ProjectID != row.ProjectID {
		page.Groups = append(page.Groups, perimeterGroup{
			Key: row.ProjectKey, Name: row.ProjectName, BaseURL: row.BaseURL, Personal: row.Personal, Several: len(page.Integrations) > 1,
			URL: queryURL("/perimeter", with(page.Query, "project", string(row.ProjectID))),
		})
	}
	last := &page.Groups[len(page.Groups)-1]
	last.Repos = append(last.Repos, row)
}

// readTabs counts the repositories of each tab under the other filters. Tabs that are rarely of use are left out while
// they are empty.
func (page *perimeterPage) readTabs(ctx context.Context, tx *store.Tx) error {
	counts, err := tx.PerimeterStates(ctx, page.Filter)
	page.Count = counts[page.Filter.State]
	for _, tab := range perimeterTabs {
		n, current := counts[tab.State], tab.State == page.Filter.State
		if n == 0 && !current && (tab.State == store.PerimeterDeleted || tab.State == store.PerimeterPending) {
			continue
		}
		page.Tabs = append(page.Tabs, incidentTab{tab.Label, n, queryURL("/perimeter", with(page.Query, "state", string(tab.State))), current})
	}
	return err
}

func (page perimeterPage) filtered() bool {
	return page.Filter.Text != "" || page.Filter.Project != "" || page.Filter.Integration != "" || page.Filter.State != ""
}

func (p Pages) newRepoRow(r store.PerimeterRepo, i magpie.Integration) repoRow {
	now := p.now()
	row := repoRow{
		PerimeterRepo: r, Hook: hookBadge(r.Repo), History: historyBadge(r.Repo), Push: at(r.LastPushAt, now),
		Scan: at(r.LastScanAt, now), Browse: foreignURL(r.BrowseURL),
	}
	row.Reason, row.Remedy = trouble(r.Repo, i)
	return row
}

// trouble says why a repository can't be watched, and what to do about it.
func trouble(r magpie.Repo, i magpie.Integration) (reason, remedy string) {
	switch {
	case r.State == magpie.RepoDeleted:
		return "", "It is gone at Bitbucket. Its incidents stay."
	case r.State == magpie.RepoUnavailable:
		return sentence(r.StateReason), "It is looked at again with every sync; nothing is lost meanwhile."
	case r.Monitored && i.State == magpie.IntegrationTokenInvalid:
		return "Bitbucket refuses the integration's token", "Submit a new token in the Bitbucket settings; what was pushed meanwhile is caught up."
	case r.Monitored && r.Hook == magpie.HookFailed:
		return sentence(r.HookReason), "It is tried again by itself. Until then pushes are found by the regular sweep."
	case r.Monitored && r.History == magpie.HistoryFailed:
		return "The history scan gave up", "The page of scans says why; start it again from here."
	case r.State == magpie.RepoArchived:
		return "", "Archived at Bitbucket: nobody can push; its history can be scanned."
	}
	return "", ""
}

func hookBadge(r magpie.Repo) badge {
	switch {
	case !r.Monitored && r.Hook == magpie.HookNone:
		return badge{Label: "Not monitored", Tone: "idle", Icon: "slash"}
	case !r.Monitored:
		return badge{Label: "Being removed", Tone: "idle", Icon: "spinner"}
	case r.Hook == magpie.HookInstalled:
		return badge{Label: "Hook installed", Tone: "good", Icon: "check"}
	case r.Hook == magpie.HookFailed:
		return badge{Label: "Hook failed", Tone: "bad", Icon: "error"}
	default:
		return badge{Label: "Hook pending", Tone: "active", Icon: "spinner"}
	}
}

func historyBadge(r magpie.Repo) badge {
	switch r.History {
	case magpie.HistoryPending:
		return badge{Label: "Scanning", Tone: "active", Icon: "spinner"}
	case magpie.HistoryDone:
		return badge{Label: "Scanned", Tone: "good", Icon: "check"}
	case magpie.HistoryFailed:
		return badge{Label: "Failed", Tone: "bad", Icon: "error"}
	default:
		return badge{Label: "Not scanned", Tone: "idle", Icon: "dot"}
	}
}

// setMonitored selects or deselects the chosen repositories, or all that the filter of the page chooses.
func (s *server) setMonitored(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	monitored, note := r.PostForm.Get("monitored") == "yes", "unmonitored"
	if monitored {
		note = "monitored"
	}
	back := localPath(r.PostForm.Get("back"))
	ids, err := s.chosenRepos(r, back)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return &magpie.Error{Kind: magpie.KindInvalid, Message: "no repository was chosen", Hint: "go back and tick at least one"}
	}
	if err := s.opts.Perimeter.SetMonitored(r.Context(), userOf(r), ids, monitored); err != nil {
		return err
	}
	return s.done(w, r, pathURL(back), note)
}

func (s *server) chosenRepos(r *http.Request, back string) (ids []magpie.RepoID, err error) {
	if r.PostForm.Get("scope") == "all" {
		u, err := url.Parse(back)
		if err != nil {
			return nil, err
		}
		return store.Query(r.Context(), s.opts.DB, func(tx *store.Tx) ([]magpie.RepoID, error) {
			return tx.ReposOfFilter(r.Context(), perimeterFilter(u.Query()))
		})
	}
	for _, id := range r.PostForm["repo"] {
		ids = append(ids, magpie.RepoID(id))
	}
	return ids, nil
}

func (s *server) startHistory(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if _, err := s.opts.Perimeter.StartHistory(r.Context(), userOf(r), magpie.RepoID(r.PostForm.Get("scan"))); err != nil {
		return err
	}
	return s.done(w, r, pathURL(localPath(r.PostForm.Get("back"))), "scan")
}

// canScan reports whether a history scan can be started now.
func (row repoRow) canScan() bool {
	return row.Monitored && row.PerimeterRepo.History != magpie.HistoryPending &&
		(row.State == magpie.RepoAvailable || row.State == magpie.RepoArchived)
}

func groupIcon(g perimeterGroup) string {
	if g.Personal {
		return "person"
	}
	return "folder"
}
