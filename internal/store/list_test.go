package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// listWorld is a database with things to list.
type listWorld struct {
	testing.TB
	ctx   context.Context
	db    *store.DB
	repos []magpie.Repo
	start time.Time
}

func eachList(t *testing.T, test func(t *testing.T, w *listWorld)) {
	t.Helper()
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		test(t, &listWorld{TB: t, ctx: context.Background(), db: db, start: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
	})
}

func (w *listWorld) write(fn func(*store.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.ctx, fn); err != nil {
		w.Fatal(err)
	}
}

func query[T any](w *listWorld, fn func(*store.Tx) (T, error)) T {
	w.Helper()
	v, err := store.Query(w.ctx, w.db, fn)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *listWorld) integration(base string) magpie.Integration {
	w.Helper()
	i := magpie.Integration{ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeInstance, BaseURL: base, State: magpie.IntegrationActive, CreatedAt: w.start}
	w.write(func(tx *store.Tx) error { return tx.InsertIntegration(w.ctx, i, []byte("sealed")) })
	return i
}

func (w *listWorld) project(i magpie.Integration, key string, n int64) (p magpie.Project) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		p, err = tx.PutProject(w.ctx, magpie.Project{IntegrationID: i.ID, RemoteID: n, Key: key, Name: "Name of " + key, Installed: true}, "")
		return err
	})
	return p
}

func (w *listWorld) repo(p magpie.Project, slug string, change func(*magpie.Repo)) magpie.Repo {
	w.Helper()
	r := magpie.Repo{
		ID: store.NewID[magpie.RepoID](), IntegrationID: p.IntegrationID, ProjectID: p.ID, RemoteID: int64(len(w.repos) + 1), ProjectKey: p.Key,
		Slug: slug, Name: slug, State: magpie.RepoAvailable, Monitored: true, Hook: magpie.HookInstalled, History: magpie.HistoryDone, CreatedAt: w.start,
	}
	if change != nil {
		change(&r)
	}
	w.write(func(tx *store.Tx) error { return tx.PutRepo(w.ctx, r, "") })
	w.repos = append(w.repos, r)
	return r
}

// incident adds the next incident with one occurrence.
func (w *listWorld) incident(r magpie.Repo, file string, change func(*magpie.Incident)) (v magpie.Incident) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		n, err := tx.NextIncidentNumber(w.ctx)
		if err != nil {
			return err
		}
		v = magpie.Incident{
			ID: store.NewID[magpie.IncidentID](), Number: n, Rule: "rule-a", Title: "Title A", Provider: "Vendor", Severity: magpie.SeverityHigh,
			Confidence: magpie.ConfidenceHigh, Status: magpie.IncidentTriggered, Occurrences: 1, FirstSeenAt: w.start.Add(time.Duration(n) * time.Hour),
			LastSeenAt: w.start.Add(time.Duration(n) * time.Hour), FirstRepoID: r.ID, FirstRepo: r.FullName(), FirstFile: file, FirstAuthor: "Ada",
		}
		if change != nil {
			change(&v)
		}
		if err := tx.AddIncident(w.ctx, v, fmt.Sprint("fingerprint", n), []byte("sealed")); err != nil {
			return err
		}
		return w.addOccurrence(tx, v, r, file)
	})
	return v
}

func (w *listWorld) addOccurrence(tx *store.Tx, v magpie.Incident, r magpie.Repo, file string) error {
	_, err := tx.AddOccurrence(w.ctx, magpie.Occurrence{
		ID: store.NewID[magpie.OccurrenceID](), IncidentID: v.ID, RepoID: r.ID, File: file, LineStart: 1, LineEnd: 1, ColumnStart: 1, ColumnEnd: 2,
	}, []byte("sealed"))
	return err
}

