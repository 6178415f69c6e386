package bitbucketsim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// pull is a pull request. It belongs to its target repository, where it has its number.
type pull struct {
	Repo     int // target
	ID       int // within the target
	Version  int
	Title    string
	Text     string
	From     pullEnd
	To       pullEnd
	AuthorID int
	State    string // OPEN, MERGED or DECLINED
	Merged   string // merge commit
	Created  time.Time
	Updated  time.Time
	Closed   time.Time
}

type pullEnd struct {
	Repo int
	Ref  string
	Hash string
}

// PullRequest describes a pull request. To open one, Repo and From are needed.
type PullRequest struct {
	Repo        int    // target repository
	ID          int    // within the target repository
	FromRepo    int    // source repository, such as a fork; default Repo
	From        string // source branch, short name
	To          string // target branch, short name; default the default branch
	Title       string // default the source branch
	Description string
	By          string // slug of the author; default the first user
	State       string // OPEN, MERGED or DECLINED
	FromHash    string
	MergeCommit string
}

var errNotOpen = errors.New("the pull request is not open")

// vetoed says why a merge check refused a merge.
type vetoed struct{ summary, detail string }

func (v *vetoed) Error() string { return "the merge was vetoed: " + v.summary }

var errConflicted = errors.New("the pull request has conflicts")

// OpenPullRequest opens a pull request: refs/pull-requests/<n>/from appears in the target, and pr:opened fires there.
// Pushes to its branches update it from then on; deleting the source branch declines it.
func (s *Server) OpenPullRequest(spec PullRequest) (PullRequest, error) {
	setDefault(&spec.FromRepo, spec.Repo)
	setDefault(&spec.Title, spec.From)
	s.mu.RLock()
	target, source, by := s.index.repoByID[spec.Repo].copy(), s.index.repoByID[spec.FromRepo].copy(), s.pusher(spec.By)
	s.mu.RUnlock()
	if target == nil || source == nil || by == nil || source.Hierarchy != target.Hierarchy {
		return PullRequest{}, fmt.Errorf("opening a pull request from repository %d to %d as %q: no such repository or user, or no forks of each other", spec.FromRepo, spec.Repo, spec.By)
	}
	p := &pull{
		Repo: target.ID, Title: spec.Title, Text: spec.Description, AuthorID: by.ID, State: "OPEN", Created: s.now(), Updated: s.now(),
		From: pullEnd{source.ID, "refs/heads/" + spec.From, ""}, To: pullEnd{target.ID, target.DefaultBranch, ""},
	}
	if spec.To != "" {
		p.To.Ref = "refs/heads/" + spec.To
	}
	if err := s.findEnds(p); err != nil {
		return PullRequest{}, err
	}
	s.mu.Lock()
	p.ID = 1 + len(s.index.pullsTo[target.ID])
	s.st.Pulls = append(s.st.Pulls, p)
	s.indexPull(p)
	stored := *p
	p = &stored // the other one belongs to the lock
	s.mu.Unlock()
	if err := s.pullRefs(p); err != nil {
		return PullRequest{}, err
	}
	return s.publicPull(p), s.firePull(p, by, "pr:opened", nil)
}

// findEnds reads where both branches stand.
func (s *Server) findEnds(p *pull) error {
	for _, end := range []*pullEnd{&p.From, &p.To} {
		refs, err := s.refs(end.Repo)
		if err != nil {
			return err
		}
		if end.Hash = refs[end.Ref]; end.Hash == "" {
			return fmt.Errorf("repository %d has no %s", end.Repo, end.Ref)
		}
	}
	return nil
}

func (s *Server) indexPull(p *pull) {
	s.index.pullsTo[p.Repo] = append(s.index.pullsTo[p.Repo], p)
	s.index.pullsFrom[p.From.Repo] = append(s.index.pullsFrom[p.From.Repo], p)
}

func (s *Server) publicPull(p *pull) PullRequest {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := PullRequest{
		Repo: p.Repo, ID: p.ID, FromRepo: p.From.Repo, From: strings.TrimPrefix(p.From.Ref, "refs/heads/"),
		To: strings.TrimPrefix(p.To.Ref, "refs/heads/"), Title: p.Title, Description: p.Text, State: p.State, FromHash: p.From.Hash, MergeCommit: p.Merged,
	}
	if u := s.index.userByID[p.AuthorID]; u != nil {
		v.By = u.Slug
	}
	return v
}

