package ui

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/store"
)

const (
	// reposPerPage is how many repositories a page of the perimeter lists, and how many an open project shows.
	reposPerPage = 100
	// projectsPerPage is how many projects a page of the tree shows.
	projectsPerPage = 50
	// openProjects is how many projects of a large tree may be open at once; each costs a query.
	openProjects = 20
	// largePerimeter is from how many repositories on the page is counted anew less often.
	largePerimeter = 1000
)

// perimeterPage shows what is watched and what is not, and why: a tree of instances, projects and repositories, or, under
// a filter, the repositories that it chooses below their projects.
//
// A large tree is closed, and the repositories of a project are read when it is opened. What is open stands in the
// address ("open", and "closed" where a small tree is open by default), so that it survives a reload, works without a
// script, and is what a live update asks for.
type perimeterPage struct {
	Query             url.Values
	Filter            store.PerimeterFilter
	Integrations      []magpie.Integration
	Projects          []magpie.Project // for the choice of one
	Instances         []instanceRow
	Listed            bool // repositories are listed, since a filter chooses them
	Count             int64
	Sums              nodeSums
	Tabs              []incidentTab
	MayManage         bool
	MayScan           bool
	Every             string // how often the page asks for itself
	Back              string // where the actions lead back to
	Self, First, Next templ.SafeURL

	InsightKey string // of the reports to Code Insights

	open *memory[int64]
}

// nodeSums adds up projects.
type nodeSums struct {
	store.PerimeterNode
	Projects int64
	Open     int64 // incidents
}