func (w *listWorld) numbers(f store.IncidentFilter, sort store.IncidentSort) (all []int64) {
	w.Helper()
	cursor := ""
	for range 100 {
		page := query(w, func(tx *store.Tx) (store.IncidentPage, error) { return tx.Incidents(w.ctx, f, sort, cursor, 2) })
		for _, i := range page.Incidents {
			all = append(all, i.Number)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	count := query(w, func(tx *store.Tx) (int64, error) { return tx.CountIncidents(w.ctx, f) })
	if int(count) != len(all) {
		w.Errorf("%d incidents counted, %d listed", count, len(all))
	}
	return all
}

func TestIncidentFilters(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		p := w.project(w.integration("https://one.example.com"), "APP", 1)
		service, other := w.repo(p, "service", nil), w.repo(p, "other", nil)
		w.incident(service, "config/app.yaml", nil)
		w.incident(service, "100%_sure\\x.env", func(v *magpie.Incident) { v.Severity, v.Rule, v.Title = magpie.SeverityCritical, "rule-b", "Title B" })
		w.incident(other, "README", func(v *magpie.Incident) { v.Status, v.AssigneeID = magpie.IncidentAssigned, "mia" })
		w.incident(other, "x", func(v *magpie.Incident) { v.Status, v.Severity = magpie.IncidentResolved, magpie.SeverityLow })
		fifth := w.incident(other, "y", func(v *magpie.Incident) { v.Status, v.Severity = magpie.IncidentIgnored, magpie.SeverityInfo })
		w.write(func(tx *store.Tx) error { return w.addOccurrence(tx, fifth, service, "deep/Second.File") })
		tests := map[string]struct {
			filter store.IncidentFilter
			want   []int64
		}{
			"all":             {store.IncidentFilter{}, []int64{5, 4, 3, 2, 1}},
			"open":            {store.IncidentFilter{Statuses: []magpie.IncidentStatus{magpie.IncidentTriggered, magpie.IncidentAssigned}}, []int64{3, 2, 1}},
			"two severities":  {store.IncidentFilter{Severities: []magpie.Severity{magpie.SeverityCritical, magpie.SeverityLow}}, []int64{4, 2}},
			"rule":            {store.IncidentFilter{Rule: "rule-b"}, []int64{2}},
			"repository":      {store.IncidentFilter{Repo: service.ID}, []int64{5, 2, 1}},
			"assignee":        {store.IncidentFilter{Assignee: "mia"}, []int64{3}},
			"nobody":          {store.IncidentFilter{Assignee: store.Unassigned, Statuses: []magpie.IncidentStatus{magpie.IncidentTriggered}}, []int64{2, 1}},
			"title":           {store.IncidentFilter{Text: "title b"}, []int64{2}},
			"file":            {store.IncidentFilter{Text: " APP.yaml "}, []int64{1}},
			"second file":     {store.IncidentFilter{Text: "second.file"}, []int64{5}},
			"repository name": {store.IncidentFilter{Text: "app/SERVICE"}, []int64{5, 2, 1}},
			"wildcards":       {store.IncidentFilter{Text: "100%_sure\\x"}, []int64{2}},
			"only a wildcard": {store.IncidentFilter{Text: "%"}, []int64{2}},
			"number":          {store.IncidentFilter{Text: "#3"}, []int64{3}},
			"huge number":     {store.IncidentFilter{Text: "#9000000000000000000"}, nil},
			"hostile status":  {store.IncidentFilter{Statuses: []magpie.IncidentStatus{"' OR 1=1 --", "%"}}, nil},
			"together":        {store.IncidentFilter{Repo: service.ID, Severities: []magpie.Severity{magpie.SeverityHigh}, Text: "config"}, []int64{1}},
		}
		for name, test := range tests {
			if diff := cmp.Diff(test.want, w.numbers(test.filter, store.IncidentNewest)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		rules := query(w, func(tx *store.Tx) ([]store.Choice, error) { return tx.IncidentRules(w.ctx) })
		if diff := cmp.Diff([]store.Choice{{Value: "rule-a", Label: "Title A", Count: 4}, {Value: "rule-b", Label: "Title B", Count: 1}}, rules); diff != "" {
			t.Errorf("detectors (-want +got):\n%s", diff)
		}
		repos := query(w, func(tx *store.Tx) ([]store.Choice, error) { return tx.IncidentRepos(w.ctx) })
		if len(repos) != 2 || repos[0].Label != "APP/other" || repos[0].Count != 3 {
			t.Errorf("repositories %v", repos)
		}
		if _, err := store.Query(w.ctx, w.db, func(tx *store.Tx) (magpie.Incident, error) { return tx.IncidentByNumber(w.ctx, 99) }); magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("an unknown number is %v", err)
		}
	})
}

// TestIncidentOrders pages through incidents with many ties in each order and compares with sorting them here.
func TestIncidentOrders(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		r := w.repo(w.project(w.integration("https://one.example.com"), "APP", 1), "service", nil)
		random := rand.New(rand.NewPCG(1, 2))
		var all []magpie.Incident
		for range 25 {
			all = append(all, w.incident(r, "f", func(v *magpie.Incident) {
				v.Severity = magpie.Severities()[random.IntN(3)]
				v.LastSeenAt = w.start.Add(time.Duration(random.IntN(4)) * time.Hour)
			}))
		}
		worse := func(a, b magpie.Incident) int {
			return slices.Index(magpie.Severities(), a.Severity) - slices.Index(magpie.Severities(), b.Severity)
		}
		for sort, compare := range map[store.IncidentSort]func(a, b magpie.Incident) int{
			store.IncidentNewest:   func(a, b magpie.Incident) int { return 0 },
			store.IncidentOldest:   func(a, b magpie.Incident) int { return int(a.Number - b.Number) },
			store.IncidentWorst:    worse,
			store.IncidentActivity: func(a, b magpie.Incident) int { return b.LastSeenAt.Compare(a.LastSeenAt) },
		} {
			want := slices.Clone(all)
			slices.SortFunc(want, func(a, b magpie.Incident) int {
				if c := compare(a, b); c != 0 {
					return c
				}
				return int(b.Number - a.Number)
			})
			var numbers []int64
			for _, v := range want {
				numbers = append(numbers, v.Number)
			}
			if diff := cmp.Diff(numbers, w.numbers(store.IncidentFilter{}, sort)); diff != "" {
				t.Errorf("order %q (-want +got):\n%s", sort, diff)
			}
		}
		for _, cursor := range []string{"x", "1", "-1.2", "1.2.3", "' OR 1=1", "1.-2"} {
			_, err := store.Query(w.ctx, w.db, func(tx *store.Tx) (store.IncidentPage, error) {
				return tx.Incidents(w.ctx, store.IncidentFilter{}, store.IncidentNewest, cursor, 2)
			})
			if magpie.KindOf(err) != magpie.KindInvalid {
				t.Errorf("cursor %q is %v", cursor, err)
			}
		}
	})
}

