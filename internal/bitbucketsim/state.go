package bitbucketsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// state is everything the server knows besides the repositories' contents. It is saved as JSON. Guarded by Server.mu.
type state struct {
	LastID   int // the last id given to anything
	Users    []*user
	Projects []*project
	Repos    []*repo
	Tokens   []*token
	Hooks    []*webhook
	Reports  []*report
	Pulls    []*pull
	Aliases  map[string]int // old "KEY/slug" → repository id
	KeyAlias map[string]int // old project key → project id
}

// index finds things of the state quickly. It is rebuilt from the state when that is loaded. Guarded by Server.mu.
type index struct {
	userBySlug   map[string]*user
	userByName   map[string]*user // lower-cased
	userByEmail  map[string]*user // lower-cased
	userByID     map[int]*user
	projectByKey map[string]*project // upper-cased
	projectByID  map[int]*project
	repoByPath   map[string]*repo // "KEY/slug", key upper-cased, slug lower-cased
	repoByID     map[int]*repo
	reposIn      map[int][]*repo // by project id
	tokenByText  map[string]*token
	hooksOf      map[scope][]*webhook
	reports      map[insightKey]*report
	reportsOn    map[insightKey][]*report // by repository and commit, without a key
	pullsTo      map[int][]*pull          // by target repository; number n stands at n-1
	pullsFrom    map[int][]*pull          // by source repository
	repoOrder    []*repo                  // by project and name; nil when stale
	projectOrder []*project               // by name; nil when stale
	orderIn      map[int][]*repo          // reposIn sorted by name, by project id; none when stale
	forksOf      map[int][]*repo          // by id of the origin
}

// level is how much somebody may do with a project or repository.
type level int

const (
	none level = iota
	read
	write
	admin
)

type user struct {
	ID          int
	Name        string
	Slug        string
	DisplayName string
	Email       string
	Service     bool
	Inactive    bool
	Unlicensed  bool
	TwoStep     bool // credentials are refused until two-step verification is set up
	Deleted     bool // kept for what the user did
	Password    string
	Global      string // "", PROJECT_CREATE, ADMIN, SYS_ADMIN; a licensed user has LICENSED_USER anyway
	ProjectPerm map[int]level
	RepoPerm    map[int]level
}

type project struct {
	ID          int
	Key         string
	Name        string
	Description string
	Public      bool
	OwnerID     int // of a personal project, else 0
}

type repo struct {
	ID             int
	ProjectID      int
	Slug           string
	Name           string
	Description    string
	Hierarchy      string
	State          string
	Public         bool
	Archived       bool
	NoHTTP         bool
	OriginID       int
	DefaultBranch  string
	RequiredReport string // key of the report a merge needs
	Activities     []activity

	git *sync.Mutex // held during a push; shared by all copies of the repo
}

type token struct {
	ID          string
	Text        string
	Name        string
	UserID      int
	ProjectID   int // of a project token
	RepoID      int // of a repository token
	Permissions []string
	Created     time.Time
	Expiry      time.Time // zero for never
	LastUsed    time.Time
}

// Save writes the state to the data directory, so that a later Server with the same Options.DataDir continues from it.
// Close does so too; call Save where the process may be killed.
func (s *Server) Save() error {
	s.mu.RLock()
	data, err := json.Marshal(&s.st)
	s.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	tmp, err := os.CreateTemp(s.dir, "state-")
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(s.dir, "state.json"))
	}
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return nil
}