// findPull returns a copy of a pull request, or nil.
func (s *Server) findPull(repoID, id int) *pull {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := s.index.pullsTo[repoID]
	if id < 1 || id > len(list) {
		return nil
	}
	p := *list[id-1]
	return &p
}

// editPull changes a pull request under the lock, and counts its version up.
func (s *Server) editPull(repoID, id int, edit func(*pull)) (*pull, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.index.pullsTo[repoID]
	if id < 1 || id > len(list) {
		return nil, fmt.Errorf("repository %d has no pull request %d", repoID, id)
	}
	p := list[id-1]
	edit(p)
	p.Version++
	p.Updated = s.now()
	c := *p
	return &c, nil
}

func (p *pull) ref(side string) string { return fmt.Sprintf("refs/pull-requests/%d/%s", p.ID, side) }

// pullRefs writes the refs of a pull request into its target. The objects of a fork come with them.
func (s *Server) pullRefs(p *pull) error {
	ctx := context.Background()
	if _, err := s.git(ctx, p.Repo, nil, "fetch", "--quiet", "--no-tags", s.gitDir(p.From.Repo), "+"+p.From.Ref+":"+p.ref("from")); err != nil {
		return err
	}
	if !s.mergeRefs() {
		return nil
	}
	merge, err := s.mergeCommit(p, s.adminUser())
	if errors.Is(err, errConflicted) {
		return nil
	}
	if err == nil {
		_, err = s.git(ctx, p.Repo, nil, "update-ref", p.ref("merge"), merge)
	}
	return err
}

func (s *Server) adminUser() *user {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.pusher("")
}

// mergeCommit writes the merge of a pull request's two sides, without moving a ref.
func (s *Server) mergeCommit(p *pull, by *user) (string, error) {
	ctx := context.Background()
	out, err := s.git(ctx, p.Repo, nil, "merge-tree", "--write-tree", "--allow-unrelated-histories", p.To.Hash, p.From.Hash)
	if err != nil {
		return "", fmt.Errorf("%w: %v", errConflicted, err)
	}
	tree, _, _ := strings.Cut(string(out), "\n")
	message := fmt.Sprintf("Merge pull request #%d from %s to %s\n", p.ID, p.From.Ref, p.To.Ref)
	date := fmt.Sprintf("%d +0000", s.now().Unix())
	id := []string{"-c", "user.name=" + by.DisplayName, "-c", "user.email=" + orElse(by.Email, "nobody@example.com")}
	out, err = s.gitWith(ctx, p.Repo, []string{"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date},
		append(id, "commit-tree", tree, "-p", p.To.Hash, "-p", p.From.Hash, "-m", message)...)
	return strings.TrimSpace(string(out)), err
}

// MergePullRequest merges an open pull request as a user: the target branch moves, repo:refs_changed and pr:merged fire.
// A merge check set by SetRequiredReport may veto it.
func (s *Server) MergePullRequest(repoID, id int, by string) (PullRequest, error) {
	s.mu.RLock()
	who := s.pusher(by)
	s.mu.RUnlock()
	r := s.snapshot(repoID)
	if r == nil || who == nil {
		return PullRequest{}, fmt.Errorf("merging in repository %d as %q: no such repository or user", repoID, by)
	}
	p, err := s.merge(r, id, who)
	if err != nil {
		return PullRequest{}, fmt.Errorf("merging pull request %d of repository %d: %w", id, repoID, err)
	}
	return s.publicPull(p), nil
}

func (s *Server) merge(r *repo, id int, by *user) (*pull, error) {
	r.git.Lock()
	defer r.git.Unlock()
	p := s.findPull(r.ID, id)
	if p == nil || p.State != "OPEN" {
		return nil, errNotOpen
	}
	if err := s.findEnds(p); err != nil {
		return nil, err
	}
	if veto := s.veto(p); veto != nil {
		return nil, veto
	}
	hash, err := s.mergeCommit(p, by)
	if err != nil {
		return nil, err
	}
	if _, err := s.git(context.Background(), r.ID, nil, "update-ref", p.To.Ref, hash, p.To.Hash); err != nil {
		return nil, err
	}
	change := Change{Ref: p.To.Ref, From: p.To.Hash, To: hash, Type: "UPDATE"}
	p, err = s.editPull(r.ID, id, func(p *pull) { p.State, p.Merged, p.Closed = "MERGED", hash, s.now() })
	if err != nil {
		return nil, err
	}
	if err := s.refsChanged(r, by, []Change{change}); err != nil {
		return nil, err
	}
	return p, s.firePull(p, by, "pr:merged", func(b *pullBody) {
		b.PullRequest.Properties = map[string]any{"mergeCommit": map[string]string{"id": hash, "displayId": shortID(hash)}}
	})
}

// veto asks the merge checks.
func (s *Server) veto(p *pull) *vetoed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.index.repoByID[p.Repo]
	if r == nil || r.RequiredReport == "" {
		return nil
	}
	found := s.index.reports[insightKey{p.Repo, p.From.Hash, r.RequiredReport}]
	switch {
	case found == nil:
		return &vetoed{"Not all required reports are available yet", "The report '" + r.RequiredReport + "' is required and has not been added to the latest commit"}
	case found.Body.Result != "PASS":
		return &vetoed{"Not all required reports are passing", "The report '" + r.RequiredReport + "' is required to pass before this pull request can be merged"}
	}
	return nil
}

