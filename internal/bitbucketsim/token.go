package bitbucketsim

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TokenSpec describes an HTTP access token to create. Exactly one of User, Project and Repo says whose it is.
type TokenSpec struct {
	Name        string    // default "token"
	User        string    // slug of the owner of a personal token
	Project     string    // key, for a project token
	Repo        int       // repository id, for a repository token
	Permissions []string  // default REPO_READ and, but for a repository token, PROJECT_READ
	Expiry      time.Time // zero for never
}

// Token is an HTTP access token. Text is the secret itself.
type Token struct {
	ID   string
	Text string
	User string // name of the user it speaks as
}

var tokenPermissions = []string{"REPO_READ", "REPO_WRITE", "REPO_ADMIN", "PROJECT_READ", "PROJECT_WRITE", "PROJECT_ADMIN"}

// CreateToken creates an HTTP access token.
func (s *Server) CreateToken(spec TokenSpec) (Token, error) {
	setDefault(&spec.Name, "token")
	if spec.Permissions == nil {
		spec.Permissions = []string{"REPO_READ", "PROJECT_READ"}
		if spec.Repo != 0 {
			spec.Permissions = spec.Permissions[:1]
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &token{Name: spec.Name, Permissions: spec.Permissions, Expiry: spec.Expiry, Created: s.now()}
	if fail := checkPermissions(spec.Permissions, spec.Repo != 0); fail != nil {
		return Token{}, fail
	}
	if err := s.ownToken(t, spec); err != nil {
		return Token{}, err
	}
	s.addToken(t)
	return Token{ID: t.ID, Text: t.Text, User: s.index.userByID[t.UserID].Name}, nil
}

func checkPermissions(permissions []string, repoOnly bool) *apiError {
	for _, p := range permissions {
		switch {
		case p == "ADMIN" || p == "SYS_ADMIN" || repoOnly && strings.HasPrefix(p, "PROJECT_"):
			return errInvalid("permissions", "Tokens may not have the following permission: "+p)
		case !slices.Contains(tokenPermissions, p):
			return errInvalid("permissions", p+" is not a valid permission")
		}
	}
	for _, family := range []string{"REPO_", "PROJECT_"} {
		if n := len(slices.DeleteFunc(slices.Clone(permissions), func(p string) bool { return !strings.HasPrefix(p, family) })); n > 1 {
			return errInvalid("permissions", "Tokens may have only one "+family[:len(family)-1]+" permission")
		}
	}
	if len(permissions) == 0 {
		return errInvalid("permissions", "At least one permission is needed")
	}
	return nil
}

// ownToken sets whose a token is; project and repository tokens get a service user of their own.
func (s *Server) ownToken(t *token, spec TokenSpec) error {
	switch {
	case spec.User != "":
		u := s.index.userBySlug[spec.User]
		if u == nil {
			return fmt.Errorf("no user %s", spec.User)
		}
		t.UserID = u.ID
	case spec.Project != "":
		p := s.findProject(spec.Project)
		if p == nil {
			return fmt.Errorf("no project %s", spec.Project)
		}
		t.ProjectID = p.ID
		t.UserID = s.serviceUser(p.ID).ID
		s.index.userByID[t.UserID].ProjectPerm[p.ID] = admin
	case spec.Repo != 0:
		if s.index.repoByID[spec.Repo] == nil {
			return fmt.Errorf("no repository %d", spec.Repo)
		}
		t.RepoID = spec.Repo
		t.UserID = s.serviceUser(spec.Repo).ID
		s.index.userByID[t.UserID].RepoPerm[spec.Repo] = admin
	default:
		return fmt.Errorf("a token needs a user, a project or a repository")
	}
	return nil
}

func (s *Server) serviceUser(scopeID int) *user {
	name := fmt.Sprintf("access-token-user/%d/%d", scopeID, len(s.st.Tokens)+1)
	return s.addUser(&user{Name: name, Slug: userSlug(name), DisplayName: "Access token user", Service: true})
}

func (s *Server) addToken(t *token) {
	n := s.nextID()
	t.ID = strconv.Itoa(100000000000 + n)
	var secret [24]byte
	rand.Read(secret[:])
	t.Text = base64.StdEncoding.EncodeToString(append([]byte(t.ID+":"), secret[:20]...))
	if s.ver.atLeast(8, 0) {
		t.Text = "BBDC-" + t.Text
	}
	s.st.Tokens = append(s.st.Tokens, t)
	s.index.tokenByText[t.Text] = t
}

func (s *Server) editToken(id string, edit func(*token)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.st.Tokens {
		if t.ID == id {
			edit(t)
			return nil
		}
	}
	return fmt.Errorf("no token %s", id)
}

// ExpireToken ends a token's life now.
func (s *Server) ExpireToken(id string) error {
	return s.editToken(id, func(t *token) { t.Expiry = s.now() })
}

// SetTokenExpiry moves the end of a token's life; zero is never.
func (s *Server) SetTokenExpiry(id string, expires time.Time) error {
	return s.editToken(id, func(t *token) { t.Expiry = expires })
}

// SetTokenPermissions replaces what a token may do.
func (s *Server) SetTokenPermissions(id string, permissions ...string) error {
	return s.editToken(id, func(t *token) { t.Permissions = permissions })
}

// RevokeToken deletes a token.
func (s *Server) RevokeToken(id string) error { return s.editToken(id, s.dropToken) }

func (s *Server) dropToken(t *token) {
	delete(s.index.tokenByText, t.Text)
	s.st.Tokens = slices.DeleteFunc(s.st.Tokens, func(x *token) bool { return x == t })
}

type tokenView struct {
	ID                string    `json:"id"`
	CreatedDate       int64     `json:"createdDate"`
	LastAuthenticated int64     `json:"lastAuthenticated,omitempty"`
	ExpiryDate        int64     `json:"expiryDate,omitempty"`
	Name              string    `json:"name"`
	Permissions       []string  `json:"permissions"`
	User              *userView `json:"user"`
	Token             string    `json:"token,omitempty"`
}

func (s *Server) tokenView(t *token) tokenView {
	v := tokenView{ID: t.ID, CreatedDate: millis(t.Created), Name: t.Name, Permissions: t.Permissions, User: s.userView(s.index.userByID[t.UserID], true)}
	if !t.LastUsed.IsZero() {
		v.LastAuthenticated = millis(t.LastUsed)
	}
	if !t.Expiry.IsZero() {
		v.ExpiryDate = millis(t.Expiry)
	}
	return v
}

func (s *Server) routeTokens(mux *http.ServeMux) {
	for _, scope := range []string{"/users/{user}", "/projects/{key}", "/projects/{key}/repos/{slug}"} {
		s.rest(mux, "access-tokens", "GET "+scope, (*call).listTokens)
		s.rest(mux, "access-tokens", "PUT "+scope, (*call).createToken)
		s.rest(mux, "access-tokens", "GET "+scope+"/{id}", (*call).getToken)
		s.rest(mux, "access-tokens", "POST "+scope+"/{id}", (*call).updateToken)
		s.rest(mux, "access-tokens", "DELETE "+scope+"/{id}", (*call).deleteToken)
	}
}

// tokenScope says whose tokens the address names. Only people may administer tokens, never tokens themselves.
func (c *call) tokenScope() (TokenSpec, error) {
	mayRead := c.r.Method == http.MethodGet && get(&c.s.faults, &c.s.faults.ownTokens)
	if c.who.user == nil || c.who.token != nil && !mayRead {
		return TokenSpec{}, c.s.refusal(c.who)
	}
	key, slug := c.r.PathValue("key"), c.r.PathValue("slug")
	switch {
	case slug != "":
		r, err := c.repo(admin)
		if err != nil {
			return TokenSpec{}, err
		}
		return TokenSpec{Repo: r.ID}, nil
	case key != "":
		p, err := c.project(admin)
		if err != nil {
			return TokenSpec{}, err
		}
		return TokenSpec{Project: p.Key}, nil
	}
	who := strings.ToLower(c.r.PathValue("user"))
	c.s.mu.RLock()
	known := c.s.index.userBySlug[who] != nil
	c.s.mu.RUnlock()
	if !known {
		return TokenSpec{}, errNoUser(who)
	}
	if who != c.who.user.Slug && !c.who.user.sysadmin() {
		return TokenSpec{}, errForbidden()
	}
	return TokenSpec{User: who}, nil
}

func (c *call) tokensOf(spec TokenSpec) []*token {
	p := c.s.findProject(spec.Project)
	var found []*token
	for _, t := range c.s.st.Tokens {
		switch {
		case spec.Repo != 0 && t.RepoID == spec.Repo, p != nil && t.ProjectID == p.ID,
			spec.User != "" && t.ProjectID == 0 && t.RepoID == 0 && c.s.index.userByID[t.UserID].Slug == spec.User:
			found = append(found, t)
		}
	}
	return found
}

func (c *call) listTokens() (any, error) {
	spec, err := c.tokenScope()
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return plain(c, c.tokensOf(spec), c.s.tokenView)
}

func (c *call) getToken() (any, error) {
	spec, err := c.tokenScope()
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	for _, t := range c.tokensOf(spec) {
		if t.ID == c.r.PathValue("id") {
			return c.s.tokenView(t), nil
		}
	}
	return nil, errPlain(http.StatusNotFound, "No token exists with the given ID.")
}

func (c *call) createToken() (any, error) {
	spec, err := c.tokenScope()
	if err != nil {
		return nil, err
	}
	var body struct {
		Name        string
		Permissions []string
		ExpiryDays  int
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	spec.Name, spec.Permissions = body.Name, body.Permissions
	if spec.Permissions == nil {
		spec.Permissions = []string{}
	}
	if body.ExpiryDays > 0 {
		spec.Expiry = c.s.now().AddDate(0, 0, body.ExpiryDays)
	}
	made, err := c.s.CreateToken(spec)
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	v := c.s.tokenView(c.s.index.tokenByText[made.Text])
	v.Token = made.Text
	return v, nil
}

// updateToken replaces the name and the permissions.
func (c *call) updateToken() (any, error) {
	spec, err := c.tokenScope()
	if err != nil {
		return nil, err
	}
	if _, err := c.getToken(); err != nil {
		return nil, err
	}
	var body struct {
		Name        string
		Permissions []string
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Permissions != nil {
		if fail := checkPermissions(body.Permissions, spec.Repo != 0); fail != nil {
			return nil, fail
		}
	}
	err = c.s.editToken(c.r.PathValue("id"), func(t *token) {
		t.Name = orElse(body.Name, t.Name)
		if body.Permissions != nil {
			t.Permissions = body.Permissions
		}
	})
	if err != nil {
		return nil, errPlain(http.StatusNotFound, "No token exists with the given ID.")
	}
	return c.getToken()
}

func (c *call) deleteToken() (any, error) {
	if _, err := c.getToken(); err != nil {
		return nil, err
	}
	if err := c.s.RevokeToken(c.r.PathValue("id")); err != nil {
		return nil, errPlain(http.StatusNotFound, "No token exists with the given ID.")
	}
	return noContent, nil
}
