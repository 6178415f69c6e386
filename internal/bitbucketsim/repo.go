package bitbucketsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Repo is a repository as the control methods show it.
type Repo struct {
	ID       int
	Project  string // key
	Slug     string
	Name     string
	State    string // AVAILABLE, INITIALISING, INITIALISATION_FAILED or OFFLINE
	Archived bool
	Dir      string // the bare git directory
}

// CreateRepo creates an empty repository in a project and returns it.
func (s *Server) CreateRepo(projectKey, name string) (Repo, error) {
	r, err := s.enterRepo(projectKey, name)
	if err != nil {
		return Repo{}, err
	}
	if err := s.makeGitDir(s.gitDir(r.ID)); err != nil {
		return Repo{}, err
	}
	return s.Repo(r.ID)
}

func (s *Server) enterRepo(projectKey, name string) (*repo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.findProject(projectKey)
	if p == nil {
		return nil, fmt.Errorf("no project %s", projectKey)
	}
	r := &repo{ProjectID: p.ID, Name: name, DefaultBranch: "refs/heads/" + s.opt.DefaultBranch}
	return r, s.addRepo(r)
}

// addRepo gives a repository its ids and enters it; s.mu must be held.
func (s *Server) addRepo(r *repo) error {
	r.Slug, r.State = slugOf(r.Name), "AVAILABLE"
	if path := s.repoPath(r); r.Slug == "" || s.index.repoByPath[path] != nil {
		return fmt.Errorf("repository %s exists or has no name", path)
	}
	r.ID = s.nextID()
	if r.Hierarchy == "" {
		r.Hierarchy = fmt.Sprintf("%020x", r.ID)
	}
	s.st.Repos = append(s.st.Repos, r)
	s.indexRepo(r)
	delete(s.st.Aliases, s.repoPath(r))
	return nil
}

// slugOf makes a URL part of a repository's name.
func slugOf(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-.")
}

func (s *Server) publicRepo(r *repo) Repo {
	return Repo{
		ID: r.ID, Project: s.index.projectByID[r.ProjectID].Key, Slug: r.Slug, Name: r.Name,
		State: r.State, Archived: r.Archived, Dir: s.gitDir(r.ID),
	}
}

// Repo returns a repository by id.
func (s *Server) Repo(id int) (Repo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.index.repoByID[id]
	if r == nil {
		return Repo{}, fmt.Errorf("no repository %d", id)
	}
	return s.publicRepo(r), nil
}

// Repos returns all repositories in order of id.
func (s *Server) Repos() []Repo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Repo, 0, len(s.st.Repos))
	for _, r := range s.st.Repos {
		all = append(all, s.publicRepo(r))
	}
	return all
}

// CloneURL returns the HTTPS clone address of a repository, or "" when there is no such repository.
func (s *Server) CloneURL(id int) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.index.repoByID[id]
	if r == nil {
		return ""
	}
	return s.base + "/scm/" + scmPath(s.index.projectByID[r.ProjectID], r)
}

// repo returns the repository the address names if the caller has at least the level. An old address is followed or
// redirected, as the rename mode says. The result is a copy.
func (c *call) repo(need level) (*repo, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if c.who.problem != nil {
		return nil, c.who.problem
	}
	key, slug := c.r.PathValue("key"), c.r.PathValue("slug")
	r, moved := c.s.findRepo(key, slug)
	if r != nil && moved && c.s.faults.renames() == RenameAlias && c.deletesRepo() {
		return nil, c.movedTo(r)
	}
	if r != nil && moved {
		switch c.s.faults.renames() {
		case RenameGone:
			r = nil
		case RenameRedirect:
			return nil, c.movedTo(r)
		}
	}
	switch {
	case r == nil && c.s.findProject(key) == nil:
		return nil, errNoProject(key)
	case r == nil:
		return nil, errNoRepo(key, slug)
	case c.s.repoLevel(c.who, r) < need:
		return nil, c.s.refusal(c.who)
	}
	return r.copy(), nil
}

