package bitbucketsim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

type branchView struct {
	ID              string `json:"id"`
	DisplayID       string `json:"displayId"`
	Type            string `json:"type"`
	LatestCommit    string `json:"latestCommit"`
	LatestChangeset string `json:"latestChangeset"`
	IsDefault       bool   `json:"isDefault"`
}

type tagView struct {
	ID              string  `json:"id"`
	DisplayID       string  `json:"displayId"`
	Type            string  `json:"type"`
	LatestCommit    string  `json:"latestCommit"`
	LatestChangeset string  `json:"latestChangeset"`
	Hash            *string `json:"hash"`
}

// activity is one ref change in a repository's history.
type activity struct {
	ID      int
	Date    time.Time
	UserID  int
	Change  Change
	Trigger string
}

type activityView struct {
	ID          int        `json:"id"`
	CreatedDate int64      `json:"createdDate"`
	User        *userView  `json:"user"`
	Trigger     string     `json:"trigger"`
	Repository  *repoView  `json:"repository"`
	RefChange   changeView `json:"refChange"`
}

func (s *Server) routeContent(mux *http.ServeMux) {
	const at = "GET /projects/{key}/repos/{slug}"
	s.api(mux, at+"/branches", (*call).listBranches)
	s.api(mux, at+"/branches/default", (*call).defaultBranch)
	if s.ver.defaultBranch() {
		s.api(mux, at+"/default-branch", (*call).defaultBranch)
	}
	s.api(mux, at+"/tags", (*call).listTags)
	s.api(mux, at+"/tags/{name...}", (*call).getTag)
	s.api(mux, at+"/commits", (*call).listCommits)
	s.api(mux, at+"/commits/{id}", (*call).getCommit)
	s.api(mux, at+"/ref-change-activities", (*call).listActivities)
	s.api(mux, at+"/ref-change-activities/branches", (*call).activityBranches)
	s.api(mux, at+"/browse", (*call).browse)
	s.api(mux, at+"/browse/{path...}", (*call).browse)
	s.api(mux, at+"/files", (*call).files)
	s.api(mux, at+"/files/{path...}", (*call).files)
	s.api(mux, at+"/raw/{path...}", (*call).rawFile)
	mux.HandleFunc(at+"/raw/{path...}", s.endpoint((*call).rawFile))
}

// named lists the refs below a prefix whose short name contains filterText, by name.
func (c *call) named(r *repo, prefix string) ([]string, map[string]string, error) {
	refs, err := c.s.refs(r.ID)
	if err != nil {
		return nil, nil, err
	}
	filter := strings.ToLower(c.query("filterText"))
	maps.DeleteFunc(refs, func(name, _ string) bool {
		short, ok := strings.CutPrefix(name, prefix)
		return !ok || !strings.Contains(strings.ToLower(short), filter)
	})
	return slices.Sorted(maps.Keys(refs)), refs, nil
}

func makeBranch(r *repo, name, hash string) branchView {
	return branchView{name, strings.TrimPrefix(name, "refs/heads/"), "BRANCH", hash, hash, name == r.DefaultBranch}
}

func (c *call) listBranches() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	names, refs, err := c.named(r, "refs/heads/")
	if err != nil {
		return nil, err
	}
	return plain(c, names, func(name string) branchView { return makeBranch(r, name, refs[name]) })
}

// defaultBranch answers 204 for an empty repository and 404 when only the default branch is missing.
func (c *call) defaultBranch() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	refs, err := c.s.refs(r.ID)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return noContent, nil
	}
	hash := refs[r.DefaultBranch]
	if hash == "" {
		msg := "Branch \"" + r.DefaultBranch + "\" does not exist"
		return nil, &apiError{http.StatusNotFound, "", msg, "bitbucket.repository.NoDefaultBranchException"}
	}
	return makeBranch(r, r.DefaultBranch, hash), nil
}

func (c *call) listTags() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	names, _, err := c.named(r, "refs/tags/")
	if err != nil {
		return nil, err
	}
	tags, err := c.tags(r)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { _, ok := tags[n]; return !ok })
	return plain(c, names, func(name string) tagView { return tags[name] })
}

func (c *call) getTag() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	tags, err := c.tags(r)
	if err != nil {
		return nil, err
	}
	name := c.r.PathValue("name")
	if v, ok := tags["refs/tags/"+strings.TrimPrefix(name, "refs/tags/")]; ok {
		return v, nil
	}
	return nil, errPlain(http.StatusNotFound, "Tag \""+name+"\" does not exist in repository \""+r.Slug+"\"")
}

// tags reads all tags with the commits they lead to.
func (c *call) tags(r *repo) (map[string]tagView, error) {
	out, err := c.s.git(c.r.Context(), r.ID, nil, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", "refs/tags")
	if err != nil {
		return nil, err
	}
	found := map[string]tagView{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		v := tagView{ID: f[0], DisplayID: strings.TrimPrefix(f[0], "refs/tags/"), Type: "TAG", LatestCommit: f[1]}
		if len(f) == 3 {
			v.LatestCommit, v.Hash = f[2], &f[1]
		}
		v.LatestChangeset = v.LatestCommit
		found[v.ID] = v
	}
	return found, nil
}

func (s *Server) logActivity(r *repo, by *user, changes []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r = s.index.repoByID[r.ID]; r == nil {
		return
	}
	for _, c := range changes {
		r.Activities = append(r.Activities, activity{s.nextID(), s.now(), by.ID, c, "push"})
	}
}

// listActivities shows the newest first. It needs repository administration.
func (c *call) listActivities() (any, error) {
	r, err := c.repo(admin)
	if err != nil {
		return nil, err
	}
	ref := c.query("ref")
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return newest(c, r.Activities, func(a activity) bool { return ref == "" || a.Change.Ref == ref }, func(a activity) activityView {
		u := c.s.userView(c.s.index.userByID[a.UserID], true)
		return activityView{a.ID, millis(a.Date), u, a.Trigger, c.s.repoView(r, true), makeChange(a.Change)}
	})
}

// activityBranches lists the branches that have activity, also deleted ones.
func (c *call) activityBranches() (any, error) {
	r, err := c.repo(admin)
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	seen := map[string]bool{}
	for _, a := range r.Activities {
		if strings.HasPrefix(a.Change.Ref, "refs/heads/") {
			seen[a.Change.Ref] = true
		}
	}
	return plain(c, slices.Sorted(maps.Keys(seen)), makeRef)
}