// SetRequiredReport makes merging into a repository depend on a Code Insights report with the key, on the newest commit
// of the source, that passes. An empty key ends that.
func (s *Server) SetRequiredReport(repoID int, key string) error {
	return s.edit(repoID, func(r *repo) { r.RequiredReport = key })
}

// DeclinePullRequest declines an open pull request and fires pr:declined.
func (s *Server) DeclinePullRequest(repoID, id int, by string) error {
	_, err := s.turnPull(repoID, id, by, "OPEN", "DECLINED", "pr:declined")
	return err
}

// ReopenPullRequest opens a declined pull request again, at the newest commits; no event tells of that.
func (s *Server) ReopenPullRequest(repoID, id int, by string) error {
	_, err := s.turnPull(repoID, id, by, "DECLINED", "OPEN", "")
	return err
}

// turnPull moves a pull request from one state to another.
func (s *Server) turnPull(repoID, id int, by, from, to, event string) (*pull, error) {
	s.mu.RLock()
	who := s.pusher(by)
	s.mu.RUnlock()
	p := s.findPull(repoID, id)
	if p == nil || who == nil || p.State != from {
		return nil, fmt.Errorf("pull request %d of repository %d can't become %s as %q", id, repoID, to, by)
	}
	closed := s.now()
	if to == "OPEN" {
		closed = time.Time{}
		if err := s.findEnds(p); err != nil {
			return nil, err
		}
	}
	p, err := s.editPull(repoID, id, func(now *pull) { now.State, now.Closed, now.From, now.To = to, closed, p.From, p.To })
	if err == nil && to == "OPEN" {
		err = s.pullRefs(p)
	}
	if err != nil || event == "" {
		return p, err
	}
	return p, s.firePull(p, who, event, nil)
}

// rescope tells the open pull requests of a repository that branches moved.
func (s *Server) rescope(r *repo, by *user, changes []Change) error {
	s.mu.RLock()
	var open []*pull
	for _, p := range slices.Concat(s.index.pullsFrom[r.ID], s.index.pullsTo[r.ID]) {
		if p.State == "OPEN" && !slices.Contains(open, p) {
			open = append(open, p)
		}
	}
	s.mu.RUnlock()
	for _, p := range open {
		for _, c := range changes {
			if err := s.rescopePull(p, r.ID, by, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) rescopePull(p *pull, repoID int, by *user, c Change) error {
	from, to := p.From.Repo == repoID && p.From.Ref == c.Ref, p.Repo == repoID && p.To.Ref == c.Ref
	switch {
	case (from || to) && c.Type == "DELETE":
		_, err := s.turnPull(p.Repo, p.ID, by.Slug, "OPEN", "DECLINED", "pr:declined")
		return err
	case to:
		s.mu.Lock()
		defer s.mu.Unlock()
		p.To.Hash = c.To
	case from:
		now, err := s.editPull(p.Repo, p.ID, func(p *pull) { p.From.Hash = c.To })
		if err == nil {
			err = s.pullRefs(now)
		}
		if err != nil || !s.ver.atLeast(7, 0) {
			return err
		}
		return s.firePull(now, by, "pr:from_ref_updated", func(b *pullBody) { b.PreviousFromHash = c.From })
	}
	return nil
}
