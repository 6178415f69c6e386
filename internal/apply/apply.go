package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"magpie"
)

// Options says what Run does.
type Options struct {
	File    *File
	Client  *Client
	Environ func(name string) string // for token_env
	Out     io.Writer                // gets a line for each change
	DryRun  bool                     // change nothing
	Prune   bool                     // remove integrations, and uninstall projects, that the file does not name
	Wait    time.Duration            // the longest to wait for a first sync and for a removal
	Poll    time.Duration            // between looks while waiting; 0 means a second
}

// run is one run.
type run struct {
	Options
	changes int
	stopped map[int]bool // integrations of the file with which it makes no sense to go on
	errs    []error
}

// Run compares the file with the server and changes the server, and returns how many changes that took or, in a dry run,
// would take. Trouble with one integration does not keep it from the others; the error holds all trouble.
func Run(ctx context.Context, o Options) (changes int, err error) {
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	r := &run{Options: o, stopped: map[int]bool{}}
	all, err := r.Client.integrations(ctx)
	if err != nil {
		return 0, err
	}
	found, extra, problems := pairs(r.File, all)
	r.errs = append(r.errs, problems...)
	tokens := r.tokens(found, len(problems) > 0)
	r.checkNew(ctx, found, tokens)
	r.prune(ctx, extra)
	r.connect(ctx, found, tokens)
	for n, want := range r.File.Integrations {
		if !r.stopped[n] {
			r.inside(ctx, n, want, found[n])
		}
	}
	return r.changes, errors.Join(r.errs...)
}

// note prints something that is no change.
func (r *run) note(format string, args ...any) { r.line('!', fmt.Sprintf(format, args...)) }

// line prints one line. Names and reasons in it come from Bitbucket, so it must be none that steers a terminal.
func (r *run) line(sign byte, text string) {
	fmt.Fprintf(r.Out, "%c %s\n", sign, magpie.Printable(text))
}

// carryOut prints changes and makes them. It reports whether all of them worked.
func (r *run) carryOut(ctx context.Context, changes []change) bool {
	fine := true
	for _, c := range changes {
		r.line(c.sign, c.text)
		r.changes++
		if r.DryRun {
			continue
		}
		if err := c.do(ctx); err != nil {
			r.fail(c.at, err)
			fine = false
		}
	}
	return fine
}

// fail keeps an error, with the place in the file that it is about.
func (r *run) fail(at string, err error) {
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok || at == "" {
		r.errs = append(r.errs, err)
		return
	}
	key := e.Field
	if key == "token" {
		key = "token_file"
		if _, ok := r.File.lines[at+".token_env"]; ok {
			key = "token_env"
		}
	}
	if _, ok := r.File.lines[at+"."+key]; !ok {
		key = ""
	}
	placed, _ := errors.AsType[*magpie.Error](r.File.problem(at, key, e.Message, e.Hint))
	placed.Kind, placed.Err = e.Kind, e.Err
	r.errs = append(r.errs, placed)
}

// tokens reads the access tokens of all integrations. Those without one are left out from here on, as are all if the file
// can't be told apart from the server.
func (r *run) tokens(found []integrationState, lost bool) []magpie.Secret {
	tokens := make([]magpie.Secret, len(found))
	for n, want := range r.File.Integrations {
		token, err := r.File.token(want, r.Environ)
		if err != nil {
			r.errs = append(r.errs, err)
		}
		tokens[n] = token
		r.stopped[n] = err != nil || lost
	}
	return tokens
}

// checkNew asks whether the new integrations can be connected, before anything is changed.
func (r *run) checkNew(ctx context.Context, found []integrationState, tokens []magpie.Secret) {
	for n, want := range r.File.Integrations {
		if r.stopped[n] || found[n].ID != "" {
			continue
		}
		in := map[string]any{"mode": want.Mode, "url": want.URL, "token": string(tokens[n].Reveal())}
		var probe probeState
		err := r.Client.call(ctx, http.MethodPost, "/integrations/check", in, &probe)
		if err == nil && want.User != "" && want.User != probe.TokenUser {
			err = &magpie.Error{Kind: magpie.KindInvalid, Field: "user", Message: fmt.Sprintf("the token belongs to %s, not to %s", probe.TokenUser, want.User)}
		}
		if err != nil {
			r.fail(want.at, err)
			r.stopped[n] = true
		}
	}
}

// prune removes what the file does not name, unless something is wrong already: then nothing may be taken away that was
// perhaps to be replaced.
func (r *run) prune(ctx context.Context, extra []integrationState) {
	for _, i := range extra {
		switch {
		case !r.Prune:
			r.note("%s (mode %s, token of %s) is connected, though the file does not name it; --prune removes it", i.URL, i.Mode, i.TokenUser)
			continue
		case len(r.errs) > 0:
			r.note("%s would be removed, but not before the errors are mended", i.URL)
			continue
		}
		worked := r.carryOut(ctx, []change{{'-', fmt.Sprintf("remove %s (mode %s, token of %s) with its webhooks; its incidents stay", i.URL, i.Mode, i.TokenUser), "", func(ctx context.Context) error {
			return r.Client.call(ctx, http.MethodDelete, "/integrations/"+url.PathEscape(i.ID), nil, nil)
		}}})
		if worked && !r.DryRun {
			if err := r.untilGone(ctx, i); err != nil {
				r.errs = append(r.errs, err)
			}
		}
	}
}

