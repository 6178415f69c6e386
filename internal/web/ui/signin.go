package ui

import (
	"net/http"

	"magpie"
)

func (s *server) serveSetup(w http.ResponseWriter, r *http.Request) error {
	needed, err := s.opts.Access.SetupNeeded(r.Context())
	if err != nil {
		return err
	}
	if !needed {
		return s.done(w, r, pathURL("/login"), "")
	}
	return s.render(w, r, http.StatusOK, setupView(s.frame(r, "Welcome", sectionNone), setupPage{}))
}

// setUp creates the Owner and signs them in.
func (s *server) setUp(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	page := setupPage{Email: r.PostForm.Get("email"), Name: r.PostForm.Get("name")}
	password := magpie.NewSecret(r.PostForm.Get("password"))
	_, err := s.opts.Access.CreateOwner(r.Context(), page.Email, page.Name, password)
	if magpie.KindOf(err) == magpie.KindInvalid {
		page.Problem = s.problemOf(r, err)
		return s.render(w, r, statusOf[page.Problem.Kind], setupView(s.frame(r, "Welcome", sectionNone), page))
	}
	if err != nil {
		return err
	}
	token, _, err := s.opts.Access.Login(r.Context(), page.Email, password, s.opts.ClientAddr(r))
	if err != nil {
		return err
	}
	s.setSession(w, token)
	return s.done(w, r, pathURL("/"), "setup")
}

func (s *server) serveLogin(w http.ResponseWriter, r *http.Request) error {
	needed, err := s.opts.Access.SetupNeeded(r.Context())
	if err != nil {
		return err
	}
	if needed {
		return s.done(w, r, pathURL("/setup"), "")
	}
	if _, err := s.authenticate(r); err == nil {
		return s.done(w, r, pathURL("/"), "")
	}
	page := loginPage{Next: localPath(r.URL.Query().Get("next"))}
	return s.render(w, r, http.StatusOK, loginView(s.frame(r, "Sign in", sectionNone), page))
}

func (s *server) login(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	page := loginPage{Email: r.PostForm.Get("email"), Next: localPath(r.PostForm.Get("next"))}
	token, _, err := s.opts.Access.Login(r.Context(), page.Email, magpie.NewSecret(r.PostForm.Get("password")), s.opts.ClientAddr(r))
	if kind := magpie.KindOf(err); err != nil && kind != magpie.KindInternal && kind != magpie.KindUnavailable {
		page.Problem = s.problemOf(r, err)
		return s.render(w, r, statusOf[kind], loginView(s.frame(r, "Sign in", sectionNone), page))
	}
	if err != nil {
		return err
	}
	s.setSession(w, token)
	http.Redirect(w, r, page.Next, http.StatusSeeOther)
	return nil
}

// logout ends the session, if there is one, and makes the browser forget what it holds of us.
func (s *server) logout(w http.ResponseWriter, r *http.Request) error {
	if token := s.sessionToken(r); token.Len() > 0 {
		if err := s.opts.Access.Logout(r.Context(), token); err != nil && magpie.KindOf(err) != magpie.KindUnauthorized {
			return err
		}
	}
	s.dropSession(w)
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	return s.done(w, r, pathURL("/login"), "signedout")
}
