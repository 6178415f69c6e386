package bitbucketsim

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// commit is a commit as git log prints it.
type commit struct {
	id        string
	parents   []string
	author    person
	committer person
	message   string
}

type person struct {
	name, email string
	at          time.Time
}

type commitView struct {
	ID                 string        `json:"id"`
	DisplayID          string        `json:"displayId"`
	Author             any           `json:"author,omitempty"`
	AuthorTimestamp    any           `json:"authorTimestamp,omitempty"`
	Committer          any           `json:"committer,omitempty"`
	CommitterTimestamp any           `json:"committerTimestamp,omitempty"`
	Message            string        `json:"message,omitempty"`
	Parents            []*commitView `json:"parents,omitempty"`
}

// authorView stands for somebody whose e-mail address no user has.
type authorView struct {
	Name         string `json:"name"`
	EmailAddress string `json:"emailAddress"`
}

const logFormat = "%H%x1f%P%x1f%an%x1f%ae%x1f%at%x1f%cn%x1f%ce%x1f%ct%x1f%B%x1e"

// log lists commits; revs are object ids, or options and ids.
func (s *Server) log(ctx context.Context, id, skip, limit int, revs ...string) ([]commit, error) {
	args := []string{"log", "--format=" + logFormat, "--skip=" + strconv.Itoa(skip), "--max-count=" + strconv.Itoa(limit)}
	out, err := s.git(ctx, id, nil, append(args, revs...)...)
	if err != nil {
		return nil, err
	}
	var list []commit
	for rec := range strings.SplitSeq(string(out), "\x1e") {
		rec = strings.TrimPrefix(rec, "\n")
		if rec == "" {
			continue
		}
		f := strings.SplitN(rec, "\x1f", 9)
		if len(f) != 9 {
			return nil, fmt.Errorf("reading git log of repository %d: a record has %d fields", id, len(f))
		}
		list = append(list, commit{
			f[0], strings.Fields(f[1]), person{f[2], f[3], unix(f[4])}, person{f[5], f[6], unix(f[7])}, strings.TrimRight(f[8], "\n"),
		})
	}
	return list, nil
}

func unix(text string) time.Time {
	n, _ := strconv.ParseInt(text, 10, 64) // git prints numbers here
	return time.Unix(n, 0)
}

// commitView needs s.mu. times says how times are written: REST answers and webhooks differ.
func (s *Server) commitView(c commit, times func(time.Time) any) *commitView {
	v := &commitView{
		ID: c.id, DisplayID: shortID(c.id), Author: s.personView(c.author), AuthorTimestamp: times(c.author.at),
		Committer: s.personView(c.committer), CommitterTimestamp: times(c.committer.at), Message: c.message,
	}
	for _, p := range c.parents {
		v.Parents = append(v.Parents, &commitView{ID: p, DisplayID: shortID(p)})
	}
	return v
}

func (s *Server) personView(p person) any {
	if u := s.index.userByEmail[strings.ToLower(p.email)]; u != nil {
		return s.userView(u, s.ver.payloadLinks())
	}
	return authorView{p.name, p.email}
}

func shortID(id string) string { return id[:min(11, len(id))] }

// restTime writes the time of a commit or a pull request in REST answers.
func (s *Server) restTime(t time.Time) any {
	if get(&s.faults, &s.faults.isoREST) {
		return t.UTC().Format(isoMillis)
	}
	return millis(t)
}

// commitID resolves what a client may say for a revision: an object id, or, where refs are allowed, a branch or tag.
func (c *call) commitID(r *repo, text string, refs bool) (string, error) {
	missing := errNoCommit(text, r.Slug)
	isID := len(text) >= 7 && len(text) <= 40 && strings.Trim(strings.ToLower(text), "0123456789abcdef") == ""
	if !isID && !refs || strings.HasPrefix(text, "-") {
		return "", missing
	}
	for _, name := range []string{text, "refs/heads/" + text, "refs/tags/" + text} {
		if out, err := c.s.git(c.r.Context(), r.ID, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}"); err == nil {
			return strings.TrimSpace(string(out)), nil
		}
		if !refs {
			break
		}
	}
	return "", missing
}

// revision resolves a query parameter, by default the default branch.
func (c *call) revision(r *repo, name string) (string, error) {
	text := c.query(name)
	if text == "" {
		text = r.DefaultBranch
	}
	return c.commitID(r, text, true)
}

func (c *call) getCommit() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	id, err := c.commitID(r, c.r.PathValue("id"), false)
	if err != nil {
		return nil, err
	}
	found, err := c.s.log(c.r.Context(), r.ID, 0, 1, id)
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return c.s.commitView(found[0], c.s.restTime), nil
}

func (c *call) listCommits() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	start, limit, err := c.window(defaultLimit)
	if err != nil {
		return nil, err
	}
	revs, err := c.logRange(r)
	if err != nil {
		return nil, err
	}
	var found []commit
	if revs != nil {
		if found, err = c.s.log(c.r.Context(), r.ID, start, limit+1, revs...); err != nil {
			return nil, err
		}
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	views := make([]*commitView, len(found))
	for i := range found {
		views[i] = c.s.commitView(found[i], c.s.restTime)
	}
	return streamed(start, limit, views), nil
}

// logRange reads since, until, merges and path; nil means there is nothing to list.
func (c *call) logRange(r *repo) ([]string, error) {
	until, err := c.revision(r, "until")
	if err != nil {
		if refs, refErr := c.s.refs(r.ID); refErr == nil && len(refs) == 0 && c.query("until") == "" {
			return nil, nil
		}
		return nil, err
	}
	revs := []string{until}
	if since := c.query("since"); since != "" {
		id, err := c.commitID(r, since, true)
		if err != nil {
			return nil, err
		}
		revs = append(revs, "^"+id)
	}
	switch c.query("merges") {
	case "", "include":
	case "exclude":
		revs = append(revs, "--no-merges")
	case "only":
		revs = append(revs, "--merges")
	default:
		return nil, errPlain(http.StatusBadRequest, "merges must be exclude, include or only")
	}
	if path := c.query("path"); path != "" {
		revs = append(revs, "--", ":(literal)"+path)
	}
	return revs, nil
}
