package bitbucketsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Project is a project as the control methods show it.
type Project struct {
	ID       int
	Key      string
	Name     string
	Personal bool
}

// CreateProject creates a project.
func (s *Server) CreateProject(key, name string) (Project, error) {
	return s.createProject(&project{Key: strings.ToUpper(key), Name: name})
}

// CreatePersonalProject creates the personal project of a user, with key ~SLUG.
func (s *Server) CreatePersonalProject(userSlug string) (Project, error) {
	s.mu.RLock()
	u := s.index.userBySlug[userSlug]
	s.mu.RUnlock()
	if u == nil {
		return Project{}, fmt.Errorf("no user %s", userSlug)
	}
	return s.createProject(&project{Key: "~" + strings.ToUpper(u.Slug), Name: u.DisplayName, OwnerID: u.ID})
}

func (s *Server) createProject(p *project) (Project, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Key == "" || s.index.projectByKey[p.Key] != nil {
		return Project{}, fmt.Errorf("project key %q is empty or taken", p.Key)
	}
	p.ID = s.nextID()
	s.st.Projects = append(s.st.Projects, p)
	s.indexProject(p)
	delete(s.st.KeyAlias, p.Key)
	return p.public(), nil
}

func (p *project) public() Project {
	return Project{ID: p.ID, Key: p.Key, Name: p.Name, Personal: p.OwnerID != 0}
}

func (s *Server) routeProjects(mux *http.ServeMux) {
	s.api(mux, "GET /projects", (*call).listProjects)
	s.api(mux, "GET /projects/{key}", (*call).getProject)
	s.api(mux, "GET /projects/{key}/repos", (*call).listProjectRepos)
	s.api(mux, "GET /repos", (*call).listRepos)
	s.api(mux, "GET /projects/{key}/repos/{slug}", (*call).getRepo)
	s.api(mux, "PUT /projects/{key}/repos/{slug}", (*call).editRepo)
	s.api(mux, "POST /projects/{key}/repos/{slug}", (*call).forkRepo)
	s.api(mux, "DELETE /projects/{key}/repos/{slug}", (*call).deleteRepo)
	s.api(mux, "GET /projects/{key}/repos/{slug}/forks", (*call).listForks)
}

// project returns the project the address names if the caller has at least the level; read means visible. The result
// is a copy.
func (c *call) project(need level) (*project, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if c.who.problem != nil {
		return nil, c.who.problem
	}
	key := c.r.PathValue("key")
	p := c.s.findProject(key)
	switch {
	case p == nil:
		return nil, errNoProject(key)
	case need == read && c.s.projectVisible(c.who, p), c.s.projectLevel(c.who, p) >= need:
		found := *p
		return &found, nil
	}
	return nil, c.s.refusal(c.who)
}

func (c *call) getProject() (any, error) {
	p, err := c.project(read)
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return c.s.projectView(p, true), nil
}

// listProjects hides personal projects.
func (c *call) listProjects() (any, error) {
	if c.who.problem != nil {
		return nil, c.who.problem
	}
	need := read
	if text := c.query("permission"); text != "" {
		var err error
		if need, err = parseLevel(text, "PROJECT_"); err != nil {
			return nil, errInvalid("permission", "Permission "+text+" is not a valid project permission")
		}
	}
	name := strings.ToLower(c.query("name"))
	rows := c.s.orderedProjects()
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return filtered(c, rows, func(p *project) bool {
		return p.OwnerID == 0 && strings.Contains(strings.ToLower(p.Name), name) &&
			(need == read && c.s.projectVisible(c.who, p) || c.s.projectLevel(c.who, p) >= need)
	}, func(p *project) *projectView { return c.s.projectView(p, true) })
}

// orderedProjects returns all projects sorted; the slice is shared and never changed.
func (s *Server) orderedProjects() []*project {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.projectOrder == nil {
		s.index.projectOrder = slices.SortedFunc(slices.Values(s.st.Projects), compareProjects)
	}
	return s.index.projectOrder
}

func compareProjects(a, b *project) int {
	if n := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); n != 0 {
		return n
	}
	return a.ID - b.ID
}
