package bitbucketsim

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// identity is who makes a call. The zero identity is anonymous.
type identity struct {
	user    *user
	token   *token    // nil when a password was given
	problem *apiError // credentials were given and are no good
}

// identify reads the credentials of a call.
func (s *Server) identify(r *http.Request) identity {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch strings.ToLower(scheme) {
	case "":
		return identity{}
	case "bearer":
		return s.withToken(strings.TrimSpace(rest))
	case "basic":
		if get(&s.faults, &s.faults.noBasic) {
			return identity{problem: errBadLogin()}
		}
		return s.withBasic(rest)
	}
	return identity{problem: errBadLogin()}
}

func (s *Server) withToken(text string) identity {
	t := s.index.tokenByText[text]
	if t == nil || s.expired(t) {
		return identity{problem: errBadLogin()}
	}
	t.LastUsed = s.now()
	return s.checked(identity{user: s.index.userByID[t.UserID], token: t})
}

func (s *Server) expired(t *token) bool { return !t.Expiry.IsZero() && !s.now().Before(t.Expiry) }

// withBasic accepts a user's password and a user's own tokens; project and repository tokens work as Bearer only.
func (s *Server) withBasic(encoded string) identity {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	name, pass, ok := strings.Cut(string(raw), ":")
	if err == nil && name == "x-token-auth" && get(&s.faults, &s.faults.xTokenAuth) {
		return s.withToken(pass)
	}
	u := s.index.userByName[strings.ToLower(name)]
	if err != nil || !ok || u == nil || u.Service {
		return identity{problem: errBadLogin()}
	}
	if u.Password != "" && pass == u.Password {
		return s.checked(identity{user: u})
	}
	if t := s.index.tokenByText[pass]; t != nil && t.UserID == u.ID && t.ProjectID == 0 && t.RepoID == 0 {
		return s.withToken(pass)
	}
	return identity{problem: errBadLogin()}
}

func (s *Server) checked(who identity) identity {
	switch u := who.user; {
	case u == nil || u.Inactive || u.Deleted:
		return identity{problem: errBadLogin()}
	case u.Unlicensed || get(&s.faults, &s.faults.noLicence):
		return identity{problem: errUnlicensed()}
	case u.TwoStep:
		return identity{problem: errTwoStep()}
	}
	u := *who.user // copies may be read without the lock
	who.user = &u
	if who.token != nil {
		t := *who.token
		who.token = &t
	}
	return who
}

// refusal is the answer to somebody who may not do a thing.
func (s *Server) refusal(who identity) *apiError {
	switch {
	case who.problem != nil:
		return who.problem
	case who.user == nil:
		return s.errAnonymous()
	}
	return errForbidden()
}

func (u *user) sysadmin() bool { return u.Global == "SYS_ADMIN" || u.Global == "ADMIN" }

// tokenLevel is the highest permission of a family ("REPO", "PROJECT") that a token has; without a token nothing
// limits its user.
func tokenLevel(t *token, family string) level {
	if t == nil {
		return admin
	}
	switch {
	case slices.Contains(t.Permissions, family+"_ADMIN"):
		return admin
	case slices.Contains(t.Permissions, family+"_WRITE"):
		return write
	case slices.Contains(t.Permissions, family+"_READ"):
		return read
	}
	return none
}

// userProjectLevel is what a user may do in a project, whatever the token says.
func userProjectLevel(u *user, p *project) level {
	if u.sysadmin() || p.OwnerID == u.ID {
		return admin
	}
	return u.ProjectPerm[p.ID]
}

// projectLevel is what a caller may do with a project itself.
func (s *Server) projectLevel(who identity, p *project) level {
	got := none
	if p.Public {
		got = read
	}
	if who.user == nil || who.token != nil && (who.token.RepoID != 0 || who.token.ProjectID != 0 && who.token.ProjectID != p.ID) {
		return got
	}
	return max(got, min(userProjectLevel(who.user, p), tokenLevel(who.token, "PROJECT")))
}

// projectVisible reports whether a caller sees a project: by itself, or because of a repository in it. A token without
// any project permission sees none.
func (s *Server) projectVisible(who identity, p *project) bool {
	if s.projectLevel(who, p) >= read {
		return true
	}
	if who.token != nil && tokenLevel(who.token, "PROJECT") == none {
		return false
	}
	return slices.ContainsFunc(s.index.reposIn[p.ID], func(r *repo) bool { return s.repoLevel(who, r) >= read })
}

// repoLevel is what a caller may do with a repository.
func (s *Server) repoLevel(who identity, r *repo) level {
	p, got := s.index.projectByID[r.ProjectID], none
	if r.Public || p.Public {
		got = read
	}
	if who.user == nil || !inScope(who.token, r) {
		return got
	}
	granted := max(userProjectLevel(who.user, p), who.user.RepoPerm[r.ID])
	return max(got, min(granted, max(tokenLevel(who.token, "REPO"), tokenLevel(who.token, "PROJECT"))))
}

func inScope(t *token, r *repo) bool {
	switch {
	case t == nil:
		return true
	case t.RepoID != 0:
		return t.RepoID == r.ID
	case t.ProjectID != 0:
		return t.ProjectID == r.ProjectID
	}
	return true
}