// What a text finds is what holds it in "KEY/slug" or a name, whatever the case, in the lists and in the tree alike.
func TestPerimeterText(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		i := w.integration("https://one.example.com")
		var repos []magpie.Repo
		for n, key := range []string{"APP", "MAP", "~ann", "P_1"} {
			project := w.project(i, key, int64(n))
			for _, slug := range []string{"app", "map-tool", "p_1", "p-1"} {
				repos = append(repos, w.repo(project, slug, func(r *magpie.Repo) { r.Name = "The " + slug + ` of 100% a/b/c \\x` }))
			}
		}
		names := map[magpie.ProjectID]string{}
		for _, p := range query(w, func(tx *store.Tx) ([]magpie.Project, error) { return tx.Projects(w.ctx, i.ID) }) {
			names[p.ID] = p.Name
		}
		for _, text := range []string{
			"app", "APP", "p/", "/", "/a", "P/App", "p/map", " ap/ma ", "ap//ma", "a/b", "a/b/c", "b/c", "app/app/", "p_1", "P_1/P_1", "_1/p", "~ann/p-",
			"%", "100%", "_", `\x`, "name of map", "of map/", "nothing", "no/thing",
		} {
			want, want2 := []string{}, map[magpie.ProjectID]int64{}
			for _, r := range repos {
				folded := strings.ToLower(strings.TrimSpace(text))
				if slices.ContainsFunc([]string{r.FullName(), r.Name, names[r.ProjectID]}, func(in string) bool { return strings.Contains(strings.ToLower(in), folded) }) {
					want = append(want, r.FullName())
					want2[r.ProjectID]++
				}
			}
			slices.Sort(want)
			f := store.PerimeterFilter{Text: text}
			got := []string{}
			for _, r := range query(w, func(tx *store.Tx) (store.PerimeterPage, error) { return tx.PerimeterRepos(w.ctx, f, "", 100) }).Repos {
				got = append(got, r.FullName())
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q lists (-want +got):\n%s", text, diff)
			}
			got2 := map[magpie.ProjectID]int64{}
			for _, p := range query(w, func(tx *store.Tx) ([]store.PerimeterNode, error) { return tx.PerimeterTree(w.ctx, f) }) {
				got2[p.ID] = p.Repos
			}
			if diff := cmp.Diff(want2, got2); diff != "" {
				t.Errorf("%q counts (-want +got):\n%s", text, diff)
			}
		}
	})
}

