package ui

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"magpie"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

// bitbucketPage is the settings of all connections to Bitbucket.
type bitbucketPage struct {
	Integrations []integrationCard
	MayManage    bool
	Problem      problem // of a token that was submitted for one of them
	ProblemOf    magpie.IntegrationID
}

type integrationCard struct {
	magpie.Integration
	State    badge
	Synced   timestamp
	Created  timestamp
	Coverage store.Coverage
}

func (s *server) serveBitbucket(w http.ResponseWriter, r *http.Request) error {
	return s.answerBitbucket(w, r, http.StatusOK, problem{}, "")
}

func (s *server) answerBitbucket(w http.ResponseWriter, r *http.Request, status int, p problem, of magpie.IntegrationID) error {
	page, err := s.pages.bitbucket(r.Context(), userOf(r))
	if err != nil {
		return err
	}
	page.Problem, page.ProblemOf = p, of
	f := s.frame(r, "Bitbucket", sectionSettings)
	f.Next = "/settings/integrations/bitbucket"
	return s.render(w, r, status, bitbucketView(f, page))
}

func (p Pages) bitbucket(ctx context.Context, user magpie.User) (bitbucketPage, error) {
	page := bitbucketPage{MayManage: mayManage(user)}
	now := p.now()
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.Integrations(ctx)
		if err != nil {
			return err
		}
		for _, i := range all {
			coverage, err := tx.Coverage(ctx, i.ID)
			if err != nil {
				return err
			}
			page.Integrations = append(page.Integrations, integrationCard{i, integrationBadge(i), at(i.SyncedAt, now), at(i.CreatedAt, now), coverage})
		}
		return nil
	})
	return page, err
}

func integrationBadge(i magpie.Integration) badge {
	switch {
	case i.Removing:
		return badge{Label: "Being removed", Tone: "idle", Icon: "spinner"}
	case i.State == magpie.IntegrationTokenInvalid:
		return badge{Label: "Token invalid", Tone: "bad", Icon: "key"}
	case i.State == magpie.IntegrationUnreachable:
		return badge{Label: "Unreachable", Tone: "warn", Icon: "warning"}
	default:
		return badge{Label: "Token valid", Tone: "good", Icon: "check"}
	}
}

func integrationID(r *http.Request) magpie.IntegrationID {
	return magpie.IntegrationID(r.PathValue("id"))
}

// connectPage is the form that connects a Bitbucket.
type connectPage struct {
	Mode    magpie.Mode
	URL     string
	Problem problem
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
	page := connectPage{Mode: mode, URL: r.PostForm.Get("url")}
	i, err := s.opts.Perimeter.Connect(r.Context(), userOf(r), perimeter.ConnectInput{
		Mode: mode, URL: page.URL, Token: magpie.NewSecret(r.PostForm.Get("token")),
	})
	if err != nil {
		if magpie.KindOf(err) == magpie.KindInternal {
			return err
		}
		page.Problem = s.problemOf(r, err)
		f := s.frame(r, "Connect Bitbucket", sectionSettings)
		return s.render(w, r, statusOf[page.Problem.Kind], connectView(f, page))
	}
	if mode == magpie.ModeProject {
		return s.done(w, r, idURL("/settings/integrations/bitbucket", i.ID, "projects"), "")
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "connected")
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
	err := s.opts.Perimeter.ReplaceToken(r.Context(), userOf(r), integrationID(r), magpie.NewSecret(r.PostForm.Get("token")), time.Time{})
	if err != nil && magpie.KindOf(err) != magpie.KindInternal && magpie.KindOf(err) != magpie.KindNotFound {
		p := s.problemOf(r, err)
		return s.answerBitbucket(w, r, statusOf[p.Kind], p, integrationID(r))
	}
	if err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "token")
}

func (s *server) removeIntegration(w http.ResponseWriter, r *http.Request) error {
	if err := s.opts.Perimeter.Remove(r.Context(), userOf(r), integrationID(r)); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/integrations/bitbucket"), "removing")
}
