package bitbucketsim

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// edit changes a repository under the lock.
func (s *Server) edit(id int, change func(*repo)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.index.repoByID[id]
	if r == nil {
		return fmt.Errorf("no repository %d", id)
	}
	change(r)
	return nil
}

// Archive archives a repository or brings it back. Pushes to an archived one are refused.
func (s *Server) Archive(id int, archived bool) error {
	return s.edit(id, func(r *repo) { r.Archived = archived })
}

// SetRepoState sets AVAILABLE, INITIALISING, INITIALISATION_FAILED or OFFLINE; git works in the first only.
func (s *Server) SetRepoState(id int, state string) error {
	if !slices.Contains([]string{"AVAILABLE", "INITIALISING", "INITIALISATION_FAILED", "OFFLINE"}, state) {
		return fmt.Errorf("%q is not a repository state", state)
	}
	return s.edit(id, func(r *repo) { r.State = state })
}

// SetRepoPublic lets anonymous callers read a repository, or not.
func (s *Server) SetRepoPublic(id int, public bool) error {
	return s.edit(id, func(r *repo) { r.Public = public })
}

// SetRepoHTTPHosting switches git over HTTP and the http clone link on or off for one repository. SetHTTPHosting does
// so for all.
func (s *Server) SetRepoHTTPHosting(id int, on bool) error {
	return s.edit(id, func(r *repo) { r.NoHTTP = !on })
}

// SetDefaultBranch changes the default branch (short name), whether or not it exists.
func (s *Server) SetDefaultBranch(id int, branch string) error {
	if err := s.edit(id, func(r *repo) { r.DefaultBranch = "refs/heads/" + branch }); err != nil {
		return err
	}
	_, err := s.git(context.Background(), id, nil, "symbolic-ref", "HEAD", "refs/heads/"+branch)
	return err
}

// Rename gives a repository a new name, and with it a new slug, and fires repo:modified.
func (s *Server) Rename(id int, name string) error { return s.relocate(id, nil, "", name) }

// Move moves a repository to another project and fires repo:modified.
func (s *Server) Move(id int, projectKey string) error { return s.relocate(id, nil, projectKey, "") }

// relocate renames, moves or both. The old address stays known until somebody else takes it.
func (s *Server) relocate(id int, by *user, projectKey, name string) error {
	r := s.snapshot(id)
	if r == nil {
		return fmt.Errorf("no repository %d", id)
	}
	body, err := s.readdress(id, by, projectKey, name)
	if err != nil {
		return err
	}
	return s.fire(r, "repo:modified", func() (any, error) { return body, nil })
}

func (s *Server) readdress(id int, by *user, projectKey, name string) (*modifiedBody, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.index.repoByID[id]
	if r == nil {
		return nil, fmt.Errorf("no repository %d", id)
	}
	p := s.index.projectByID[r.ProjectID]
	if projectKey != "" {
		if p = s.findProject(projectKey); p == nil {
			return nil, fmt.Errorf("no project %s", projectKey)
		}
	}
	name = orElse(name, r.Name)
	path := pathKey(p.Key, slugOf(name))
	if other := s.index.repoByPath[path]; slugOf(name) == "" || other != nil && other != r {
		return nil, fmt.Errorf("repository %s exists or has no name", path)
	}
	old, oldPath := s.repoView(r, s.ver.payloadLinks()), s.repoPath(r)
	s.unindexRepo(r)
	r.ProjectID, r.Name, r.Slug = p.ID, name, slugOf(name)
	s.indexRepo(r)
	if oldPath != path {
		s.st.Aliases[oldPath] = id
		delete(s.st.Aliases, path)
	}
	return s.modifiedBody(r, by, old), nil
}

// modifiedBody makes a repo:modified; s.mu must be held. As recorded from real servers, the clone links of the old
// repository already show the new address.
func (s *Server) modifiedBody(r *repo, by *user, old *repoView) *modifiedBody {
	v := s.repoView(r, s.ver.payloadLinks())
	if v.Links != nil {
		old.Links.Clone = v.Links.Clone
	}
	if by == nil {
		by = s.pusher("")
	}
	body := &modifiedBody{EventKey: "repo:modified", Date: s.date(), Old: old, New: v}
	if by != nil {
		body.Actor = s.userView(by, s.ver.payloadLinks())
	}
	return body
}

// RenameProject changes a project's key and name; repositories keep their ids and old addresses.
func (s *Server) RenameProject(key, newKey, newName string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.findProject(key)
	newKey = strings.ToUpper(newKey)
	if p == nil || newKey == "" || s.index.projectByKey[newKey] != nil && s.index.projectByKey[newKey] != p {
		return fmt.Errorf("project %s can't become %s", key, newKey)
	}
	s.st.KeyAlias[p.Key] = p.ID
	p.Key, p.Name = newKey, orElse(newName, p.Name)
	delete(s.st.KeyAlias, newKey)
	s.reindex()
	return nil
}

