package ui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
	Phase     string // what a running one is busy with, and for how long still
	MayCancel bool
	MayRepeat bool // a history that somebody canceled, or that failed, and that nothing has taken up since
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
		page.addEnded(ended.Scans, now, mayScan(user))
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

// addEnded adds the rows of scans that have ended, newest first.
func (page *scanListPage) addEnded(ended []store.ListedScan, now time.Time, mayScan bool) {
	taken := map[magpie.RepoID]bool{} // repositories of which a newer history scan is listed
	for _, row := range page.Active {
		taken[row.RepoID] = taken[row.RepoID] || row.Scan.Kind == magpie.ScanHistory
	}
	for _, v := range ended {
		row := newScanRow(v, now, false)
		if v.Kind == magpie.ScanHistory {
			broken := v.Scan.State == magpie.ScanCanceled || v.Scan.State == magpie.ScanFailed
			row.MayRepeat = mayScan && broken && v.Readable && !taken[v.RepoID]
			taken[v.RepoID] = true
		}
		page.Ended = append(page.Ended, row)
	}
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
	row.Line = readLine(v.Progress)
	if v.Scan.State == magpie.ScanRunning {
		row.Phase = phaseLabel(v.Progress)
	}
	return row
}

// readLine says how much a scan has read.
func readLine(p magpie.Progress) string {
	var parts []string
	if p.BytesReceived > 0 {
		parts = append(parts, byteSize(p.BytesReceived)+" received")
	}
	switch {
	case p.ObjectsTotal == 0:
	case p.Objects == p.ObjectsTotal:
		parts = append(parts, plural(p.Objects, "object"))
	default:
		parts = append(parts, number(p.Objects)+" of "+plural(p.ObjectsTotal, "object"))
	}
	if p.BlobBytes > 0 {
		parts = append(parts, byteSize(p.BlobBytes)+" scanned")
	}
	return strings.Join(parts, " · ")
}

// phaseLabel says what a running scan is busy with and when it will be done, as far as that can be told.
func phaseLabel(p magpie.Progress) string {
	label := map[magpie.ScanPhase]string{
		"": "Asking Bitbucket", magpie.PhaseAsking: "Asking Bitbucket", magpie.PhaseCounting: "Bitbucket counts",
		magpie.PhaseCompressing: "Bitbucket packs", magpie.PhaseWaiting: "Waiting to try again", magpie.PhaseReceiving: "Receiving", magpie.PhaseIndexing: "Indexing",
		magpie.PhaseScanning: "Looking for secrets", magpie.PhasePlacing: "Looking for commits",
	}[p.Phase]
	if p.ObjectsTotal > 0 {
		label += fmt.Sprintf(", %d\u00a0%%", 100*min(p.Objects, p.ObjectsTotal)/p.ObjectsTotal)
	}
	if p.Left > 0 {
		label += " · " + leftText(p.Left)
	}
	return label
}

// leftText says how long something will take, as exactly as an estimate can be.
func leftText(d time.Duration) string {
	const space = "\u00a0" // keeps it on one line
	switch {
	case d < 10*time.Second:
		return strings.ReplaceAll("a few seconds left", " ", space)
	case d < 2*time.Minute:
		return fmt.Sprintf("%d"+space+"s"+space+"left", int(d.Round(5*time.Second).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d"+space+"min"+space+"left", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d"+space+"h"+space+"left", int(d.Round(time.Hour).Hours()))
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
	return s.done(w, r, scansBack(r), "canceled")
}

func (s *server) repeatScan(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if _, err := s.opts.Perimeter.RepeatHistory(r.Context(), userOf(r), magpie.ScanID(r.PathValue("id"))); err != nil {
		return err
	}
	return s.done(w, r, scansBack(r), "scan")
}

// scansBack returns where a form about a scan leads back to: the page that it was on.
func scansBack(r *http.Request) templ.SafeURL {
	if back := r.PostForm.Get("back"); back != "" {
		return pathURL(localPath(back))
	}
	return pathURL("/scans")
}
