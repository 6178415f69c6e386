package ui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestStrangersFormsAreSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t).people()
	form := url.Values{"email": {"owner@example.com"}, "password": {"not the password"}, "theme": {"dark"}, "more": {strings.Repeat("x", maxStrangersForm)}}
	for _, path := range []string{"/login", "/setup", "/theme"} {
		w.browser().post(path, form).want(t, http.StatusRequestEntityTooLarge)
	}
	form.Set("more", strings.Repeat("x", maxStrangersForm/2))
	w.browser().post("/login", form).want(t, http.StatusUnauthorized)
	// Who is signed in may select many repositories.
	form = url.Values{"more": {strings.Repeat("x", 2*maxStrangersForm)}}
	if got := w.as(w.owner).post("/perimeter/monitor", form); got.StatusCode == http.StatusRequestEntityTooLarge {
		t.Errorf("a large form of the Owner is answered with %d", got.StatusCode)
	}
}