// Delete deletes a repository with its webhooks and files. It fires nothing, as the real server does not.
func (s *Server) Delete(id int) error {
	s.mu.Lock()
	r := s.index.repoByID[id]
	if r == nil {
		s.mu.Unlock()
		return fmt.Errorf("no repository %d", id)
	}
	s.unindexRepo(r)
	s.st.Repos = slices.DeleteFunc(s.st.Repos, func(x *repo) bool { return x == r })
	for _, h := range slices.Clone(s.index.hooksOf[scope{"repository", id}]) {
		s.dropHook(h)
	}
	s.dropReports(func(x *report) bool { return x.At.Repo == id })
	delete(s.index.pullsTo, id)
	s.st.Pulls = slices.DeleteFunc(s.st.Pulls, func(p *pull) bool { return p.Repo == id })
	s.mu.Unlock()
	r.git.Lock()
	defer r.git.Unlock()
	if err := os.RemoveAll(s.gitDir(id)); err != nil {
		return fmt.Errorf("deleting repository %d: %w", id, err)
	}
	return nil
}

// DeleteProject deletes a project and its repositories.
func (s *Server) DeleteProject(key string) error {
	s.mu.RLock()
	p := s.findProject(key)
	var inside []*repo
	if p != nil {
		inside = slices.Clone(s.index.reposIn[p.ID])
	}
	s.mu.RUnlock()
	if p == nil {
		return fmt.Errorf("no project %s", key)
	}
	for _, r := range inside {
		if err := s.Delete(r.ID); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range slices.Clone(s.index.hooksOf[scope{"project", p.ID}]) {
		s.dropHook(h)
	}
	s.st.Projects = slices.DeleteFunc(s.st.Projects, func(x *project) bool { return x == p })
	s.reindex()
	return nil
}

// Fork copies a repository into a project (a key, "~slug" for a personal one, which is made when missing) as the user
// with the given slug, and fires repo:forked on the parent. Webhooks are not copied. name is optional.
func (s *Server) Fork(id int, projectKey, name, by string) (Repo, error) {
	if err := s.needProject(projectKey); err != nil {
		return Repo{}, err
	}
	s.mu.Lock()
	origin, p, who := s.index.repoByID[id], s.findProject(projectKey), s.pusher(by)
	if origin == nil || p == nil || who == nil {
		s.mu.Unlock()
		return Repo{}, fmt.Errorf("forking repository %d to %s as %q: one of them does not exist", id, projectKey, by)
	}
	fork := &repo{
		ProjectID: p.ID, Name: orElse(name, origin.Name), OriginID: origin.ID, Hierarchy: origin.Hierarchy, DefaultBranch: origin.DefaultBranch,
	}
	err := s.addRepo(fork)
	s.mu.Unlock()
	if err != nil {
		return Repo{}, err
	}
	if err := s.copyGitDir(origin, fork); err != nil {
		return Repo{}, err
	}
	s.mu.RLock()
	body := forkedBody{"repo:forked", s.date(), s.userView(who, s.ver.payloadLinks()), s.repoView(fork, s.ver.payloadLinks())}
	made := s.publicRepo(fork)
	s.mu.RUnlock()
	return made, s.fire(origin, "repo:forked", func() (any, error) { return body, nil })
}

func (s *Server) needProject(key string) error {
	slug, personal := strings.CutPrefix(strings.ToLower(key), "~")
	s.mu.RLock()
	found := s.findProject(key) != nil
	s.mu.RUnlock()
	if found || !personal {
		return nil
	}
	_, err := s.CreatePersonalProject(slug)
	return err
}

func (s *Server) copyGitDir(from, to *repo) error {
	from.git.Lock()
	defer from.git.Unlock()
	cmd := exec.Command("git", "clone", "--quiet", "--mirror", "--template=", s.gitDir(from.ID), s.gitDir(to.ID))
	cmd.Env = s.gitEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copying repository %d: %w: %s", from.ID, err, out)
	}
	_, err := s.git(context.Background(), to.ID, nil, "config", "--remove-section", "remote.origin")
	return err
}

// GC removes what no ref reaches, as the server's own housekeeping does some day.
func (s *Server) GC(id int) error {
	s.mu.RLock()
	r := s.index.repoByID[id]
	s.mu.RUnlock()
	if r == nil {
		return fmt.Errorf("no repository %d", id)
	}
	r.git.Lock()
	defer r.git.Unlock()
	if err := s.ownObjects(id); err != nil {
		return err
	}
	_, err := s.git(context.Background(), id, nil, "gc", "--quiet", "--prune=now")
	return err
}
