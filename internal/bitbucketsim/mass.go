package bitbucketsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Seed is what each of many repositories holds at birth.
type Seed struct {
	Prefix   string                                   // of the names, which end in a number; default "repo-"
	Commits  int                                      // on the default branch; default 1, negative for an empty repository
	Branches []string                                 // further branches (short names) at the newest commit
	Tags     []string                                 // lightweight tags (short names) at the newest commit
	Files    func(repo, commit int) map[string]string // path → content, numbers from 0; default one small file
}

// CreateRepos creates n repositories in a project at once and returns them in order. It fires no events and logs no
// activity. One git process writes all their objects into a store they share, as forks do on a real server, so ten
// thousand repositories take seconds; an object of one can therefore be fetched by id from its siblings, until GC.
func (s *Server) CreateRepos(projectKey string, n int, seed Seed) ([]Repo, error) {
	setDefault(&seed.Prefix, "repo-")
	setDefault(&seed.Commits, 1)
	if seed.Files == nil {
		seed.Files = func(repo, commit int) map[string]string {
			return map[string]string{"README": fmt.Sprintf("%s %s%d, version %d\n", projectKey, seed.Prefix, repo, commit)}
		}
	}
	made, err := s.enterRepos(projectKey, n, seed.Prefix)
	if err != nil {
		return nil, err
	}
	store, tips, err := s.seedStore(made, seed)
	if err != nil {
		return nil, err
	}
	list := make([]Repo, n)
	for i, r := range made {
		if err := s.seedDir(r, store, seed, tips[i]); err != nil {
			return nil, fmt.Errorf("making repository %d: %w", r.ID, err)
		}
		if list[i], err = s.Repo(r.ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *Server) enterRepos(projectKey string, n int, prefix string) ([]*repo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.findProject(projectKey)
	if p == nil {
		return nil, fmt.Errorf("no project %s", projectKey)
	}
	made := make([]*repo, n)
	for i := range made {
		made[i] = &repo{ProjectID: p.ID, Name: fmt.Sprintf("%s%05d", prefix, i), DefaultBranch: "refs/heads/" + s.opt.DefaultBranch}
		if err := s.addRepo(made[i]); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// seedStore writes the commits of many repositories into a store of their own and returns its directory and the newest
// commit of each, which is empty without commits.
func (s *Server) seedStore(repos []*repo, seed Seed) (dir string, tips []string, err error) {
	tips = make([]string, len(repos))
	if seed.Commits < 0 || len(repos) == 0 {
		return "", tips, nil
	}
	dir = filepath.Join(s.dir, "repositories", fmt.Sprintf("seed-%d.git", repos[0].ID))
	if err := s.makeGitDir(dir); err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "alternate"), []byte(filepath.Join(dir, "objects")+"\n"), 0o600); err != nil {
		return "", nil, fmt.Errorf("making a shared object store: %w", err)
	}
	s.mu.RLock()
	by := s.pusher("")
	s.mu.RUnlock()
	if by == nil {
		return "", nil, errors.New("commits need a user to write them")
	}
	var stream bytes.Buffer
	for i, r := range repos {
		w := importWriter{now: s.now(), by: by, repo: r, refs: map[string]string{}}
		for k := range seed.Commits {
			mark := i*seed.Commits + k + 1
			c := Commit{Message: fmt.Sprintf("version %d", k), Files: seed.Files(i, k), Root: k == 0}
			if err := w.commit(mark, &c); err != nil {
				return "", nil, err
			}
		}
		stream.Write(w.out.Bytes())
	}
	stream.WriteString("done\n")
	ids, err := s.fastImport(dir, &stream, len(repos)*seed.Commits)
	if err != nil {
		return "", nil, err
	}
	for i := range tips {
		tips[i] = ids[(i+1)*seed.Commits-1]
	}
	return dir, tips, os.RemoveAll(filepath.Join(dir, "refs", "heads")) // a store has no refs of its own
}

// seedDir writes a bare repository without running git.
func (s *Server) seedDir(r *repo, store string, seed Seed, tip string) error {
	dir := s.gitDir(r.ID)
	if err := s.makeGitDir(dir); err != nil || tip == "" {
		return err
	}
	if err := os.Link(filepath.Join(store, "alternate"), alternates(dir)); err != nil {
		return err
	}
	refs := map[string]string{r.DefaultBranch: tip}
	for _, b := range seed.Branches {
		refs["refs/heads/"+b] = tip
	}
	for _, t := range seed.Tags {
		refs["refs/tags/"+t] = tip
	}
	var text strings.Builder
	text.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		fmt.Fprintf(&text, "%s %s\n", refs[name], name)
	}
	return os.WriteFile(filepath.Join(dir, "packed-refs"), []byte(text.String()), 0o600)
}

func alternates(dir string) string { return filepath.Join(dir, "objects", "info", "alternates") }

// ownObjects copies what a repository reaches in a shared store into itself and leaves the store.
func (s *Server) ownObjects(id int) error {
	at := alternates(s.gitDir(id))
	if _, err := os.Stat(at); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if _, err := s.git(context.Background(), id, nil, "repack", "-a", "-d", "-q"); err != nil {
		return err
	}
	return os.Remove(at)
}