func (n *nodeSums) add(p store.PerimeterNode) {
	n.Projects++
	for _, pair := range [][2]*int64{
		{&n.Repos, &p.Repos},
		{&n.Monitored, &p.Monitored},
		{&n.Hooked, &p.Hooked},
		{&n.HookFailed, &p.HookFailed},
		{&n.HookPending, &p.HookPending},
		{&n.HistoryDone, &p.HistoryDone},
		{&n.Trouble, &p.Trouble},
		{&n.Pending, &p.Pending},
		{&n.Behind, &p.Behind},
		{&n.Deleted, &p.Deleted},
	} {
		*pair[0] += *pair[1]
	}
	n.LastPushAt, n.LastScanAt = later(n.LastPushAt, p.LastPushAt), later(n.LastScanAt, p.LastScanAt)
	if n.ComparedAt.IsZero() || !p.ComparedAt.IsZero() && p.ComparedAt.Before(n.ComparedAt) {
		n.ComparedAt = p.ComparedAt
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// instanceRow is one integration with its projects on this page.
type instanceRow struct {
	magpie.Integration
	nodeRow
	Badge    badge
	Projects []projectRow
}

// projectRow is one project with its repositories on this page.
type projectRow struct {
	nodeRow
	Icon       string
	NotChosen  bool          // of a project-level integration, and not installed
	Default    string        // what happens to new repositories, in words, if it is not as in the integration
	Repos      []repoRow     // if it is open
	All        templ.SafeURL // the list of all its repositories
	Incomplete int64         // how many of them are not shown
}

// nodeRow is what an instance and a project have in common.
type nodeRow struct {
	nodeSums
	Expanded            bool
	Toggle              templ.SafeURL // opens or closes it; empty where that is not to choose
	Hook, History       badge
	Push, Scan, Compare timestamp
}

func newNodeRow(sums nodeSums, now time.Time) nodeRow {
	return nodeRow{
		nodeSums: sums, Hook: hooksBadge(sums), History: historiesBadge(sums),
		Push: at(sums.LastPushAt, now), Scan: at(sums.LastScanAt, now), Compare: at(sums.ComparedAt, now),
	}
}

var perimeterTabs = []struct {
	State store.PerimeterState
	Label string
	Count func(nodeSums) int64
}{
	{store.PerimeterAll, "All", func(n nodeSums) int64 { return n.Repos }},
	{store.PerimeterMonitored, "Monitored", func(n nodeSums) int64 { return n.Monitored }},
	{store.PerimeterUnmonitored, "Not monitored", func(n nodeSums) int64 { return n.Repos - n.Monitored }},
	{store.PerimeterPending, "Being set up", func(n nodeSums) int64 { return n.Pending }},
	{store.PerimeterBehind, "Behind", func(n nodeSums) int64 { return n.Behind }},
	{store.PerimeterTrouble, "With trouble", func(n nodeSums) int64 { return n.Trouble }},
	{store.PerimeterDeleted, "Deleted", func(n nodeSums) int64 { return n.Deleted }},
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
		State: store.PerimeterState(q.Get("state")), Hook: magpie.HookState(q.Get("hook")), Text: q.Get("q"),
	}
}

func (p Pages) perimeter(ctx context.Context, user magpie.User, query url.Values) (perimeterPage, error) {
	base := with(query, "note", "")
	base.Del("page")
	page := perimeterPage{Query: base, Filter: perimeterFilter(query), MayManage: mayManage(user), MayScan: mayScan(user), InsightKey: p.opts.InsightKey, open: p.open}
	page.Listed = page.Filter.Text != "" || page.Filter.Project != "" || page.Filter.State != "" || page.Filter.Hook != ""
	page.Self = queryURL("/perimeter", base)
	for _, place := range []string{"cursor", "page"} {
		if query.Get(place) != "" {
			page.First = queryURL("/perimeter", base)
			self := cloneQuery(base)
			self.Set(place, query.Get(place))
			page.Self = queryURL("/perimeter", self)
		}
	}
	page.Back = string(page.Self)
	err := p.db.Read(ctx, func(tx *store.Tx) error { return page.read(ctx, tx, query, p.now()) })
	return page, err
}

func (page *perimeterPage) read(ctx context.Context, tx *store.Tx, query url.Values, now time.Time) (err error) {
	if page.Integrations, err = tx.Integrations(ctx); err != nil || len(page.Integrations) == 0 {
		return err
	}
	tree, err := tx.PerimeterTree(ctx, page.Filter)
	if err != nil {
		return err
	}
	for _, p := range tree {
		page.Sums.add(p)
	}
	page.setTabs()
	page.Every = liveEvery(page.Sums.Repos)
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
	if page.Listed {
		err = page.readList(ctx, tx, tree, query.Get("cursor"), now)
	} else {
		err = page.readTree(ctx, tx, tree, query, now)
	}
	if err != nil {
		return err
	}
	return page.readRunning(ctx, tx, now)
}

// readRunning shows at each repository how far the scan of its history is. Of very many that wait, the last ones do
// without.
func (page *perimeterPage) readRunning(ctx context.Context, tx *store.Tx, now time.Time) error {
	active, err := tx.ActiveScans(ctx, maxActiveScans)
	if err != nil {
		return err
	}
	running := map[magpie.RepoID]*scanRow{}
	for _, v := range active {
		if v.Kind == magpie.ScanHistory {
			row := newScanRow(v, now, page.MayScan)
			running[v.RepoID] = &row
		}
	}
	page.eachProject(func(_ magpie.Integration, p *projectRow) {
		for i := range p.Repos {
			p.Repos[i].Running = running[p.Repos[i].ID]
		}
	})
	return nil
}

// liveEvery returns how often a page about so many repositories asks for itself: what it shows is counted each time.
func liveEvery(repos int64) string {
	if repos > largePerimeter {
		return "every 10s"
	}
	return "every 2s"
}

// setTabs counts the repositories of each tab under the other filters. Tabs that are rarely of use are left out while
// they are empty.
func (page *perimeterPage) setTabs() {
	for _, tab := range perimeterTabs {
		n, current := tab.Count(page.Sums), tab.State == page.Filter.State
		if current {
			page.Count = n
		}
		if n == 0 && !current && (tab.State == store.PerimeterDeleted || tab.State == store.PerimeterPending || tab.State == store.PerimeterBehind) {
			continue
		}
		page.Tabs = append(page.Tabs, incidentTab{tab.Label, n, queryURL("/perimeter", with(page.Query, "state", string(tab.State))), current})
	}
}

// readList reads the repositories that the filter chooses, page by page, below their projects.
func (page *perimeterPage) readList(ctx context.Context, tx *store.Tx, tree []store.PerimeterNode, cursor string, now time.Time) error {
	list, err := tx.PerimeterRepos(ctx, page.Filter, cursor, reposPerPage)
	if err != nil {
		return err
	}
	if list.Next != "" {
		next := cloneQuery(page.Query)
		next.Set("cursor", list.Next)
		page.Next = queryURL("/perimeter", next)
	}
	shown := map[magpie.ProjectID][]store.PerimeterRepo{}
	for _, r := range list.Repos {
		shown[r.ProjectID] = append(shown[r.ProjectID], r)
	}
	var nodes []store.PerimeterNode
	for _, p := range tree {
		if len(shown[p.ID]) > 0 {
			nodes = append(nodes, p)
		}
	}
	if err := page.addProjects(ctx, tx, nodes, now); err != nil {
		return err
	}
	page.eachProject(func(i magpie.Integration, p *projectRow) {
		p.Expanded = true
		for _, r := range shown[p.ID] {
			p.Repos = append(p.Repos, newRepoRow(r, i, now))
		}
	})
	return page.sumInstances(ctx, tx, tree, now)
}

// readTree reads a page of projects and the repositories of those that are open.
func (page *perimeterPage) readTree(ctx context.Context, tx *store.Tx, tree []store.PerimeterNode, query url.Values, now time.Time) error {
	closed := query["closed"]
	visible := slices.DeleteFunc(slices.Clone(tree), func(p store.PerimeterNode) bool { return slices.Contains(closed, string(p.IntegrationID)) })
	place, _ := strconv.Atoi(query.Get("page"))
	from := min(max(place, 0)*projectsPerPage, len(visible))
	to := min(from+projectsPerPage, len(visible))
	if to < len(visible) {
		next := cloneQuery(page.Query)
		next.Set("page", strconv.Itoa(place+1))
		page.Next = queryURL("/perimeter", next)
	}
	if err := page.addProjects(ctx, tx, visible[from:to], now); err != nil {
		return err
	}
	if err := page.sumInstances(ctx, tx, tree, now); err != nil {
		return err
	}
	page.setToggles(query)
	if page.Sums.Repos <= reposPerPage {
		return page.readOpen(ctx, tx, page.Filter, now)
	}
	var err error
	page.eachProject(func(_ magpie.Integration, p *projectRow) {
		if p.Expanded && err == nil {
			err = page.readOpen(ctx, tx, store.PerimeterFilter{Integration: p.IntegrationID, Project: p.ID}, now)
		}
	})
	return err
}

// setToggles decides what is open, and gives each row the address that changes that for it. A small tree is open unless
// something was closed, a large one closed unless something was opened.
func (page *perimeterPage) setToggles(query url.Values) {
	small := page.Sums.Repos <= reposPerPage
	self := cloneQuery(page.Query)
	if query.Get("page") != "" {
		self.Set("page", query.Get("page"))
	}
	for n := range page.Instances {
		i := &page.Instances[n]
		i.Expanded = !slices.Contains(query["closed"], string(i.ID))
		top := cloneQuery(page.Query) // the number of pages changes with it
		i.Toggle = queryURL("/perimeter", toggled(top, "closed", string(i.ID)))
	}
	opened := 0
	page.eachProject(func(_ magpie.Integration, p *projectRow) {
		name, id := "open", string(p.ID)
		if small {
			name = "closed"
		}
		p.Expanded = slices.Contains(query[name], id) != small && (small || opened < openProjects)
		if p.Expanded {
			opened++
		}
		p.Toggle = queryURL("/perimeter", toggled(self, name, id))
	})
}

// toggled returns the query with a value of a parameter added, or taken away if it was there.
func toggled(q url.Values, name, value string) url.Values {
	c := cloneQuery(q)
	if n := slices.Index(c[name], value); n >= 0 {
		c[name] = slices.Delete(c[name], n, n+1)
	} else {
		c.Add(name, value)
	}
	return c
}

// readOpen gives the open projects that the filter chooses their first repositories.
func (page *perimeterPage) readOpen(ctx context.Context, tx *store.Tx, f store.PerimeterFilter, now time.Time) error {
	list, err := tx.PerimeterRepos(ctx, f, "", reposPerPage)
	if err != nil {
		return err
	}
	page.eachProject(func(i magpie.Integration, p *projectRow) {
		if !p.Expanded || f.Project != "" && f.Project != p.ID {
			return
		}
		for _, r := range list.Repos {
			if r.ProjectID == p.ID {
				p.Repos = append(p.Repos, newRepoRow(r, i, now))
			}
		}
		p.Incomplete = p.PerimeterNode.Repos - int64(len(p.Repos))
	})
	return nil
}

func (page *perimeterPage) eachProject(do func(magpie.Integration, *projectRow)) {
	for i := range page.Instances {
		for n := range page.Instances[i].Projects {
			do(page.Instances[i].Integration, &page.Instances[i].Projects[n])
		}
	}
}

// addProjects makes the rows of projects, which come by instance, below theirs.
func (page *perimeterPage) addProjects(ctx context.Context, tx *store.Tx, nodes []store.PerimeterNode, now time.Time) error {
	var ids []magpie.ProjectID
	for _, p := range nodes {
		ids = append(ids, p.ID)
	}
	open, err := tx.OpenIncidents(ctx, ids)
	if err != nil {
		return err
	}
	byID := map[magpie.IntegrationID]magpie.Integration{}
	for _, i := range page.Integrations {
		byID[i.ID] = i
	}
	for _, node := range nodes {
		i := byID[node.IntegrationID]
		if n := len(page.Instances); n == 0 || page.Instances[n-1].ID != i.ID {
			page.Instances = append(page.Instances, instanceRow{Integration: i, Badge: integrationBadge(i)})
		}
		var sums nodeSums
		sums.add(node)
		sums.Project, sums.BaseURL, sums.Open = node.Project, node.BaseURL, open[node.ID]
		last := &page.Instances[len(page.Instances)-1]
		last.Projects = append(last.Projects, projectRow{
			nodeRow: newNodeRow(sums, now), Icon: projectIcon(node.Project), NotChosen: !node.Installed, Default: projectDefault(node.Project),
			All: queryURL("/perimeter", url.Values{"project": {string(node.ID)}}),
		})
	}
	return nil
}

// sumInstances adds up all projects of each instance, those on other pages included. On its first page the tree shows
// instances without a project on it, too.
func (page *perimeterPage) sumInstances(ctx context.Context, tx *store.Tx, tree []store.PerimeterNode, now time.Time) error {
	sums := map[magpie.IntegrationID]*nodeSums{}
	for _, p := range tree {
		if sums[p.IntegrationID] == nil {
			sums[p.IntegrationID] = &nodeSums{}
		}
		sums[p.IntegrationID].add(p)
	}
	if !page.Listed && page.First == "" {
		for _, i := range page.Integrations {
			known := slices.ContainsFunc(page.Instances, func(row instanceRow) bool { return row.ID == i.ID })
			if !known && sums[i.ID] != nil && (page.Filter.Integration == "" || page.Filter.Integration == i.ID) {
				page.Instances = append(page.Instances, instanceRow{Integration: i, Badge: integrationBadge(i)})
			}
		}
		slices.SortStableFunc(page.Instances, func(a, b instanceRow) int {
			return cmp.Or(cmp.Compare(a.Integration.BaseURL, b.Integration.BaseURL), cmp.Compare(a.Integration.ID, b.Integration.ID))
		})
	}
	for n := range page.Instances {
		i := &page.Instances[n]
		open, err := page.openOf(ctx, tx, i.ID, now)
		if err != nil {
			return err
		}
		sums[i.ID].Open = open
		i.nodeRow = newNodeRow(*sums[i.ID], now)
		i.Expanded = true
	}
	return nil
}

// openOf counts the open incidents of an integration, which visits each of them.
func (page *perimeterPage) openOf(ctx context.Context, tx *store.Tx, id magpie.IntegrationID, now time.Time) (int64, error) {
	read := func() (int64, error) { return tx.OpenIncidentsOf(ctx, id) }
	if page.Sums.Repos <= largePerimeter {
		return read()
	}
	return page.open.of(id, now, read)
}

func (page perimeterPage) filtered() bool { return page.Listed || page.Filter.Integration != "" }

// chosenProject returns the project that the filter names, if it is one.
func (page perimeterPage) chosenProject() (magpie.Project, bool) {
	for _, p := range page.Projects {
		if p.ID == page.Filter.Project {
			return p, true
		}
	}
	return magpie.Project{}, false
}