// load reads the state, if there is one, and builds the index.
func (s *Server) load() error {
	data, err := os.ReadFile(filepath.Join(s.dir, "state.json"))
	if err == nil {
		err = json.Unmarshal(data, &s.st)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	if s.st.Aliases == nil {
		s.st.Aliases, s.st.KeyAlias = map[string]int{}, map[string]int{}
	}
	s.reindex()
	return nil
}

func (s *Server) nextID() int {
	s.st.LastID++
	return s.st.LastID
}

func (s *Server) reindex() {
	s.index = index{
		userBySlug: map[string]*user{}, userByName: map[string]*user{}, userByEmail: map[string]*user{}, userByID: map[int]*user{},
		projectByKey: map[string]*project{}, projectByID: map[int]*project{},
		repoByPath: map[string]*repo{}, repoByID: map[int]*repo{}, reposIn: map[int][]*repo{},
		orderIn: map[int][]*repo{}, forksOf: map[int][]*repo{}, tokenByText: map[string]*token{}, hooksOf: map[scope][]*webhook{},
		reports: map[insightKey]*report{}, reportsOn: map[insightKey][]*report{}, pullsTo: map[int][]*pull{}, pullsFrom: map[int][]*pull{},
	}
	for _, u := range s.st.Users {
		s.indexUser(u)
	}
	for _, p := range s.st.Projects {
		s.indexProject(p)
	}
	for _, r := range s.st.Repos {
		s.indexRepo(r)
	}
	for _, t := range s.st.Tokens {
		s.index.tokenByText[t.Text] = t
	}
	for _, h := range s.st.Hooks {
		s.index.hooksOf[h.Scope] = append(s.index.hooksOf[h.Scope], h)
	}
	for _, r := range s.st.Reports {
		s.indexReport(r)
	}
	for _, p := range s.st.Pulls {
		s.indexPull(p)
	}
}

func (s *Server) indexUser(u *user) {
	s.index.userByID[u.ID] = u
	if u.Deleted {
		return
	}
	s.index.userBySlug[u.Slug] = u
	s.index.userByName[strings.ToLower(u.Name)] = u
	if u.Email != "" {
		s.index.userByEmail[strings.ToLower(u.Email)] = u
	}
}

func (s *Server) indexProject(p *project) {
	s.index.projectByKey[strings.ToUpper(p.Key)], s.index.projectByID[p.ID] = p, p
	s.index.projectOrder, s.index.repoOrder = nil, nil
}

func (s *Server) indexRepo(r *repo) {
	if r.git == nil {
		r.git = new(sync.Mutex)
	}
	s.index.repoByPath[s.repoPath(r)], s.index.repoByID[r.ID] = r, r
	s.index.reposIn[r.ProjectID] = append(s.index.reposIn[r.ProjectID], r)
	if r.OriginID != 0 {
		s.index.forksOf[r.OriginID] = append(s.index.forksOf[r.OriginID], r)
	}
	s.staleOrder(r)
}

func (s *Server) staleOrder(r *repo) {
	s.index.repoOrder = nil
	delete(s.index.orderIn, r.ProjectID)
}

func (s *Server) unindexRepo(r *repo) {
	delete(s.index.repoByPath, s.repoPath(r))
	delete(s.index.repoByID, r.ID)
	same := func(x *repo) bool { return x == r }
	s.index.reposIn[r.ProjectID] = slices.DeleteFunc(s.index.reposIn[r.ProjectID], same)
	s.index.forksOf[r.OriginID] = slices.DeleteFunc(s.index.forksOf[r.OriginID], same)
	s.staleOrder(r)
}

// snapshot returns a copy of a repository that may be read without s.mu, or nil.
func (s *Server) snapshot(id int) *repo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index.repoByID[id].copy()
}

func (r *repo) copy() *repo {
	if r == nil {
		return nil
	}
	c := *r
	return &c
}

func (s *Server) repoPath(r *repo) string {
	return pathKey(s.index.projectByID[r.ProjectID].Key, r.Slug)
}

func pathKey(key, slug string) string { return strings.ToUpper(key) + "/" + strings.ToLower(slug) }

// findProject returns the project with a key, also by an older key of it.
func (s *Server) findProject(key string) *project {
	if p := s.index.projectByKey[strings.ToUpper(key)]; p != nil {
		return p
	}
	return s.index.projectByID[s.st.KeyAlias[strings.ToUpper(key)]]
}

// findRepo returns the repository at an address, and whether the address is an old one of it.
func (s *Server) findRepo(key, slug string) (r *repo, moved bool) {
	path := pathKey(key, slug)
	if r := s.index.repoByPath[path]; r != nil {
		return r, false
	}
	if p := s.findProject(key); p != nil {
		if r := s.index.repoByPath[pathKey(p.Key, slug)]; r != nil {
			return r, true
		}
	}
	r = s.index.repoByID[s.st.Aliases[path]]
	return r, r != nil
}
