package api

import (
	"context"
	"net/http"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/store"
)

// scans adds the operations about scans.
func (s *server) scans() {
	const tag = "scans"
	add(s, operation{id: "list-scans", method: "GET", path: "/scans", need: access.ViewPerimeter, tag: tag, summary: "List the scans, newest first"},
		s.listScans)
	add(s, operation{
		id: "start-scan", method: "POST", path: "/scans", need: access.StartScans, tag: tag,
		summary: "Scan the whole history of a repository", status: http.StatusCreated,
	}, s.startScan)
	add(s, operation{id: "get-scan", method: "GET", path: "/scans/{id}", need: access.ViewPerimeter, tag: tag, summary: "Get a scan"}, s.getScan)
	add(s, operation{
		id: "cancel-scan", method: "POST", path: "/scans/{id}/cancel", need: access.StartScans, tag: tag,
		summary: "Cancel a scan that has not ended",
	}, s.cancelScan)
	add(s, operation{
		id: "repeat-scan", method: "POST", path: "/scans/{id}/repeat", need: access.StartScans, tag: tag,
		summary: "Scan a history again whose scan was canceled or failed", status: http.StatusCreated,
	}, s.repeatScan)
}

type scansInput struct {
	Paging
	Kind       magpie.ScanKind  `query:"kind" enum:"history,push"`
	State      magpie.ScanState `query:"state" enum:"queued,running,finished,failed,canceled"`
	Repository string           `query:"repository" maxLength:"64" doc:"Id of a repository."`
}

func (s *server) listScans(ctx context.Context, _ magpie.User, in *scansInput) (page[scanView], error) {
	filter := store.ScanFilter{Kind: in.Kind, State: in.State, Repo: magpie.RepoID(in.Repository)}
	found, err := store.Query(ctx, s.DB, func(tx *store.Tx) (store.ScanPage, error) { return tx.AllScans(ctx, filter, in.Cursor, in.Limit) })
	return newPage(found.Scans, found.Next, viewScan), err
}

type scanPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *server) getScan(ctx context.Context, _ magpie.User, in *scanPath) (scanView, error) {
	found, err := store.Query(ctx, s.DB, func(tx *store.Tx) (store.ListedScan, error) { return tx.ListedScan(ctx, magpie.ScanID(in.ID)) })
	return viewScan(found), err
}

type startInput struct {
	Body struct {
		RepositoryID magpie.RepoID `json:"repository_id"`
	}
}

func (s *server) startScan(ctx context.Context, user magpie.User, in *startInput) (scanView, error) {
	id, err := s.Perimeter.StartHistory(ctx, user, in.Body.RepositoryID)
	if err != nil {
		return scanView{}, err
	}
	return s.getScan(ctx, user, &scanPath{string(id)})
}

func (s *server) cancelScan(ctx context.Context, user magpie.User, in *scanPath) (nothing, error) {
	return nothing{}, s.Scans.Cancel(ctx, user, magpie.ScanID(in.ID))
}

func (s *server) repeatScan(ctx context.Context, user magpie.User, in *scanPath) (scanView, error) {
	id, err := s.Perimeter.RepeatHistory(ctx, user, magpie.ScanID(in.ID))
	if err != nil {
		return scanView{}, err
	}
	return s.getScan(ctx, user, &scanPath{string(id)})
}
