package bitbucketsim

import (
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
)

// serveGit answers /scm/{key}/{slug}.git/… by `git http-backend` behind the authentication wall.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	who := s.identify(r)
	if get(&s.faults, &s.faults.noHTTP) {
		gitRefuse(w, http.StatusNotFound, "HTTP(S) hosting is disabled")
		return
	}
	if s.limits.countsGit() && s.limited(w, who) {
		return
	}
	repo, pushing := s.gitTarget(w, r, who)
	if repo == nil || s.throttled(w, r, false) {
		return
	}
	if !pushing {
		if !s.listed(w, r, repo) && !s.throttled(w, r, true) && !s.dialectRefused(w, r, repo) {
			s.served(w, r, repo, who)
		}
		return
	}
	err := s.observed(repo, who.user, func() error {
		s.backend(w, r, repo, who)
		return nil
	})
	if err != nil {
		log.Printf("bitbucketsim: %v", err)
	}
}

// served runs git for a call that reads, and lets happen to its answer what was switched on.
func (s *Server) served(w http.ResponseWriter, r *http.Request, target *repo, who identity) {
	switch r.PathValue("rest") {
	case "git-upload-pack":
		s.backend(&packWriter{ResponseWriter: w, s: s, r: r}, r, target, who)
	case "info/refs":
		if !get(&s.faults, &s.faults.dialect).NoShallow {
			s.backend(w, r, target, who)
			return
		}
		plain := &plainWriter{ResponseWriter: w}
		s.backend(plain, r, target, who)
		plain.finish()
	default:
		s.backend(w, r, target, who)
	}
}

// gitTarget finds the repository a git call is for and checks the permission; it answers itself when there is none.
func (s *Server) gitTarget(w http.ResponseWriter, r *http.Request, who identity) (target *repo, pushing bool) {
	key, slug, rest := r.PathValue("key"), r.PathValue("slug"), r.PathValue("rest")
	s.mu.RLock()
	defer s.mu.RUnlock()
	need := read
	if rest == "git-receive-pack" || r.URL.Query().Get("service") == "git-receive-pack" {
		need = write
	}
	found, moved := s.findRepo(key, strings.TrimSuffix(slug, ".git"))
	if found != nil && moved && s.faults.gitRenames() == RenameGone {
		found = nil
	}
	if who.problem != nil || who.user == nil && (found == nil || s.repoLevel(who, found) < need) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Atlassian Bitbucket"`)
		gitRefuse(w, http.StatusUnauthorized, "Authentication failed")
		return nil, false
	}
	have := none
	if found != nil {
		have = s.repoLevel(who, found)
	}
	switch {
	case have < read || found.NoHTTP:
		gitRefuse(w, http.StatusNotFound, "Repository not found\nThe requested repository does not exist, or you do not have permission to access it.")
	case found.State != "AVAILABLE":
		gitRefuse(w, http.StatusServiceUnavailable, "The repository is not available")
	case have < need || need == write && found.Archived:
		gitRefuse(w, http.StatusForbidden, "You do not have permission to push to this repository")
	case moved && s.faults.gitRenames() == RenameRedirect:
		s.gitRedirect(w, r, found)
	default:
		return found.copy(), rest == "git-receive-pack"
	}
	return nil, false
}

func (s *Server) gitRedirect(w http.ResponseWriter, r *http.Request, target *repo) {
	to := s.base + "/scm/" + scmPath(s.index.projectByID[target.ProjectID], target) + "/" + r.PathValue("rest")
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, redirectStatus(r.Method))
}

func gitRefuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n")
}

// backend runs git http-backend for one request, streaming both ways.
func (s *Server) backend(w http.ResponseWriter, r *http.Request, target *repo, who identity) {
	git, err := exec.LookPath("git") // http-backend is a subcommand of it
	if err != nil {
		gitRefuse(w, http.StatusInternalServerError, "git is not installed")
		return
	}
	name := ""
	if who.user != nil {
		name = who.user.Name
	}
	env := s.gitEnv("GIT_HTTP_EXPORT_ALL=1", "GIT_PROJECT_ROOT="+s.dir+"/repositories", "REMOTE_USER="+headerText(name),
		"GIT_PROTOCOL="+get(&s.faults, &s.faults.dialect).protocol(r.Header.Get("Git-Protocol")))
	h := cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: env, Dir: s.dir, Root: "/", Logger: quiet, Stderr: io.Discard}
	in := r.Clone(r.Context())
	in.URL = &url.URL{Path: "/" + strconv.Itoa(target.ID) + ".git/" + r.PathValue("rest"), RawQuery: r.URL.RawQuery}
	in.Header.Del("Authorization")
	if len(in.TransferEncoding) > 0 { // http-backend reads to the end of its input when it is told no length
		in.TransferEncoding, in.ContentLength = nil, -1
	}
	h.ServeHTTP(w, in)
}

var quiet = log.New(io.Discard, "", 0)
