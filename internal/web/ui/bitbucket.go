package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"magpie"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

// removedShown is for how long the settings tell which webhooks a removed integration left behind.
const removedShown = 30 * 24 * time.Hour

// bitbucketPage is the settings of all connections to Bitbucket.
type bitbucketPage struct {
	Integrations []integrationCard
	Removed      []removedRow
	Tuning       []tuningRow
	Rhythm       string // how often Magpie looks by itself, in words
	MayManage    bool
	Of           magpie.IntegrationID // what was just submitted is about
	Problem      problem              // with it
	ProblemForm  string               // which form it belongs to: "token", "expiry" or "check"
	Probe        *perimeter.Probe     // what a check that succeeded says
}

type integrationCard struct {
	magpie.Integration
	State     badge
	Expiry    badge // empty unless the token ends soon
	Synced    timestamp
	Created   timestamp
	Coverage  store.Coverage
	Syncing   bool
	SettingUp bool // webhooks or histories are still to come
}

// removedRow is an integration that is gone, and what stayed at its Bitbucket.
type removedRow struct {
	URL    string
	At     timestamp
	Detail string
}

func (s *server) serveBitbucket(w http.ResponseWriter, r *http.Request) error {
	return s.answerBitbucket(w, r, http.StatusOK, bitbucketPage{})
}

// answerBitbucket answers with the settings and with what came of a form on them, which result says.
func (s *server) answerBitbucket(w http.ResponseWriter, r *http.Request, status int, result bitbucketPage) error {
	page, err := s.pages.bitbucket(r.Context(), userOf(r))
	if err != nil {
		return err
	}
	page.Of, page.Problem, page.ProblemForm, page.Probe = result.Of, result.Problem, result.ProblemForm, result.Probe
	f := s.frame(r, "Bitbucket", sectionSettings)
	f.Next = "/settings/integrations/bitbucket"
	return s.render(w, r, status, bitbucketView(f, page))
}

// answerForm answers a form about an integration that could not be done: beside the form, if it is about what was
// entered or about Bitbucket.
func (s *server) answerForm(w http.ResponseWriter, r *http.Request, form string, err error) error {
	if kind := magpie.KindOf(err); kind == magpie.KindInternal || kind == magpie.KindNotFound && asField(err) == "" {
		return err
	}
	p := s.problemOf(r, err)
	return s.answerBitbucket(w, r, statusOf[p.Kind], bitbucketPage{Of: integrationID(r), Problem: p, ProblemForm: form})
}

func asField(err error) string {
	if e, ok := errors.AsType[*magpie.Error](err); ok {
		return e.Field
	}
	return ""
}

func (p Pages) bitbucket(ctx context.Context, user magpie.User) (bitbucketPage, error) {
	page, now := bitbucketPage{MayManage: mayManage(user), Rhythm: rhythm(p.opts.SyncEvery, p.opts.SweepEvery)}, p.now()
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.Integrations(ctx)
		if err != nil {
			return err
		}
		page.Integrations, page.Removed = nil, nil
		for _, i := range all {
			card, err := newIntegrationCard(ctx, tx, i, now)
			if err != nil {
				return err
			}
			page.Integrations = append(page.Integrations, card)
		}
		if !page.MayManage {
			return nil
		}
		removed, err := tx.RemovedIntegrations(ctx, now.Add(-removedShown), 5)
		for _, e := range removed {
			page.Removed = append(page.Removed, removedRow{URL: e.Subject, At: at(e.At, now), Detail: sentence(e.Detail)})
		}
		return err
	})
	if err != nil {
		return page, err
	}
	page.Tuning, err = p.tunings(ctx, page.Integrations, now)
	return page, err
}

// rhythm says how often Magpie looks at Bitbucket by itself.
func rhythm(sync, sweep time.Duration) string {
	if sync <= 0 || sweep <= 0 {
		return ""
	}
	return "Projects and repositories are read every " + every(sync) + ", and every " + every(sweep) + " all refs are compared with what was scanned."
}

func newIntegrationCard(ctx context.Context, tx *store.Tx, i magpie.Integration, now time.Time) (card integrationCard, err error) {
	card = integrationCard{Integration: i, State: integrationBadge(i), Synced: at(i.SyncedAt, now), Created: at(i.CreatedAt, now)}
	card.Expiry, _ = expiryBadge(i, now)
	if card.Coverage, err = tx.Coverage(ctx, i.ID); err != nil {
		return card, err
	}
	wanted, err := tx.SyncWanted(ctx, i.ID)
	card.Syncing = wanted.After(i.SyncedAt) && i.SyncError == "" && !i.Removing && !i.State.Waits()
	card.SettingUp = card.Coverage.HooksPending > 0 || card.Coverage.HistoryPending > 0
	return card, err
}

func integrationID(r *http.Request) magpie.IntegrationID {
	return magpie.IntegrationID(r.PathValue("id"))
}

// connectPage is the form that connects a Bitbucket.
type connectPage struct {
	Mode    magpie.Mode
	URL     string
	Expires string // as entered
	Problem problem
	Cloud   string // what to do instead at Bitbucket Cloud, if that is what was entered
}

func (s *server) serveConnect(w http.ResponseWriter, r *http.Request) error {
	mode, err := modeOf(r.URL.Query().Get("mode"))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, connectView(s.frame(r, "Connect Bitbucket", sectionSettings), connectPage{Mode: mode}))
}

func modeOf(text string) (magpie.Mode, error) {
	switch mode := magpie.Mode(text); mode {
	case magpie.ModeInstance, magpie.ModeProject:
		return mode, nil
	default:
		return "", errNoPage()
	}
}

