package ui

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/store"
)

// statusOf is the one table from kinds of error to HTTP statuses.
var statusOf = map[magpie.Kind]int{
	magpie.KindInternal:     http.StatusInternalServerError,
	magpie.KindInvalid:      http.StatusUnprocessableEntity,
	magpie.KindUnauthorized: http.StatusUnauthorized,
	magpie.KindForbidden:    http.StatusForbidden,
	magpie.KindNotFound:     http.StatusNotFound,
	magpie.KindConflict:     http.StatusConflict,
	magpie.KindTooLarge:     http.StatusRequestEntityTooLarge,
	magpie.KindRateLimited:  http.StatusTooManyRequests,
	magpie.KindUnavailable:  http.StatusServiceUnavailable,
	magpie.KindTokenInvalid: http.StatusUnprocessableEntity,
	magpie.KindNoLicence:    http.StatusUnprocessableEntity,
}

// adapt makes an http.Handler of a handler: an error becomes an error page, and what is our fault goes to the log.
func (s *server) adapt(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		s.serveError(w, r, err)
	})
}

func (s *server) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler {
				panic(p) // an answer that must not look complete
			}
			if p != nil {
				s.serveError(w, r, errors.New("a page panicked")) // what it says may hold user's data
				s.opts.Log.Error("a page panicked", "path", r.URL.Path, "panic_type", typeName(p))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// problemOf returns what a person may know of an error. What is our fault gets an id that the log has, too.
func (s *server) problemOf(r *http.Request, err error) problem {
	p := problem{Kind: magpie.KindOf(err)}
	if e, ok := errors.AsType[*magpie.Error](err); ok && p.Kind != magpie.KindInternal {
		p.Message, p.Hint, p.Field = e.Message, e.Hint, e.Field
		return p
	}
	p.ID = uuid.NewString()[:8]
	p.Message, p.Hint = "something went wrong on our side", "try again; if it stays, give the id to whoever runs Magpie: the log says more"
	s.opts.Log.Error("answering a page", "id", p.ID, "method", r.Method, "path", r.URL.Path, "err", err)
	return p
}

func (s *server) serveError(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problemOf(r, err)
	user := userOf(r)
	if user.ID == "" {
		user, _ = s.authenticate(r) // the frame of somebody who is signed in, if it is somebody
	}
	f := s.frame(withUser(r, user), "Not possible", sectionNone)
	page := errorPage(f, p)
	if err := s.render(w, r, statusOf[p.Kind], page); err != nil {
		s.opts.Log.Error("answering with an error page", "err", err)
	}
}

// render makes the page in memory and then sends it, so that an error leaves no half page.
func (s *server) render(w http.ResponseWriter, r *http.Request, status int, page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	if err != nil {
		s.opts.Log.Debug("sending a page", "err", err)
	}
	return nil
}

// frame returns what surrounds a page for who is asking.
func (s *server) frame(r *http.Request, title string, in section) frame {
	f := frame{Title: title, Section: in, User: userOf(r), Theme: themeOf(r), Version: s.opts.Version, Next: "/", Notice: noticeOf(r)}
	if r.Method == http.MethodGet {
		f.Next = r.URL.RequestURI()
	}
	if f.User.ID != "" {
		f.Nav = s.navigation(r)
	}
	if f.User.ID != "" && in != sectionOverview {
		f.Banners = s.banners(r)
	}
	return f
}

// banners returns what every page says about integrations that wait for somebody.
func (s *server) banners(r *http.Request) []alarm {
	all, err := store.Query(r.Context(), s.opts.DB, func(tx *store.Tx) ([]magpie.Integration, error) { return tx.Integrations(r.Context()) })
	if err != nil {
		s.opts.Log.Warn("reading the integrations", "err", err)
	}
	return integrationAlarms(all, s.opts.Now())
}

func (s *server) navigation(r *http.Request) []navItem {
	user, open := userOf(r), int64(0)
	if access.Allows(user.Role, access.ViewIncidents) {
		var err error
		open, err = store.Query(r.Context(), s.opts.DB, func(tx *store.Tx) (int64, error) { return tx.CountOpen(r.Context()) })
		if err != nil {
			s.opts.Log.Warn("counting open incidents", "err", err)
		}
	}
	return []navItem{
		{sectionOverview, "Overview", pathURL("/"), "overview", 0},
		{sectionIncidents, "Incidents", pathURL("/incidents"), "incident", open},
		{sectionPerimeter, "Perimeter", pathURL("/perimeter"), "perimeter", 0},
		{sectionCoverage, "Coverage", pathURL("/coverage"), "shield", 0},
		{sectionScans, "Scans", pathURL("/scans"), "scan", 0},
		{sectionSettings, "Settings", pathURL("/settings"), "settings", 0},
	}
}

// notice is one line about what the action before this page did.
type notice struct {
	Text string
	Tone string
}

// notices are all the texts that an address may ask to be shown, so that nobody can put words into our mouth by a link.
var notices = map[string]notice{
	"setup":       {"Welcome to Magpie. Connect your Bitbucket to begin.", "good"},
	"assigned":    {"The incident was assigned.", "good"},
	"unassigned":  {"Nobody is assigned any more.", "good"},
	"resolved":    {"The incident is resolved. It will reopen if the secret is pushed again.", "good"},
	"ignored":     {"The incident is ignored.", "good"},
	"reopened":    {"The incident is open again.", "good"},
	"severity":    {"The severity was changed.", "good"},
	"checked":     {"The vendor was asked. The timeline has the answer.", "good"},
	"monitored":   {"The repositories are monitored; their hooks are being installed.", "good"},
	"unmonitored": {"The repositories are not monitored any more: their hooks are being removed, scans that waited are dropped. Their incidents stay.", "good"},
	"project":     {"The settings of the project were changed.", "good"},
	"compare":     {"All monitored repositories are being compared with what was scanned.", "good"},
	"expiry":      {"The expiry of the token is noted.", "good"},
	"scan":        {"The history scan was started.", "good"},
	"canceled":    {"The scan was canceled.", "good"},
	"connected":   {"Connected. Repositories appear here as their hooks are set up, one by one.", "good"},
	"installed":   {"The project is monitored; hooks are being installed on its repositories.", "good"},
	"uninstalled": {"The project is not monitored any more. Its incidents stay.", "good"},
	"sync":        {"A sync was started.", "good"},
	"switched":    {"The setting was changed. It applies to what is added from now on.", "good"},
	"token":       {"The new token works; monitoring goes on.", "good"},
	"removing":    {"The integration is being removed: its hooks are deleted at Bitbucket. Incidents stay.", "good"},
	"member":      {"The account was created.", "good"},
	"role":        {"The role was changed.", "good"},
	"disabled":    {"The account is disabled; its sessions and tokens are dead.", "good"},
	"enabled":     {"The account is enabled again.", "good"},
	"reset":       {"The password was set; all sessions of the account ended.", "good"},
	"revoked":     {"The token was revoked.", "good"},
	"password":    {"Your password was changed.", "good"},
	"signedout":   {"You are signed out.", "info"},
}

func noticeOf(r *http.Request) notice { return notices[r.URL.Query().Get("note")] }

// done answers a form: back to a page, with a notice.
func (s *server) done(w http.ResponseWriter, r *http.Request, path templ.SafeURL, note string) error {
	target := string(path)
	if note != "" {
		u, err := url.Parse(target)
		if err != nil {
			return err
		}
		q := u.Query()
		q.Set("note", note)
		u.RawQuery = q.Encode()
		target = u.String()
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

const (
	// maxForm is the most bytes that a form may have; a selection of some thousand repositories is the largest.
	maxForm = 1 << 20
	// maxStrangersForm is the most for who is not signed in: e-mail, name and password are all that they have to say.
	maxStrangersForm = 16 << 10
)

// readForm reads the fields that were sent; they are in r.PostForm.
func readForm(w http.ResponseWriter, r *http.Request) error {
	limit := int64(maxForm)
	if userOf(r).ID == "" {
		limit = maxStrangersForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return magpie.Errorf(magpie.KindTooLarge, "the form is too large")
		}
		return &magpie.Error{Kind: magpie.KindInvalid, Message: "the form could not be read", Err: err}
	}
	return nil
}
