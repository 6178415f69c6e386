package ui

import (
	"context"
	"net/http"
	"net/url"

	"magpie"
)

// sessionCookie returns the name of the cookie that holds the session. The __Host- prefix makes browsers refuse one
// that was set by a neighbouring host or without Secure; it does not work over http, which loopback uses.
func (s *server) sessionCookie() string {
	if s.opts.Secure {
		return "__Host-magpie"
	}
	return "magpie"
}

func (s *server) setSession(w http.ResponseWriter, token magpie.Secret) {
	http.SetCookie(w, &http.Cookie{
		Name: s.sessionCookie(), Value: string(token.Reveal()), Path: "/", HttpOnly: true, Secure: s.opts.Secure, SameSite: http.SameSiteLaxMode,
	})
}

func (s *server) dropSession(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: s.sessionCookie(), Path: "/", HttpOnly: true, Secure: s.opts.Secure, SameSite: http.SameSiteLaxMode, MaxAge: -1,
	})
}

// sessionToken returns what the browser presents as its session, which may be nothing.
func (s *server) sessionToken(r *http.Request) magpie.Secret {
	cookie, err := r.Cookie(s.sessionCookie())
	if err != nil {
		return magpie.Secret{}
	}
	return magpie.NewSecret(cookie.Value)
}

func (s *server) authenticate(r *http.Request) (magpie.User, error) {
	token := s.sessionToken(r)
	if token.Len() == 0 {
		return magpie.User{}, magpie.Errorf(magpie.KindUnauthorized, "you are not signed in")
	}
	return s.opts.Access.Authenticate(r.Context(), token)
}

// askToSignIn sends somebody without a valid session to the login page, or to the set-up page of a new installation,
// and back to where they were going. A live part of a page makes the whole page go.
func (s *server) askToSignIn(w http.ResponseWriter, r *http.Request, cause error) error {
	if magpie.KindOf(cause) != magpie.KindUnauthorized {
		return cause
	}
	target := "/login"
	needed, err := s.opts.Access.SetupNeeded(r.Context())
	if err != nil {
		return err
	}
	switch {
	case needed:
		target = "/setup"
	case r.Method == http.MethodGet && r.URL.Path != "/":
		target = string(queryURL("/login", url.Values{"next": {r.URL.RequestURI()}}))
	}
	if r.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Redirect", target)
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

type userKey struct{}

func withUser(r *http.Request, user magpie.User) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), userKey{}, user))
}

// userOf returns who is asking; the zero User on a public page.
func userOf(r *http.Request) magpie.User {
	user, _ := r.Context().Value(userKey{}).(magpie.User)
	return user
}

// theme is the choice of colours.
type theme string

const (
	themeAuto  theme = "auto"
	themeLight theme = "light"
	themeDark  theme = "dark"
)

var themes = []struct {
	Theme theme
	Label string
	Icon  string
}{
	{themeAuto, "Colours of the system", "screen"},
	{themeLight, "Light colours", "sun"},
	{themeDark, "Dark colours", "moon"},
}

const themeCookie = "magpie_theme"

// themeOf returns the colours that this browser chose. The server renders them, so that no page flashes in the wrong
// ones and no script is needed.
func themeOf(r *http.Request) theme {
	if cookie, err := r.Cookie(themeCookie); err == nil {
		if t := theme(cookie.Value); t == themeLight || t == themeDark {
			return t
		}
	}
	return themeAuto
}

func (s *server) setTheme(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	t := theme(r.PostForm.Get("theme"))
	if t != themeAuto && t != themeLight && t != themeDark {
		return magpie.Errorf(magpie.KindInvalid, "there is no such choice of colours")
	}
	http.SetCookie(w, &http.Cookie{
		Name: themeCookie, Value: string(t), Path: "/", HttpOnly: true, Secure: s.opts.Secure, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600,
	})
	http.Redirect(w, r, localPath(r.PostForm.Get("next")), http.StatusSeeOther)
	return nil
}
