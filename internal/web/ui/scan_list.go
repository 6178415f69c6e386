package ui

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/store"
)

const (
	scansPerPage   = 50
	maxActiveScans = 100
)

// scanListPage shows what is being scanned and what has been.
type scanListPage struct {
	Query      url.Values
	Active     []scanRow
	Running    int64
	Queued     int64
	Ended      []scanRow
	Connected  bool
	Filtered   bool
	Self, Next templ.SafeURL
	First      templ.SafeURL
}

type scanRow struct {
	store.ListedScan
	KindLabel string
	State     badge
	Took      string
	When      timestamp
	Line      string // the counters
	MayCancel bool
}

func (s *server) serveScanList(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.scanList(r.Context(), userOf(r), r.URL.Query())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, scanListView(s.frame(r, "Scans", sectionScans), page))
}

func (p Pages) scanList(ctx context.Context, user magpie.User, query url.Values) (scanListPage, error) {
	base, cursor := with(query, "note", ""), query.Get("cursor")
	page := scanListPage{Query: base, Self: queryURL("/scans", base)}
	if cursor != "" {
		self := cloneQuery(base)
		self.Set("cursor", cursor)
		page.First, page.Self = page.Self, queryURL("/scans", self)
	}
	filter := store.ScanFilter{
		Kind: magpie.ScanKind(query.Get("kind")), State: magpie.ScanState(query.Get("state")), Repo: magpie.RepoID(query.Get("repo")),
	}
	page.Filtered = filter != store.ScanFilter{}
	now := p.now()
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		active, err := tx.ActiveScans(ctx, maxActiveScans)
		if err != nil {
			return err
		}
		for _, v := range active {
			page.Active = append(page.Active, newScanRow(v, now, mayScan(user)))
		}
		if page.Running, page.Queued, err = tx.CountActiveScans(ctx); err != nil {
			return err
		}
		ended, err := tx.EndedScans(ctx, filter, cursor, scansPerPage)
		if err != nil {
			return err
		}
		for _, v := range ended.Scans {
			page.Ended = append(page.Ended, newScanRow(v, now, false))
		}
		if ended.Next != "" {
			next := cloneQuery(base)
			next.Set("cursor", ended.Next)
			page.Next = queryURL("/scans", next)
		}
		integrations, err := tx.Integrations(ctx)
		page.Connected = len(integrations) > 0
		return err
	})
	return page, err
}

func newScanRow(v store.ListedScan, now time.Time, mayCancel bool) scanRow {
	row := scanRow{ListedScan: v, State: scanBadge(v.Scan), Took: scanTook(v.Scan, now), When: at(v.CreatedAt, now), MayCancel: mayCancel}
	row.KindLabel = "Push"
	if v.Kind == magpie.ScanHistory {
		row.KindLabel = "History"
	}
	if !v.EndedAt.IsZero() {
		row.When = at(v.EndedAt, now)
	}
	p := v.Progress
	row.Line = byteSize(p.BytesReceived) + " received"
	switch {
	case p.ObjectsTotal == 0:
	case p.Objects == p.ObjectsTotal:
		row.Line += " · " + plural(p.Objects, "object")
	default:
		row.Line += " · " + number(p.Objects) + " of " + plural(p.ObjectsTotal, "object")
	}
	row.Line += " · " + byteSize(p.BlobBytes) + " scanned"
	return row
}

func scanBadge(v magpie.Scan) badge {
	switch v.State {
	case magpie.ScanQueued:
		return badge{Label: "Waiting", Tone: "idle", Icon: "clock"}
	case magpie.ScanRunning:
		return badge{Label: "Running", Tone: "active", Icon: "spinner"}
	case magpie.ScanFailed:
		return badge{Label: "Failed", Tone: "bad", Icon: "error"}
	case magpie.ScanCanceled:
		return badge{Label: "Canceled", Tone: "idle", Icon: "slash"}
	}
	if v.Progress.Skipped > 0 {
		return badge{Label: "Finished", Tone: "warn", Icon: "warning", Title: "Some objects were skipped"}
	}
	return badge{Label: "Finished", Tone: "good", Icon: "check"}
}

func (s *server) cancelScan(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if err := s.opts.Scans.Cancel(r.Context(), userOf(r), magpie.ScanID(r.PathValue("id"))); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/scans"), "canceled")
}