// connect connects what is new and gives changed tokens to what is there.
func (r *run) connect(ctx context.Context, found []integrationState, tokens []magpie.Secret) {
	for n, want := range r.File.Integrations {
		switch {
		case r.stopped[n]:
		case found[n].ID == "":
			r.stopped[n] = !r.carryOut(ctx, []change{r.planConnect(want, &found[n], tokens[n])})
		default:
			r.stopped[n] = !r.renew(ctx, want, found[n], tokens[n])
		}
	}
}

// planConnect connects one integration and leaves in made what the server made of it.
func (r *run) planConnect(want Integration, made *integrationState, token magpie.Secret) change {
	in := map[string]any{
		"mode": want.Mode, "url": want.URL, "token": string(token.Reveal()), "autoscan": want.autoscan(),
		// Held back until the projects are set, so that nothing is monitored that shall not be.
		"auto_monitor": want.autoMonitor() && !want.guarded(),
	}
	if want.TokenExpires != nil {
		in["token_expires_at"] = want.TokenExpires.Format(time.RFC3339)
	}
	return change{'+', fmt.Sprintf("connect %s (mode %s)", want.URL, want.Mode), want.at, func(ctx context.Context) error {
		return r.Client.call(ctx, http.MethodPost, "/integrations", in, made)
	}}
}

// renew replaces the token if the server has another one.
func (r *run) renew(ctx context.Context, want Integration, have integrationState, token magpie.Secret) bool {
	path := "/integrations/" + url.PathEscape(have.ID) + "/token"
	in := map[string]any{"token": string(token.Reveal())}
	var compared struct{ Same bool }
	if err := r.Client.call(ctx, http.MethodPost, path+"/compare", in, &compared); err != nil {
		r.fail(want.at, err)
		return false
	}
	if compared.Same {
		if have.State != string(magpie.IntegrationActive) {
			r.note("%s: %s", have.URL, have.StateReason)
		}
		return true
	}
	if want.TokenExpires != nil {
		in["expires_at"] = want.TokenExpires.Format(time.RFC3339)
	}
	return r.carryOut(ctx, []change{{'~', want.URL + ": replace the token", want.at, func(ctx context.Context) error {
		return r.Client.call(ctx, http.MethodPut, path, in, nil)
	}}})
}

// inside brings projects, then the integration's own switches, then repositories in step. The switches come after the
// projects, so that a project that is not to be monitored is known as such first.
func (r *run) inside(ctx context.Context, n int, want Integration, have integrationState) {
	if have.ID == "" { // a dry run: nothing is known yet
		r.foretell(want)
		return
	}
	if have.SyncedAt == nil && want.Mode == string(magpie.ModeInstance) && len(want.Projects) > 0 && !r.DryRun {
		if err := r.untilSynced(ctx, want, have.ID); err != nil {
			r.fail(want.at, err)
			return
		}
	}
	projects, err := r.Client.projects(ctx, have.ID)
	if err != nil {
		r.fail(want.at, err)
		return
	}
	changes, problems := r.planProjects(want, projects)
	r.errs = append(r.errs, problems...)
	installs := false
	for _, c := range changes {
		installs = installs || c.sign == '+'
	}
	if !r.carryOut(ctx, changes) || !r.carryOut(ctx, r.planSettings(want, have)) {
		return
	}
	if installs && !r.DryRun {
		if err := r.untilSynced(ctx, want, have.ID); err != nil {
			r.fail(want.at, err)
			return
		}
	}
	r.insideRepos(ctx, want, have)
}

func (r *run) insideRepos(ctx context.Context, want Integration, have integrationState) {
	projects, err := r.Client.projects(ctx, have.ID)
	if err != nil {
		r.fail(want.at, err)
		return
	}
	if r.DryRun { // as they would be
		for n := range projects {
			if p, ok := want.project(projects[n].Key); ok {
				projects[n].AutoMonitor = p.AutoMonitor
			}
		}
	}
	repos, err := r.Client.repos(ctx, have.ID)
	if err != nil {
		r.fail(want.at, err)
		return
	}
	r.carryOut(ctx, r.planRepos(want, projects, repos))
}

// foretell prints what would follow a connection, as far as the file alone tells.
func (r *run) foretell(want Integration) {
	for _, p := range want.Projects {
		state := projectState{Key: p.Key, AutoMonitor: "inherit", Installed: want.Mode == string(magpie.ModeInstance)}
		r.carryOut(context.Background(), r.planProject(want, p, state))
		for _, pattern := range p.Ignore {
			r.note("%s: what is %s in project %s will not be monitored", want.URL, pattern, p.Key)
		}
	}
}