func TestPerimeterList(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		one, two := w.integration("https://one.example.com"), w.integration("https://two.example.com")
		app, ops, far := w.project(one, "APP", 1), w.project(one, "OPS", 2), w.project(two, "APP", 1)
		service := w.repo(app, "service", nil)
		w.repo(app, "broken", func(r *magpie.Repo) { r.Hook, r.HookReason = magpie.HookFailed, "why" })
		w.repo(app, "gone", func(r *magpie.Repo) { r.State, r.Hook = magpie.RepoDeleted, magpie.HookNone })
		w.repo(ops, "new", func(r *magpie.Repo) { r.Hook, r.History = magpie.HookPending, magpie.HistoryPending })
		w.repo(ops, "away", func(r *magpie.Repo) { r.State = magpie.RepoUnavailable })
		w.repo(far, "quiet", func(r *magpie.Repo) { r.Monitored, r.Hook, r.History = false, magpie.HookNone, magpie.HistoryNone })
		first := w.incident(service, "a", nil)
		w.write(func(tx *store.Tx) error { return w.addOccurrence(tx, first, service, "b") })
		w.incident(service, "c", nil)
		w.incident(service, "d", func(v *magpie.Incident) { v.Status = magpie.IncidentResolved })
		names := func(f store.PerimeterFilter) (all []string) {
			for cursor, more := "", true; more; {
				page := query(w, func(tx *store.Tx) (store.PerimeterPage, error) { return tx.PerimeterRepos(w.ctx, f, cursor, 2) })
				for _, r := range page.Repos {
					all = append(all, strings.TrimPrefix(r.BaseURL, "https://")[:3]+" "+r.FullName())
					if want := map[bool]int64{true: 2}[r.ID == service.ID]; r.Open != want {
						t.Errorf("%s has %d open incidents, want %d", r.FullName(), r.Open, want)
					}
				}
				cursor, more = page.Next, page.Next != ""
			}
			if ids := query(w, func(tx *store.Tx) ([]magpie.RepoID, error) { return tx.ReposOfFilter(w.ctx, f) }); len(ids) != len(all) {
				t.Errorf("%+v: %d ids, %d listed", f, len(ids), len(all))
			}
			return all
		}
		tests := map[string]struct {
			filter store.PerimeterFilter
			want   []string
		}{
			"all":         {store.PerimeterFilter{}, []string{"one APP/broken", "one APP/service", "one OPS/away", "one OPS/new", "two APP/quiet"}},
			"integration": {store.PerimeterFilter{Integration: two.ID}, []string{"two APP/quiet"}},
			"project":     {store.PerimeterFilter{Project: ops.ID}, []string{"one OPS/away", "one OPS/new"}},
			"monitored":   {store.PerimeterFilter{State: store.PerimeterMonitored, Project: app.ID}, []string{"one APP/broken", "one APP/service"}},
			"unmonitored": {store.PerimeterFilter{State: store.PerimeterUnmonitored}, []string{"two APP/quiet"}},
			"trouble":     {store.PerimeterFilter{State: store.PerimeterTrouble}, []string{"one APP/broken", "one OPS/away"}},
			"pending":     {store.PerimeterFilter{State: store.PerimeterPending}, []string{"one OPS/new"}},
			"deleted":     {store.PerimeterFilter{State: store.PerimeterDeleted}, []string{"one APP/gone"}},
			"text":        {store.PerimeterFilter{Text: "ops/N"}, []string{"one OPS/new"}},
			"by name":     {store.PerimeterFilter{Text: "name of ops"}, []string{"one OPS/away", "one OPS/new"}},
		}
		for name, test := range tests {
			if diff := cmp.Diff(test.want, names(test.filter)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		for _, f := range []store.PerimeterFilter{{}, {Project: app.ID}, {Text: "ops/n"}, {Integration: two.ID}} {
			states := query(w, func(tx *store.Tx) (map[store.PerimeterState]int64, error) { return tx.PerimeterStates(w.ctx, f) })
			for state, n := range states {
				f.State = state
				if want := len(names(f)); int(n) != want {
					t.Errorf("%+v: %d counted together, %d alone", f, n, want)
				}
			}
			if len(states) != 6 {
				t.Errorf("%d states counted, want 6", len(states))
			}
		}
		projects := query(w, func(tx *store.Tx) ([]store.PerimeterProject, error) { return tx.PerimeterProjects(w.ctx, one.ID) })
		if len(projects) != 2 || projects[0].Repos != 2 || projects[0].Monitored != 2 || projects[0].Hooked != 1 || projects[0].Trouble != 1 ||
			projects[1].Key != "OPS" || projects[1].Trouble != 1 {
			t.Errorf("projects %+v", projects)
		}
		coverage := query(w, func(tx *store.Tx) (store.Coverage, error) { return tx.Coverage(w.ctx, one.ID) })
		want := store.Coverage{Repos: 4, Monitored: 4, HooksInstalled: 2, HooksPending: 1, HooksFailed: 1, HistoryDone: 3, HistoryPending: 1, Unavailable: 1, Deleted: 1}
		if diff := cmp.Diff(want, coverage); diff != "" {
			t.Errorf("coverage (-want +got):\n%s", diff)
		}
		if _, err := store.Query(w.ctx, w.db, func(tx *store.Tx) (store.PerimeterPage, error) {
			return tx.PerimeterRepos(w.ctx, store.PerimeterFilter{}, "%%%", 2)
		}); magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("a wrong cursor is %v", err)
		}
	})
}

