package bitbucketsim

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Webhook bodies. Their dialects differ by version: links and archived from 8.0, commits and toCommit from 8.9, times
// of commits as ISO 8601 text from 10.0. The order of fields is the server's.

// payloadDate has no colon in the offset of the zone.
const (
	payloadDate = "2006-01-02T15:04:05-0700"
	isoMillis   = "2006-01-02T15:04:05.000Z"
)

type refsChangedBody struct {
	EventKey   string        `json:"eventKey"`
	Date       string        `json:"date"`
	Actor      *userView     `json:"actor"`
	Repository *repoView     `json:"repository"`
	Changes    []changeView  `json:"changes"`
	Commits    []*commitView `json:"commits,omitempty"`
	ToCommit   *commitView   `json:"toCommit,omitempty"`
}

type changeView struct {
	Ref      refView `json:"ref"`
	RefID    string  `json:"refId"`
	FromHash string  `json:"fromHash"`
	ToHash   string  `json:"toHash"`
	Type     string  `json:"type"`
}

type refView struct {
	ID        string `json:"id"`
	DisplayID string `json:"displayId"`
	Type      string `json:"type"`
}

type modifiedBody struct {
	EventKey string    `json:"eventKey"`
	Date     string    `json:"date"`
	Actor    *userView `json:"actor"`
	Old      *repoView `json:"old"`
	New      *repoView `json:"new"`
}

type forkedBody struct {
	EventKey   string    `json:"eventKey"`
	Date       string    `json:"date"`
	Actor      *userView `json:"actor"`
	Repository *repoView `json:"repository"`
}

func makeRef(name string) refView {
	if short, ok := strings.CutPrefix(name, "refs/tags/"); ok {
		return refView{name, short, "TAG"}
	}
	return refView{name, strings.TrimPrefix(name, "refs/heads/"), "BRANCH"}
}

func makeChange(c Change) changeView {
	return changeView{makeRef(c.Ref), c.Ref, c.From, c.To, c.Type}
}

func (s *Server) date() string { return s.now().In(s.opt.Zone).Format(payloadDate) }

// refsChanged logs a push, fires its event and tells pull requests of it. The caller holds the repository's lock, so events of one repository are
// made in the order of the pushes.
func (s *Server) refsChanged(r *repo, by *user, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	s.logActivity(r, by, changes)
	if err := s.fire(r, "repo:refs_changed", func() (any, error) { return s.refsChangedBody(r, by, changes) }); err != nil {
		return err
	}
	return s.rescope(r, by, changes)
}

// Announce fires a repo:refs_changed with exactly these changes and no commits, whatever the repository holds, and
// logs no activity. It costs no git process, so it suits load runs, and events without changes.
func (s *Server) Announce(repoID int, by string, changes ...Change) error {
	r := s.snapshot(repoID)
	s.mu.RLock()
	who := s.pusher(by)
	s.mu.RUnlock()
	if r == nil || who == nil {
		return fmt.Errorf("announcing for repository %d as %q: no such repository or user", repoID, by)
	}
	return s.fire(r, "repo:refs_changed", func() (any, error) { return s.bareBody(r, who, changes), nil })
}

// bareBody is a refs_changed without commits.
func (s *Server) bareBody(r *repo, by *user, changes []Change) refsChangedBody {
	b := refsChangedBody{EventKey: "repo:refs_changed", Date: s.date(), Changes: []changeView{}}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if now := s.index.repoByID[r.ID]; now != nil {
		r = now
	}
	b.Actor, b.Repository = s.userView(by, s.ver.payloadLinks()), s.repoView(r, s.ver.payloadLinks())
	for _, c := range changes {
		b.Changes = append(b.Changes, makeChange(c))
	}
	return b
}

func (s *Server) refsChangedBody(r *repo, by *user, changes []Change) (any, error) {
	b := s.bareBody(r, by, changes)
	if !s.ver.payloadCommits() {
		return b, nil
	}
	for _, c := range changes {
		if c.Type != "DELETE" {
			return b, s.addCommits(&b, r, c)
		}
	}
	return b, nil
}

// payloadCommitLimit is plugin.webhooks.push.event.commits.limit.
const payloadCommitLimit = 5

// addCommits describes one ref change of the push: the newest commits, and the new tip with its parents.
func (s *Server) addCommits(b *refsChangedBody, r *repo, c Change) error {
	revs := []string{c.To}
	if c.Type == "UPDATE" {
		revs = append(revs, "^"+c.From)
	}
	ctx := context.Background()
	commits, err := s.log(ctx, r.ID, 0, payloadCommitLimit, revs...)
	if err != nil {
		return err
	}
	tip, err := s.log(ctx, r.ID, 0, 1, c.To)
	if err != nil || len(tip) == 0 {
		return err
	}
	parents := map[string]commit{}
	for _, id := range tip[0].parents {
		found, err := s.log(ctx, r.ID, 0, 1, id)
		if err != nil {
			return err
		}
		parents[id] = found[0]
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, x := range commits {
		b.Commits = append(b.Commits, s.commitView(x, s.payloadTime))
	}
	b.ToCommit = s.commitView(tip[0], s.payloadTime)
	for i, p := range b.ToCommit.Parents {
		b.ToCommit.Parents[i] = s.commitView(parents[p.ID], s.payloadTime)
	}
	return nil
}

// payloadTime writes a commit's time in the version's dialect.
func (s *Server) payloadTime(t time.Time) any {
	if s.ver.isoTimes() {
		return t.UTC().Format(isoMillis)
	}
	return millis(t)
}