func (s *server) connect(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	mode, err := modeOf(r.PostForm.Get("mode"))
	if err != nil {
		return err
	}
	page := connectPage{Mode: mode, URL: r.PostForm.Get("url"), Expires: r.PostForm.Get("expires")}
	expires, err := expiryOf(r.PostForm)
	var i magpie.Integration
	if err == nil {
		i, err = s.opts.Perimeter.Connect(r.Context(), userOf(r), perimeter.ConnectInput{
			Mode: mode, URL: page.URL, Token: magpie.NewSecret(r.PostForm.Get("token")), TokenExpires: expires,
		})
	}
	if err != nil {
		if magpie.KindOf(err) == magpie.KindInternal {
			return err
		}
		page.Problem = s.problemOf(r, err)
		if isCloud(page.URL) {
			page.Cloud = perimeter.CloudPipeline
		}
		f := s.frame(r, "Connect Bitbucket", sectionSettings)
		return s.render(w, r, statusOf[page.Problem.Kind], connectView(f, page))
	}
	if mode == magpie.ModeProject {
		return s.done(w, r, idURL("/settings/integrations/bitbucket", i.ID, "projects"), "")
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "connected")
}

// isCloud reports whether an address is of Bitbucket Cloud, which can't be connected.
func isCloud(address string) bool {
	address = strings.TrimSpace(address)
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	host := ""
	if err == nil {
		host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	}
	return host == "bitbucket.org" || strings.HasSuffix(host, ".bitbucket.org")
}

// projectsPage lists the projects that an integration can have installed.
type projectsPage struct {
	Integration magpie.Integration
	Projects    []store.PerimeterProject
}

func (s *server) serveProjects(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.projects(r.Context(), integrationID(r))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, projectsView(s.frame(r, "Projects", sectionSettings), page))
}

func (p Pages) projects(ctx context.Context, id magpie.IntegrationID) (page projectsPage, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) (err error) {
		if page.Integration, err = tx.Integration(ctx, id); err != nil {
			return err
		}
		page.Projects, err = tx.PerimeterProjects(ctx, id)
		return err
	})
	if err == nil && page.Integration.Mode != magpie.ModeProject {
		return page, &magpie.Error{Kind: magpie.KindConflict, Message: "this integration monitors every project by itself"}
	}
	return page, err
}

func (s *server) installProject(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	installed, note, project := true, "installed", r.PostForm.Get("install")
	if project == "" {
		installed, note, project = false, "uninstalled", r.PostForm.Get("uninstall")
	}
	if err := s.opts.Perimeter.InstallProject(r.Context(), userOf(r), integrationID(r), magpie.ProjectID(project), installed); err != nil {
		return err
	}
	return s.done(w, r, idURL("/settings/integrations/bitbucket", integrationID(r), "projects"), note)
}

func (s *server) syncNow(w http.ResponseWriter, r *http.Request) error {
	if err := s.opts.Perimeter.SyncNow(r.Context(), userOf(r), integrationID(r)); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "sync")
}

func (s *server) setSwitches(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if err := s.opts.Perimeter.SetSwitches(r.Context(), userOf(r), integrationID(r), switchOf(r.PostForm, "autoscan"), switchOf(r.PostForm, "auto_monitor")); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "switched")
}

// switchOf returns what a form sets a switch to, or nil if it is not about it.
func switchOf(form url.Values, name string) *bool {
	if !form.Has(name) {
		return nil
	}
	on := form.Get(name) == "on"
	return &on
}

func (s *server) replaceToken(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	expires, err := expiryOf(r.PostForm)
	if err == nil {
		err = s.opts.Perimeter.ReplaceToken(r.Context(), userOf(r), integrationID(r), magpie.NewSecret(r.PostForm.Get("token")), expires)
	}
	if err != nil {
		return s.answerForm(w, r, "token", err)
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "token")
}

// setExpiry notes when somebody says that a token expires.
func (s *server) setExpiry(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	expires, err := expiryOf(r.PostForm)
	if err == nil {
		err = s.opts.Perimeter.SetTokenExpiry(r.Context(), userOf(r), integrationID(r), expires)
	}
	if err != nil {
		return s.answerForm(w, r, "expiry", err)
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "expiry")
}

// expiryOf returns the date that a form says a token expires on, at its beginning in UTC, so that no warning is late;
// zero if it says none.
func expiryOf(form url.Values) (time.Time, error) {
	text := strings.TrimSpace(form.Get("expires"))
	if text == "" {
		return time.Time{}, nil
	}
	expires, err := time.Parse(time.DateOnly, text)
	if err != nil || expires.Year() < 2000 || expires.Year() > 2200 {
		return time.Time{}, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "expires", Message: "this is not a date", Hint: "write it as year-month-day, such as 2031-12-24, or leave it empty",
		}
	}
	return expires, nil
}

// checkIntegration asks a Bitbucket what the stored token can do, and shows it. It changes nothing.
func (s *server) checkIntegration(w http.ResponseWriter, r *http.Request) error {
	probe, err := s.opts.Perimeter.Recheck(r.Context(), integrationID(r))
	if err != nil {
		return s.answerForm(w, r, "check", err)
	}
	return s.answerBitbucket(w, r, http.StatusOK, bitbucketPage{Of: integrationID(r), Probe: &probe})
}

func (s *server) removeIntegration(w http.ResponseWriter, r *http.Request) error {
	if err := s.opts.Perimeter.Remove(r.Context(), userOf(r), integrationID(r)); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "removing")
}
