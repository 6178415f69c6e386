package gittest

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Backend returns a handler that serves the bare repositories below root by git's own http-backend, with whatever
// protocol version the client asks for.
func Backend(t testing.TB, root string) http.Handler {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git --exec-path: %v", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := cgi.Handler{Path: backend, Env: append(Env(),
			"GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))}
		h.ServeHTTP(w, r)
	})
}

// Serve serves the repository over TLS to requests that carry the given bearer token, and returns the server and the
// repository's address.
func (r *Repo) Serve(token string) (*httptest.Server, string) {
	r.t.Helper()
	backend := Backend(r.t, filepath.Dir(r.Dir))
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer "+token {
			w.Header().Set("WWW-Authenticate", `Basic realm="Atlassian Bitbucket"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	r.t.Cleanup(srv.Close)
	return srv, srv.URL + "/" + filepath.Base(r.Dir)
}