func TestScanList(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		r := w.repo(w.project(w.integration("https://one.example.com"), "APP", 1), "service", nil)
		add := func(kind magpie.ScanKind, state magpie.ScanState) magpie.ScanID {
			v := magpie.Scan{ID: store.NewID[magpie.ScanID](), RepoID: r.ID, Kind: kind, State: magpie.ScanQueued, CreatedAt: w.start}
			w.write(func(tx *store.Tx) error {
				if err := tx.AddScan(w.ctx, v); err != nil || state == magpie.ScanQueued {
					return err
				}
				if _, err := tx.StartScan(w.ctx, v.ID, w.start); err != nil || state == magpie.ScanRunning {
					return err
				}
				v.State, v.EndedAt = state, w.start.Add(time.Minute)
				_, err := tx.EndScan(w.ctx, v)
				return err
			})
			return v.ID
		}
		waiting, running := add(magpie.ScanHistory, magpie.ScanQueued), add(magpie.ScanHistory, magpie.ScanRunning)
		var ended []magpie.ScanID
		for n := range 5 {
			kind, state := magpie.ScanPush, magpie.ScanFinished
			if n == 2 {
				kind, state = magpie.ScanHistory, magpie.ScanFailed
			}
			ended = append(ended, add(kind, state))
		}
		active := query(w, func(tx *store.Tx) ([]store.ListedScan, error) { return tx.ActiveScans(w.ctx, 10) })
		if len(active) != 2 || active[0].ID != running || active[1].ID != waiting || active[0].RepoName != "APP/service" {
			t.Errorf("active scans %+v", active)
		}
		w.write(func(tx *store.Tx) error {
			if n, queued, err := tx.CountActiveScans(w.ctx); err != nil || n != 1 || queued != 1 {
				t.Errorf("%d running and %d queued, want 1 and 1: %v", n, queued, err)
			}
			return nil
		})
		list := func(f store.ScanFilter) (ids []magpie.ScanID) {
			for cursor, more := "", true; more; {
				page := query(w, func(tx *store.Tx) (store.ScanPage, error) { return tx.EndedScans(w.ctx, f, cursor, 2) })
				for _, v := range page.Scans {
					ids = append(ids, v.ID)
				}
				cursor, more = page.Next, page.Next != ""
			}
			return ids
		}
		slices.Reverse(ended)
		if diff := cmp.Diff(ended, list(store.ScanFilter{})); diff != "" {
			t.Errorf("ended scans (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(ended[2:3], list(store.ScanFilter{Kind: magpie.ScanHistory, State: magpie.ScanFailed, Repo: r.ID})); diff != "" {
			t.Errorf("the failed one (-want +got):\n%s", diff)
		}
		progress := magpie.Progress{
			Phase: magpie.PhasePlacing, Left: 90 * time.Second, BytesReceived: 1, Objects: 2, ObjectsTotal: 3, Blobs: 4, BlobBytes: 5, Findings: 6, Skipped: 7,
		}
		w.write(func(tx *store.Tx) error {
			_, err := tx.SetScanProgress(w.ctx, running, progress, "")
			return err
		})
		got := query(w, func(tx *store.Tx) (store.ListedScan, error) { return tx.ListedScan(w.ctx, running) })
		if got.State != magpie.ScanRunning || got.Progress != progress || !got.Readable {
			t.Errorf("one scan is %+v", got)
		}
		w.write(func(tx *store.Tx) error {
			got.Scan.State, got.EndedAt = magpie.ScanCanceled, w.start.Add(time.Hour)
			_, err := tx.EndScan(w.ctx, got.Scan)
			return err
		})
		progress.Phase, progress.Left = "", 0
		if got := query(w, func(tx *store.Tx) (magpie.Scan, error) { return tx.Scan(w.ctx, running) }); got.Progress != progress {
			t.Errorf("when it has ended, its progress is %+v", got.Progress)
		}
	})
}

