package bitbucketsim

import (
	"maps"
	"net/http"
	"strings"
	"sync"
)

// RenameMode says what happens at the old address of a renamed or moved repository.
type RenameMode int

// The behaviours seen at old addresses.
const (
	RenameAlias    RenameMode = iota // it answers as the new one
	RenameRedirect                   // it redirects to the new one
	RenameGone                       // 404
)

// FailureBody says what the body of an injected failure is.
type FailureBody string

// The bodies of failures.
const (
	BodyJSON  FailureBody = "json"
	BodyHTML  FailureBody = "html"
	BodyEmpty FailureBody = "empty"
)

// SecretEcho says how a webhook's secret appears in REST answers.
type SecretEcho int

// The ways a secret comes back.
const (
	SecretByVersion SecretEcho = iota // in clear text before 9.0, else as SecretAbsent
	SecretClear
	SecretAbsent // the configuration shows only who created it
)

// Refusal says what a REST call sees instead of a 401 with an error document.
type Refusal int

// The forms of a refusal.
const (
	RefuseJSON  Refusal = iota // 401 and an error document
	RefuseEmpty                // 401 without a body
	RefuseHTML                 // 401 and a page for people
	RefuseLogin                // 200 and the login page, as a proxy that signs people in answers
)

// Failure is trouble injected into a share of all requests, REST and git.
type Failure struct {
	Share  float64     // 0 to 1
	Status int         // 0 hangs until the client gives up, ReleaseHung or Close
	Body   FailureBody // default BodyJSON
	Path   string      // only requests whose path contains this
	Header http.Header // more headers, such as Retry-After
}

// faults holds the switches for trouble.
type faults struct {
	mu          sync.RWMutex
	failures    []Failure
	hang        Failure
	release     chan struct{} // closed to let hung requests go
	maintenance bool
	sparse      bool
	strict      bool
	noHTTP      bool
	noBasic     bool
	limitCap    int
	rename      RenameMode
	echo        SecretEcho
	mergeRefs   bool
	noLicence   bool
	ownTokens   bool
	refusal     Refusal
	gitRename   *RenameMode
	busy        Busy
	isoREST     bool
	stuck       bool
	xTokenAuth  bool
	dialect     GitDialect
	packs       PackTrouble
}

func get[T any](f *faults, v *T) T {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return *v
}

func set[T any](f *faults, v *T, to T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*v = to
}

func (f *faults) sparsePages() bool    { return get(f, &f.sparse) }
func (f *faults) strictProbe() bool    { return get(f, &f.strict) }
func (f *faults) httpHostingOff() bool { return get(f, &f.noHTTP) }
func (f *faults) renames() RenameMode  { return get(f, &f.rename) }
func (f *faults) gitRenames() RenameMode {
	if m := get(f, &f.gitRename); m != nil {
		return *m
	}
	return f.renames()
}
func (f *faults) secretEcho() SecretEcho { return get(f, &f.echo) }

func (f *faults) maxLimit(def int) int {
	if n := get(f, &f.limitCap); n > 0 {
		return n
	}
	return def
}

// FailRequests answers a share of all requests with a status and a JSON error body. A share of 0 stops that.
func (s *Server) FailRequests(share float64, status int) {
	s.SetFailures(Failure{Share: share, Status: status})
}

// SetFailures replaces all injected failures. Each request tries them in order.
func (s *Server) SetFailures(list ...Failure) { set(&s.faults, &s.faults.failures, list) }

// HangRequests lets a share of all requests hang until the client gives up, ReleaseHung or Close. A share of 0 stops
// that for new requests.
func (s *Server) HangRequests(share float64) { set(&s.faults, &s.faults.hang, Failure{Share: share}) }

// ReleaseHung ends the hanging requests; their connections are cut.
func (s *Server) ReleaseHung() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	close(s.faults.release)
	s.faults.release = make(chan struct{})
}

// SetMaintenance makes everything answer 503 with a page for people, as in maintenance mode.
func (s *Server) SetMaintenance(on bool) { set(&s.faults, &s.faults.maintenance, on) }

// SetSparsePages makes permission-filtered lists filter after cutting the page, so that a page that is not the last
// may hold fewer values than its limit, even none.
func (s *Server) SetSparsePages(on bool) { set(&s.faults, &s.faults.sparse, on) }

// SetStuckPages makes lists say for ever that the next page starts where this one did.
func (s *Server) SetStuckPages(on bool) { set(&s.faults, &s.faults.stuck, on) }

