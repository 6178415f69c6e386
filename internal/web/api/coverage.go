package api

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/report"
	"magpie/internal/store"
	"magpie/internal/web/patient"
)

// coverage adds the operations about how far everything was scanned, and about the sweeps that compare it.
func (s *server) coverage() {
	const tag = "coverage"
	add(s, operation{
		id: "get-coverage", method: "GET", path: "/coverage", need: access.ViewPerimeter, tag: tag,
		summary: "Get how far the monitored repositories have been scanned: sums and a page of repositories",
	}, s.getCoverage)
	addStream(s, operation{
		id: "export-coverage", method: "GET", path: "/coverage.csv", need: access.ViewPerimeter, tag: tag,
		summary: "Export how far each ref has been scanned, as CSV",
	}, "text/csv", s.exportCoverage)
	add(s, operation{
		id: "list-refs", method: "GET", path: "/repositories/{id}/refs", need: access.ViewPerimeter, tag: tag,
		summary: "List the refs of a repository, with the commit up to which each has been scanned",
	}, s.listRefs)
	add(s, operation{
		id: "list-sweeps", method: "GET", path: "/sweeps", need: access.ViewPerimeter, tag: tag,
		summary: "List the last comparisons of everything monitored with what was scanned, newest first",
	}, s.listSweeps)
	add(s, operation{
		id: "start-sweep", method: "POST", path: "/sweeps", need: access.ManageIntegrations, tag: tag,
		summary: "Compare all monitored repositories with what was scanned, now", status: http.StatusAccepted,
	}, s.startSweep)
}

// PerimeterQuery chooses repositories; exported as IntegrationPath is.
type PerimeterQuery struct {
	Integration string               `query:"integration" maxLength:"64" doc:"Id of an integration."`
	Project     string               `query:"project" maxLength:"64" doc:"Id of a project."`
	State       store.PerimeterState `query:"state" enum:"monitored,unmonitored,trouble,pending,behind,never_scanned,deleted" doc:"behind: something known was not scanned, or the refs were never compared."`
	Hook        magpie.HookState     `query:"hook" enum:"none,pending,installed,failed" doc:"State of the webhook."`
	Text        string               `query:"q" maxLength:"200" doc:"Part of a name."`
}

func (q PerimeterQuery) filter() store.PerimeterFilter {
	return store.PerimeterFilter{
		Integration: magpie.IntegrationID(q.Integration), Project: magpie.ProjectID(q.Project), State: q.State, Hook: q.Hook, Text: q.Text,
	}
}

type coverageInput struct {
	Paging
	PerimeterQuery
}

// coveragePage is a page with the sums of everything.
type coveragePage struct {
	Sums  coverageSumsView   `json:"sums" doc:"Of all monitored repositories, or those of the integration; other filters don't count."`
	Items []coverageRepoView `json:"items"`
	Next  string             `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one."`
}

func (s *server) getCoverage(ctx context.Context, _ magpie.User, in *coverageInput) (coveragePage, error) {
	return store.Query(ctx, s.DB, func(tx *store.Tx) (coveragePage, error) {
		sums, err := tx.CoverageSums(ctx, magpie.IntegrationID(in.Integration))
		if err != nil {
			return coveragePage{}, err
		}
		found, err := tx.CoverageRepos(ctx, in.filter(), in.Cursor, in.Limit)
		items := newPage(found.Repos, found.Next, viewCoverageRepo)
		return coveragePage{Sums: viewCoverageSums(sums), Items: items.Items, Next: items.Next}, err
	})
}

func (s *server) exportCoverage(ctx context.Context, in *PerimeterQuery, w io.Writer) error {
	return report.WriteCoverageCSV(ctx, w, s.DB, in.filter())
}

type refsInput struct {
	RepositoryPath
	Paging
}

func (s *server) listRefs(ctx context.Context, _ magpie.User, in *refsInput) (page[refView], error) {
	return store.Query(ctx, s.DB, func(tx *store.Tx) (page[refView], error) {
		if _, err := tx.Repo(ctx, magpie.RepoID(in.ID)); err != nil {
			return page[refView]{}, err
		}
		refs, err := tx.CoverageRefs(ctx, magpie.RepoID(in.ID), in.Cursor, in.Limit+1)
		next := ""
		if len(refs) > in.Limit {
			refs = refs[:in.Limit]
			next = refs[in.Limit-1].Ref
		}
		return newPage(refs, next, viewRef), err
	})
}

type sweepsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"The most items."`
}

func (s *server) listSweeps(ctx context.Context, _ magpie.User, in *sweepsInput) (page[sweepView], error) {
	all, err := store.Query(ctx, s.DB, func(tx *store.Tx) ([]store.Sweep, error) { return tx.Sweeps(ctx, in.Limit) })
	return newPage(all, "", viewSweep), err
}

func (s *server) startSweep(ctx context.Context, user magpie.User, _ *struct{}) (nothing, error) {
	return nothing{}, s.Perimeter.SweepNow(ctx, user)
}

// addStream registers an operation whose answer is written while it is made. An answer that can't be finished is cut off, so that
// nobody takes it for the whole.
func addStream[I any](s *server, op operation, contentType string, handle func(ctx context.Context, in *I, w io.Writer) error) {
	described, ok := s.describe(&op)
	if !ok {
		return
	}
	described.Responses = map[string]*huma.Response{
		"200": {Description: "OK", Content: map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString}}}},
	}
	huma.Register(s.huma, described, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			hc.SetHeader("Content-Type", contentType+"; charset=utf-8")
			hc.SetHeader("Content-Disposition", "attachment")
			if err := handle(ctx, in, patient.NewWriter(hc.BodyWriter())); err != nil {
				if ctx.Err() == nil {
					s.Log.ErrorContext(ctx, "an API answer could not be finished", "operation", op.id, "error", err)
				}
				panic(http.ErrAbortHandler)
			}
		}}, nil
	})
}
