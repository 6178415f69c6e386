package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/store"
)

// perimeterFixture is an integration with a project of four repositories.
type perimeterFixture struct {
	integration magpie.Integration
	project     magpie.Project
	repos       []magpie.Repo
}

var fixtureTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (b *bundle) perimeter() (f perimeterFixture) {
	b.t.Helper()
	ctx := context.Background()
	f.integration = magpie.Integration{
		ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeInstance, BaseURL: "https://one.example.com", Version: "9.4.0", TokenUser: "bot",
		State: magpie.IntegrationNoLicence, StateReason: "no licence", CreatedAt: fixtureTime, TokenExpiresAt: fixtureTime.AddDate(1, 0, 0),
	}
	err := b.db.Write(ctx, func(tx *store.Tx) (err error) {
		if err := tx.InsertIntegration(ctx, f.integration, []byte("sealed")); err != nil {
			return err
		}
		if f.project, err = tx.PutProject(ctx, magpie.Project{IntegrationID: f.integration.ID, RemoteID: 1, Key: "PAY", Name: "Payments", Installed: true}, ""); err != nil {
			return err
		}
		for n, slug := range []string{"behind", "failed", "never", "unmonitored"} {
			r := magpie.Repo{
				ID: store.NewID[magpie.RepoID](), IntegrationID: f.integration.ID, ProjectID: f.project.ID, RemoteID: int64(n + 1), ProjectKey: "PAY",
				Slug: slug, State: magpie.RepoAvailable, Monitored: slug != "unmonitored", Hook: magpie.HookInstalled, History: magpie.HistoryDone, LastScanAt: fixtureTime,
			}
			switch slug {
			case "failed":
				r.Hook, r.HookReason = magpie.HookFailed, "may not administer"
			case "never":
				r.LastScanAt = time.Time{}
			}
			if err := tx.PutRepo(ctx, r, ""); err != nil {
				return err
			}
			f.repos = append(f.repos, r)
			for _, ref := range []string{"refs/heads/a", "refs/heads/b", "refs/heads/c"} {
				if err := tx.PutTip(ctx, r.ID, magpie.Tip{Ref: ref, Hash: "aa"}, fixtureTime); err != nil {
					return err
				}
			}
		}
		_, err = tx.AddDelivery(ctx, store.Delivery{ID: store.NewID[magpie.DeliveryID](), RepoID: f.repos[0].ID, Push: magpie.Push{RequestID: "1"}, ReceivedAt: fixtureTime})
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// get reads an answer that must be a success.
func get[T any](b *bundle, method, path, body string) (v T) {
	b.t.Helper()
	w := b.call(magpie.RoleManager, method, path, body)
	if w.Code >= 300 {
		b.t.Fatalf("%s %s: status %d: %s", method, path, w.Code, w.Body)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			b.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return v
}

func TestCoverage(t *testing.T) {
	each(t, func(b *bundle) {
		f := b.perimeter()
		var names []string
		cursor := ""
		for {
			p := get[coveragePage](b, "GET", "/coverage?limit=2&cursor="+cursor, "")
			if p.Sums.Monitored != 3 || p.Sums.Waiting != 1 || p.Sums.OldestWaiting == nil || !p.Sums.OldestWaiting.Equal(fixtureTime) || p.Sums.NeverCompared != 3 {
				b.t.Errorf("sums %+v", p.Sums)
			}
			for _, r := range p.Items {
				names = append(names, fmt.Sprintf("%s %d/%d %d", r.FullName, r.RefsScanned, r.Refs, r.Waiting))
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"PAY/behind 3/3 1", "PAY/failed 3/3 0", "PAY/never 3/3 0"}, names); diff != "" {
			b.t.Errorf("coverage (-want +got):\n%s", diff)
		}
		var refs []string
		for cursor = ""; ; {
			p := get[page[refView]](b, "GET", fmt.Sprintf("/repositories/%s/refs?limit=2&cursor=%s", f.repos[0].ID, cursor), "")
			for _, r := range p.Items {
				refs = append(refs, r.Ref)
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"refs/heads/a", "refs/heads/b", "refs/heads/c"}, refs); diff != "" {
			b.t.Errorf("refs (-want +got):\n%s", diff)
		}
		w := b.call(magpie.RoleMember, "GET", "/coverage.csv?hook=failed", "")
		rows, err := csv.NewReader(w.Body).ReadAll()
		if err != nil || len(rows) != 4 || rows[1][2] != "failed" || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" || w.Header().Get("Content-Disposition") != "attachment" {
			b.t.Errorf("CSV of what has no webhook (%v), headers %v:\n%v", err, w.Header(), rows)
		}
	})
}

// A report that can't be finished must not look whole.
func TestBrokenExportIsCutOff(t *testing.T) {
	each(t, func(b *bundle) {
		broken := operation{id: "broken", method: "GET", path: "/broken", need: SignedIn}
		mux := http.NewServeMux()
		s, err := newServer(b.server.Options, mux)
		if err != nil {
			b.t.Fatal(err)
		}
		addStream(s, broken, "text/csv", func(_ context.Context, _ *struct{}, w io.Writer) error {
			_, _ = io.WriteString(w, strings.Repeat("a,b\r\n", 10_000))
			return io.ErrUnexpectedEOF
		})
		server := httptest.NewServer(mux)
		defer server.Close()
		r, err := http.NewRequest("GET", server.URL+"/api/v1/broken", nil)
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+string(b.tokens[magpie.RoleOwner].Reveal()))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		defer response.Body.Close()
		if raw, err := io.ReadAll(response.Body); err == nil {
			b.t.Errorf("a broken export reads as whole, %d bytes", len(raw))
		}
	})
}

func TestRepositoryFilters(t *testing.T) {
	each(t, func(b *bundle) {
		b.perimeter()
		for query, want := range map[string][]string{
			"hook=failed":                      {"PAY/failed"},
			"state=never_scanned":              {"PAY/never"},
			"state=behind":                     {"PAY/behind", "PAY/failed", "PAY/never"},
			"state=behind&hook=failed":         {"PAY/failed"},
			"state=unmonitored&q=unm":          {"PAY/unmonitored"},
			"state=monitored&integration=none": nil,
		} {
			var got []string
			for _, r := range get[page[repositoryView]](b, "GET", "/repositories?"+query, "").Items {
				got = append(got, r.FullName)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				b.t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	})
}

func TestSelectByFilter(t *testing.T) {
	each(t, func(b *bundle) {
		f := b.perimeter()
		for _, body := range []string{`{}`, `{"filter":{}}`, `{"filter":{"q":"a"}}`, `{"ids":["a"],"filter":{"project":"p"}}`, `{"filter":{"project":"p","colour":"red"}}`} {
			if w := b.call(magpie.RoleManager, "POST", "/repositories/deselect", body); w.Code != http.StatusUnprocessableEntity {
				b.t.Errorf("%s: status %d, want 422", body, w.Code)
			}
		}
		b.jobs()
		got := get[chosenView](b, "POST", "/repositories/deselect", `{"filter":{"project":"`+string(f.project.ID)+`","hook":"failed"}}`)
		if got.Repositories != 1 {
			b.t.Errorf("%d repositories deselected, want the one with a failed webhook", got.Repositories)
		}
		got = get[chosenView](b, "POST", "/repositories/select", `{"filter":{"integration":"`+string(f.integration.ID)+`"}}`)
		if list := get[page[repositoryView]](b, "GET", "/repositories?state=monitored", ""); got.Repositories != 2 || len(list.Items) != 4 {
			b.t.Errorf("%d repositories selected and %d monitored, want 2 and 4", got.Repositories, len(list.Items))
		}
	})
}

func TestProjectSettings(t *testing.T) {
	each(t, func(b *bundle) {
		f := b.perimeter()
		path := "/projects/" + string(f.project.ID)
		for _, tc := range []struct {
			body     string
			monitor  projectDefault
			insights bool
		}{
			{`{}`, "inherit", false},
			{`{"insights":true}`, "inherit", true},
			{`{"auto_monitor":"off"}`, "off", true},
			{`{"auto_monitor":"on","insights":false}`, "on", false},
			{`{"auto_monitor":"inherit"}`, "inherit", false},
		} {
			get[struct{}](b, "PATCH", path, tc.body)
			got := get[page[projectView]](b, "GET", "/projects", "").Items[0]
			if got.AutoMonitor != tc.monitor || got.Insights != tc.insights {
				b.t.Errorf("after %s: %s, %t; want %s, %t", tc.body, got.AutoMonitor, got.Insights, tc.monitor, tc.insights)
			}
		}
		if w := b.call(magpie.RoleManager, "PATCH", path, `{"auto_monitor":"maybe"}`); w.Code != http.StatusUnprocessableEntity {
			b.t.Errorf("an unknown default: status %d, want 422", w.Code)
		}
	})
}

func TestIntegrationTells(t *testing.T) {
	each(t, func(b *bundle) {
		f := b.perimeter()
		path := "/integrations/" + string(f.integration.ID)
		got := get[page[integrationView]](b, "GET", "/integrations", "").Items[0]
		if diff := cmp.Diff(got, get[integrationView](b, "GET", path, "")); diff != "" {
			b.t.Errorf("in the list and by itself (-list +single):\n%s", diff)
		}
		if got.State != magpie.IntegrationNoLicence || got.TokenEnds == nil || !got.TokenEnds.Equal(f.integration.TokenExpiresAt) || got.Syncing || got.Coverage.HooksFailed != 1 {
			b.t.Errorf("integration %+v with %+v", got, got.Coverage)
		}
		moved := get[integrationView](b, "PATCH", path, `{"token_expires_at":"2030-01-02T00:00:00Z"}`)
		if want := time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC); moved.TokenEnds == nil || !moved.TokenEnds.Equal(want) {
			b.t.Errorf("the token expires at %v, want %v", moved.TokenEnds, want)
		}
		if kept := get[integrationView](b, "PATCH", path, `{"autoscan":true}`); kept.TokenEnds == nil || !kept.Autoscan {
			b.t.Errorf("after another switch: %+v", kept)
		}
		if gone := get[integrationView](b, "PATCH", path, `{"token_expires_at":null}`); gone.TokenEnds != nil || !gone.Autoscan {
			b.t.Errorf("after null: %+v", gone)
		}
	})
}

func TestSweeps(t *testing.T) {
	each(t, func(b *bundle) {
		err := b.db.Write(context.Background(), func(tx *store.Tx) error {
			_, err := tx.AddSweep(context.Background(), store.Sweep{ID: store.NewID[string](), Reason: "start", BeganAt: fixtureTime, DownSince: fixtureTime.Add(-time.Hour)})
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
		b.jobs()
		if w := b.call(magpie.RoleManager, "POST", "/sweeps", ""); w.Code != http.StatusAccepted {
			b.t.Errorf("asking for a sweep: status %d: %s", w.Code, w.Body)
		}
		got := get[page[sweepView]](b, "GET", "/sweeps", "").Items
		if len(got) != 1 || got[0].Reason != "start" || got[0].EndedAt != nil || got[0].DownSince == nil {
			b.t.Errorf("sweeps %+v", got)
		}
	})
}

// noJobs takes jobs and forgets them: what they do is tested where they are.
type noJobs struct{}

// Insert implements store.Enqueuer.
func (noJobs) Insert(context.Context, any, magpie.Job, magpie.JobOptions) error { return nil }

func (b *bundle) jobs() { b.db.SetEnqueuer(noJobs{}) }