func (c *call) deletesRepo() bool {
	return c.r.Method == http.MethodDelete && strings.HasSuffix(c.r.Pattern, "/repos/{slug}") && strings.Contains(c.r.Pattern, "/rest/api/")
}

// movedTo answers a call at an old address with a redirect to the same resource at the new one.
func (c *call) movedTo(r *repo) error {
	p := c.s.index.projectByID[r.ProjectID]
	old := "/projects/" + c.r.PathValue("key") + "/repos/" + c.r.PathValue("slug")
	target := strings.Replace(c.r.URL.Path, old, "/projects/"+p.Key+"/repos/"+r.Slug, 1)
	if c.r.URL.RawQuery != "" {
		target += "?" + c.r.URL.RawQuery
	}
	c.w.Header().Set("Location", c.s.base+target)
	return errPlain(redirectStatus(c.r.Method), "The repository has moved")
}

func redirectStatus(method string) int {
	if method == http.MethodGet || method == http.MethodHead {
		return http.StatusMovedPermanently
	}
	return http.StatusTemporaryRedirect
}

func (c *call) getRepo() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	return c.viewRepo(r), nil
}

func (c *call) viewRepo(r *repo) *repoView {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if now := c.s.index.repoByID[r.ID]; now != nil {
		r = now
	}
	return c.s.repoView(r, true)
}

func (c *call) listProjectRepos() (any, error) {
	p, err := c.project(read)
	if err != nil {
		return nil, err
	}
	return c.pageRepos(c.s.orderedIn(p.ID), func(r *repo) bool { return r.ProjectID == p.ID && c.s.repoLevel(c.who, r) >= read })
}

func (c *call) listForks() (any, error) {
	origin, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	forks := slices.SortedFunc(slices.Values(c.s.index.forksOf[origin.ID]), c.s.compareRepos)
	c.s.mu.RUnlock()
	return c.pageRepos(forks, func(r *repo) bool { return c.s.repoLevel(c.who, r) >= read })
}

func (c *call) listRepos() (any, error) {
	if c.who.problem != nil {
		return nil, c.who.problem
	}
	match, err := c.repoFilter()
	if err != nil {
		return nil, err
	}
	return c.pageRepos(c.s.orderedRepos(), match)
}

// pageRepos pages over sorted repositories.
func (c *call) pageRepos(rows []*repo, match func(*repo) bool) (any, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	exists := func(r *repo) bool { return c.s.index.repoByID[r.ID] == r && match(r) }
	return filtered(c, rows, exists, func(r *repo) *repoView { return c.s.repoView(r, true) })
}

// orderedRepos returns all repositories sorted; the slice is shared and never changed.
func (s *Server) orderedRepos() []*repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.repoOrder == nil {
		s.index.repoOrder = slices.SortedFunc(slices.Values(s.st.Repos), s.compareRepos)
	}
	return s.index.repoOrder
}

// orderedIn returns a project's repositories sorted; the slice is shared and never changed.
func (s *Server) orderedIn(project int) []*repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.orderIn[project] == nil {
		s.index.orderIn[project] = slices.SortedFunc(slices.Values(s.index.reposIn[project]), s.compareRepos)
	}
	return s.index.orderIn[project]
}

// compareRepos orders by project and name; s.mu must be held.
func (s *Server) compareRepos(a, b *repo) int {
	if a.ProjectID != b.ProjectID {
		return compareProjects(s.index.projectByID[a.ProjectID], s.index.projectByID[b.ProjectID])
	}
	if n := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); n != 0 {
		return n
	}
	return a.ID - b.ID
}

