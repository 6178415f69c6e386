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

// chartDays is how many days the chart of the overview shows.
const chartDays = 30

// overviewPage is what somebody sees first: what is open, what is new, what is watched, what is wrong.
type overviewPage struct {
	Connected  bool
	MayConnect bool
	Open       []store.SeverityCount
	OpenTotal  int64
	Recent     []incidentRow
	Coverage   store.Coverage
	Running    []scanRow
	Queued     int64
	Chart      chart
	Alarms     []alarm
}

// alarm is something that keeps Magpie from doing its work, and what to do about it.
type alarm struct {
	Tone  string
	Text  string
	Hint  string
	Link  templ.SafeURL
	Label string
}

// chart is a bar for each day.
type chart struct {
	Bars  []bar
	Total int64
	First string
	Last  string
}

type bar struct {
	X, Y, Height int
	Zero         bool
	Title        string
}

func (s *server) serveOverview(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.overview(r.Context(), userOf(r))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, overviewView(s.frame(r, "Overview", sectionOverview), page))
}

func (p Pages) overview(ctx context.Context, user magpie.User) (page overviewPage, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error { return page.read(ctx, tx, p, user) })
	return page, err
}

func (page *overviewPage) read(ctx context.Context, tx *store.Tx, p Pages, user magpie.User) error {
	now := p.now()
	integrations, err := tx.Integrations(ctx)
	if err != nil {
		return err
	}
	page.Connected, page.MayConnect = len(integrations) > 0, mayManage(user)
	if page.Open, err = tx.OpenBySeverity(ctx); err != nil {
		return err
	}
	for _, c := range page.Open {
		page.OpenTotal += c.Count
	}
	recent, err := tx.Incidents(ctx, store.IncidentFilter{Statuses: openStatuses}, store.IncidentActivity, "", 8)
	if err != nil {
		return err
	}
	for _, i := range recent.Incidents {
		page.Recent = append(page.Recent, incidentRow{Incident: i, Seen: at(i.LastSeenAt, now)})
	}
	if page.Coverage, err = tx.Coverage(ctx, ""); err != nil {
		return err
	}
	active, err := tx.ActiveScans(ctx, 6)
	if err != nil {
		return err
	}
	for _, scan := range active {
		if scan.State == magpie.ScanRunning {
			page.Running = append(page.Running, newScanRow(scan, now, false))
		}
	}
	if _, page.Queued, err = tx.CountActiveScans(ctx); err != nil {
		return err
	}
	days, err := tx.IncidentsByDay(ctx, now.AddDate(0, 0, 1-chartDays), now)
	if err != nil {
		return err
	}
	page.Chart = newChart(days)
	waiting, failed, err := tx.WaitingAlerts(ctx)
	if err != nil {
		return err
	}
	page.Alarms = alarms(p.opts, integrations, waiting, failed, page.Coverage, now)
	return nil
}

// alarms lists what keeps Magpie from its work, worst first.
func alarms(o Options, integrations []magpie.Integration, waiting, failed int64, c store.Coverage, now time.Time) (all []alarm) {
	settings := pathURL("/settings/integrations/bitbucket")
	all = integrationAlarms(integrations, now)
	for _, i := range integrations {
		switch {
		case i.Removing || i.State.Waits() || i.State == magpie.IntegrationNoPermission || inGrace(i):
		case i.State == magpie.IntegrationUnreachable:
			all = append(all, alarm{"warn", i.BaseURL + " can't be reached: " + i.StateReason, "It is tried again by itself.", settings, "See the integration"})
		case i.SyncError != "":
			all = append(all, alarm{"warn", "The last sync with " + i.BaseURL + " did not complete: " + i.SyncError, "It is tried again by itself.", settings, "See the integration"})
		}
	}
	if c.HooksFailed > 0 {
		all = append(all, alarm{
			"warn", plural(c.HooksFailed, "webhook") + " could not be installed.", "Until they are, pushes there are found by the regular sweep only.",
			queryURL("/perimeter", url.Values{"state": {string(store.PerimeterTrouble)}}), "See why",
		})
	}
	if !o.Mail {
		text := "No mail server is configured: nobody hears about incidents by e-mail."
		if waiting > 0 {
			text += " " + plural(waiting, "message") + " waiting."
		}
		all = append(all, alarm{"info", text, "Set MAGPIE_MAIL_HOST and start again; messages that wait are sent then.", pathURL("/settings"), "Settings"})
	} else if failed > 0 {
		all = append(all, alarm{"warn", plural(failed, "message") + " could not be sent by e-mail.", "The log says why.", pathURL("/settings"), "Settings"})
	}
	return all
}

// newChart draws counts as bars in a box of chartDays*10 by 60.
func newChart(days []store.DayCount) (c chart) {
	const height = 60
	top := int64(1)
	for _, d := range days {
		top = max(top, d.Count)
		c.Total += d.Count
	}
	for x, d := range days {
		h := max(2, int(d.Count*height/top))
		c.Bars = append(c.Bars, bar{X: x * 10, Y: height - h, Height: h, Zero: d.Count == 0, Title: d.Day.Format("2 Jan") + ": " + number(d.Count)})
	}
	if len(days) > 0 {
		c.First, c.Last = days[0].Day.Format("2 Jan"), days[len(days)-1].Day.Format("2 Jan")
	}
	return c
}

// took returns how long a scan took, or takes so far.
func scanTook(v magpie.Scan, now time.Time) string {
	switch {
	case v.StartedAt.IsZero():
		return ""
	case v.EndedAt.IsZero():
		return took(now.Sub(v.StartedAt))
	default:
		return took(v.EndedAt.Sub(v.StartedAt))
	}
}