func TestOverviewCounts(t *testing.T) {
	t.Parallel()
	eachList(t, func(t *testing.T, w *listWorld) {
		r := w.repo(w.project(w.integration("https://one.example.com"), "APP", 1), "service", nil)
		for n := range 3 {
			w.incident(r, "f", func(v *magpie.Incident) {
				v.FirstSeenAt = w.start.AddDate(0, 0, n/2).Add(11*time.Hour + 59*time.Minute)
			})
		}
		w.incident(r, "f", func(v *magpie.Incident) { v.Status, v.FirstSeenAt = magpie.IncidentIgnored, w.start.AddDate(0, 0, -9) })
		open := query(w, func(tx *store.Tx) ([]store.SeverityCount, error) { return tx.OpenBySeverity(w.ctx) })
		if len(open) != 5 || open[0].Count != 0 || open[1].Count != 3 {
			t.Errorf("open incidents %v", open)
		}
		statuses := query(w, func(tx *store.Tx) ([]store.StatusCount, error) {
			return tx.CountIncidentsByStatus(w.ctx, store.IncidentFilter{})
		})
		if diff := cmp.Diff([]store.StatusCount{{Status: magpie.IncidentIgnored, Count: 1}, {Status: magpie.IncidentTriggered, Count: 3}}, statuses); diff != "" {
			t.Errorf("by status (-want +got):\n%s", diff)
		}
		days := query(w, func(tx *store.Tx) ([]store.DayCount, error) {
			return tx.IncidentsByDay(w.ctx, w.start.AddDate(0, 0, -1), w.start.AddDate(0, 0, 1))
		})
		var counts []int64
		for _, d := range days {
			counts = append(counts, d.Count)
		}
		if diff := cmp.Diff([]int64{0, 2, 1}, counts); diff != "" {
			t.Errorf("by day (-want +got):\n%s", diff)
		}
		w.write(func(tx *store.Tx) error {
			if waiting, failed, err := tx.WaitingAlerts(w.ctx); err != nil || waiting != 0 || failed != 0 {
				t.Errorf("%d waiting, %d failed alerts: %v", waiting, failed, err)
			}
			return nil
		})
	})
}