// SetISOTimes makes REST answers write the times of commits and pull requests as ISO 8601 text, as 10.x does in webhook
// bodies; whether it does so in REST too is not known.
func (s *Server) SetISOTimes(on bool) { set(&s.faults, &s.faults.isoREST, on) }

// SetTokenUser lets project and repository tokens be given as the password of the user x-token-auth, of which reports
// contradict each other.
func (s *Server) SetTokenUser(on bool) { set(&s.faults, &s.faults.xTokenAuth, on) }

// SetStrictProbe makes application-properties refuse bad credentials instead of treating them as none.
func (s *Server) SetStrictProbe(on bool) { set(&s.faults, &s.faults.strict, on) }

// SetMaxLimit replaces the largest page the server gives (1000). Zero restores it.
func (s *Server) SetMaxLimit(n int) { set(&s.faults, &s.faults.limitCap, n) }

// SetRenameMode chooses what old addresses of renamed and moved repositories do. Deleting at an old address is
// redirected in the alias mode too.
func (s *Server) SetRenameMode(m RenameMode) {
	set(&s.faults, &s.faults.rename, m)
	set(&s.faults, &s.faults.gitRename, nil)
}

// SetGitRenameMode chooses what old addresses do for git alone, until the next SetRenameMode.
func (s *Server) SetGitRenameMode(m RenameMode) { set(&s.faults, &s.faults.gitRename, &m) }

// SetSecretEcho chooses how webhook secrets appear in answers.
func (s *Server) SetSecretEcho(e SecretEcho) { set(&s.faults, &s.faults.echo, e) }

// SetMergeRefs makes refs/pull-requests/<n>/merge appear with the next change of a pull request. Versions before 8.0
// have them anyway.
func (s *Server) SetMergeRefs(on bool) { set(&s.faults, &s.faults.mergeRefs, on) }

func (s *Server) mergeRefs() bool { return !s.ver.atLeast(8, 0) || get(&s.faults, &s.faults.mergeRefs) }

// SetLicenceValid ends the licence of the instance, or renews it. Without one nobody can authenticate.
func (s *Server) SetLicenceValid(valid bool) { set(&s.faults, &s.faults.noLicence, !valid) }

// SetTokensSeeTokens lets tokens read the access-token resources of their owners, which by default only people may; it
// is not known of a real server.
func (s *Server) SetTokensSeeTokens(on bool) { set(&s.faults, &s.faults.ownTokens, on) }

// SetRefusal chooses the form of all 401 answers of the REST interface.
func (s *Server) SetRefusal(r Refusal) { set(&s.faults, &s.faults.refusal, r) }

// SetBasicAuth switches Basic authentication on or off for everything; it is on at first.
func (s *Server) SetBasicAuth(on bool) { set(&s.faults, &s.faults.noBasic, !on) }

// SetHTTPHosting switches git over HTTP on or off for the whole instance. Off, the clone links have no http entry.
func (s *Server) SetHTTPHosting(on bool) { set(&s.faults, &s.faults.noHTTP, !on) }

// faulty stands in front of everything: it counts, then maintenance, hanging and failing requests.
func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.counter.request(r)
		rec := &recorder{ResponseWriter: w}
		s.troubled(rec, r, next)
		s.counter.answered(r, rec.status)
	})
}

func (s *Server) troubled(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f := &s.faults
	if get(f, &f.maintenance) {
		writeFailure(w, Failure{Status: http.StatusServiceUnavailable, Body: BodyHTML})
		return
	}
	if hang := get(f, &f.hang); s.chance(hang.Share) {
		s.hang(r)
	}
	for _, fail := range get(f, &f.failures) {
		if !strings.Contains(r.URL.Path, fail.Path) || !s.chance(fail.Share) {
			continue
		}
		if fail.Status == 0 {
			s.hang(r)
		}
		writeFailure(w, fail)
		return
	}
	next.ServeHTTP(w, r)
}

// hang waits and then cuts the connection.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-get(&s.faults, &s.faults.release):
	case <-s.done:
	}
	panic(http.ErrAbortHandler)
}

func writeFailure(w http.ResponseWriter, f Failure) {
	maps.Copy(w.Header(), f.Header)
	switch f.Body {
	case BodyEmpty:
		w.WriteHeader(f.Status)
	case BodyHTML:
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		w.WriteHeader(f.Status)
		w.Write([]byte("<!DOCTYPE html><html><body><h1>" + http.StatusText(f.Status) + "</h1></body></html>"))
	default:
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(f.Status)
		w.Write([]byte(`{"errors":[{"context":null,"message":"An error occurred while processing the request.","exceptionName":null}]}`))
	}
}