// repoFilter reads the filters of /repos. Those that the version does not know are ignored, as unknown query
// parameters are.
func (c *call) repoFilter() (func(*repo) bool, error) {
	need, err := c.neededLevel()
	if err != nil {
		return nil, err
	}
	visibility := c.query("visibility")
	if visibility != "" && visibility != "public" && visibility != "private" {
		return nil, errInvalid("visibility", "Visibility must be public or private")
	}
	archived, err := c.archivedFilter()
	if err != nil {
		return nil, err
	}
	name, projectName, state := strings.ToLower(c.query("name")), strings.ToLower(c.query("projectname")), c.query("state")
	key := ""
	if c.s.ver.archived() {
		key = c.query("projectkey")
	}
	return func(r *repo) bool {
		p := c.s.index.projectByID[r.ProjectID]
		return strings.Contains(strings.ToLower(r.Name), name) &&
			strings.Contains(strings.ToLower(p.Name), projectName) &&
			(key == "" || strings.EqualFold(p.Key, key)) &&
			(state == "" || r.State == state) &&
			(visibility == "" || (r.Public || p.Public) == (visibility == "public")) &&
			archived(r) && c.s.repoLevel(c.who, r) >= need
	}, nil
}

func (c *call) neededLevel() (level, error) {
	text := c.query("permission")
	if text == "" {
		return read, nil
	}
	need, err := parseLevel(text, "REPO_")
	if err != nil {
		return none, errInvalid("permission", "Permission "+text+" is not a valid repository permission")
	}
	return need, nil
}

func (c *call) archivedFilter() (func(*repo) bool, error) {
	any := func(*repo) bool { return true }
	if !c.s.ver.archived() {
		return any, nil
	}
	switch c.query("archived") {
	case "ALL":
		return any, nil
	case "ARCHIVED":
		return func(r *repo) bool { return r.Archived }, nil
	case "", "ACTIVE":
		return func(r *repo) bool { return !r.Archived }, nil
	}
	return nil, errInvalid("archived", "archived must be ACTIVE, ARCHIVED or ALL")
}

func (c *call) editRepo() (any, error) {
	r, err := c.repo(admin)
	if err != nil {
		return nil, err
	}
	var body struct {
		Name     string
		Archived *bool
		Project  struct{ Key string }
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Name != "" && body.Name != r.Name || body.Project.Key != "" {
		if err := c.s.relocate(r.ID, c.who.user, body.Project.Key, body.Name); err != nil {
			return nil, &apiError{http.StatusConflict, "name", err.Error(), "bitbucket.IntegrityException"}
		}
	}
	if body.Archived != nil {
		if err := c.s.Archive(r.ID, *body.Archived); err != nil {
			return nil, errNoRepo(c.r.PathValue("key"), c.r.PathValue("slug"))
		}
	}
	return c.viewRepo(r), nil
}

func (c *call) forkRepo() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	if c.who.user == nil {
		return nil, c.s.refusal(c.who)
	}
	var body struct {
		Name    string
		Project struct{ Key string }
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	setDefault(&body.Project.Key, "~"+c.who.user.Slug)
	fork, err := c.s.Fork(r.ID, body.Project.Key, body.Name, c.who.user.Slug)
	if err != nil {
		return nil, &apiError{http.StatusConflict, "name", err.Error(), "bitbucket.IntegrityException"}
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	v := c.s.repoView(c.s.index.repoByID[fork.ID], true)
	return reply{http.StatusCreated, v, http.Header{"Location": {v.Links.Self[0].Href}}}, nil
}

// deleteRepo answers 204 for what is gone already and 202 otherwise.
func (c *call) deleteRepo() (any, error) {
	r, err := c.repo(admin)
	if fail, ok := err.(*apiError); ok && fail.status == http.StatusNotFound && c.who.user != nil {
		return noContent, nil
	}
	if err != nil {
		return nil, err
	}
	if err := c.s.Delete(r.ID); err != nil {
		return noContent, nil
	}
	body := map[string]string{"context": "", "message": "Repository scheduled for deletion.", "exceptionName": ""}
	return reply{status: http.StatusAccepted, body: body}, nil
}
