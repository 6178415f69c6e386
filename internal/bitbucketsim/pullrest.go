package bitbucketsim

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type pullView struct {
	ID           int               `json:"id"`
	Version      int               `json:"version"`
	Title        string            `json:"title"`
	Description  string            `json:"description,omitempty"`
	State        string            `json:"state"`
	Open         bool              `json:"open"`
	Closed       bool              `json:"closed"`
	Draft        *bool             `json:"draft,omitempty"`
	CreatedDate  any               `json:"createdDate"`
	UpdatedDate  any               `json:"updatedDate"`
	ClosedDate   any               `json:"closedDate,omitempty"`
	FromRef      pullRefView       `json:"fromRef"`
	ToRef        pullRefView       `json:"toRef"`
	Locked       bool              `json:"locked"`
	Author       participantView   `json:"author"`
	Reviewers    []participantView `json:"reviewers"`
	Participants []participantView `json:"participants"`
	Properties   map[string]any    `json:"properties,omitempty"`
	Links        *links            `json:"links,omitempty"`
}

type pullRefView struct {
	ID           string    `json:"id"`
	DisplayID    string    `json:"displayId"`
	LatestCommit string    `json:"latestCommit"`
	Type         string    `json:"type,omitempty"`
	Repository   *repoView `json:"repository"`
}

type participantView struct {
	User     *userView `json:"user"`
	Role     string    `json:"role"`
	Approved bool      `json:"approved"`
	Status   string    `json:"status"`
}

// pullBody is the body of the pr events.
type pullBody struct {
	EventKey         string    `json:"eventKey"`
	Date             string    `json:"date"`
	Actor            *userView `json:"actor"`
	PullRequest      pullView  `json:"pullRequest"`
	PreviousFromHash string    `json:"previousFromHash,omitempty"`
}

// pullView needs s.mu. times says how times are written.
func (s *Server) pullView(p *pull, withLinks bool, times func(time.Time) any) pullView {
	v := pullView{
		ID: p.ID, Version: p.Version, Title: p.Title, Description: p.Text, State: p.State, Open: p.State == "OPEN", Closed: p.State != "OPEN",
		CreatedDate: times(p.Created), UpdatedDate: times(p.Updated), Reviewers: []participantView{}, Participants: []participantView{},
		FromRef: s.pullRefView(p.From, withLinks), ToRef: s.pullRefView(p.To, withLinks),
		Author: participantView{s.userView(s.index.userByID[p.AuthorID], withLinks), "AUTHOR", false, "UNAPPROVED"},
	}
	if s.ver.atLeast(8, 18) {
		v.Draft = new(bool)
	}
	if !p.Closed.IsZero() {
		v.ClosedDate = times(p.Closed)
	}
	if p.Merged != "" {
		v.Properties = map[string]any{"mergeCommit": map[string]string{"id": p.Merged, "displayId": shortID(p.Merged)}}
	}
	if r := s.index.repoByID[p.Repo]; withLinks && r != nil {
		v.Links = self(s.base + s.pagePath(s.index.projectByID[r.ProjectID]) + "/repos/" + r.Slug + "/pull-requests/" + strconv.Itoa(p.ID))
	}
	return v
}

func (s *Server) pullRefView(e pullEnd, withLinks bool) pullRefView {
	v := pullRefView{ID: e.Ref, DisplayID: strings.TrimPrefix(e.Ref, "refs/heads/"), LatestCommit: e.Hash}
	if r := s.index.repoByID[e.Repo]; r != nil {
		v.Repository = s.repoView(r, withLinks)
	}
	if s.ver.atLeast(8, 0) {
		v.Type = "BRANCH"
	}
	return v
}

// firePull sends a pr event to the webhooks of the target that want it.
func (s *Server) firePull(p *pull, by *user, event string, more func(*pullBody)) error {
	r := s.snapshot(p.Repo)
	if r == nil {
		return nil
	}
	return s.fire(r, event, func() (any, error) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		b := pullBody{EventKey: event, Date: s.date(), Actor: s.userView(by, s.ver.payloadLinks()), PullRequest: s.pullView(p, s.ver.payloadLinks(), s.payloadTime)}
		if more != nil {
			more(&b)
		}
		return b, nil
	})
}

func (s *Server) routePulls(mux *http.ServeMux) {
	const at = "/projects/{key}/repos/{slug}"
	const one = at + "/pull-requests/{pull}"
	s.api(mux, "GET "+at+"/pull-requests", (*call).listPulls)
	s.api(mux, "POST "+at+"/pull-requests", (*call).openPull)
	s.api(mux, "GET "+one, (*call).getPull)
	s.api(mux, "GET "+one+"/changes", (*call).pullChanges)
	s.api(mux, "GET "+one+"/merge-base", (*call).pullBase)
	s.api(mux, "GET "+one+"/merge", (*call).mergeability)
	s.api(mux, "POST "+one+"/merge", (*call).mergePull)
	s.api(mux, "POST "+one+"/decline", func(c *call) (any, error) { return c.turn("OPEN", "DECLINED", "pr:declined") })
	s.api(mux, "POST "+one+"/reopen", func(c *call) (any, error) { return c.turn("DECLINED", "OPEN", "") })
	s.api(mux, "GET "+at+"/commits/{id}/pull-requests", (*call).commitPulls)
}

// choice reads a query parameter that has few values; the first is the default.
func (c *call) choice(name string, values ...string) (string, error) {
	text := c.query(name)
	if text == "" {
		return values[0], nil
	}
	if up := strings.ToUpper(text); slices.Contains(values, up) {
		return up, nil
	}
	return "", errInvalid(name, name+" must be one of "+strings.Join(values, ", "))
}

func (c *call) listPulls() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	state, err1 := c.choice("state", "OPEN", "DECLINED", "MERGED", "ALL")
	direction, err2 := c.choice("direction", "INCOMING", "OUTGOING")
	order, err3 := c.choice("order", "NEWEST", "OLDEST")
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	at, text := c.query("at"), strings.ToLower(c.query("filterText"))
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	rows := c.s.index.pullsTo[r.ID]
	if direction == "OUTGOING" {
		rows = c.s.index.pullsFrom[r.ID]
	}
	if order == "OLDEST" {
		rows = slices.Clone(rows)
		slices.Reverse(rows)
	}
	return newest(c, rows, func(p *pull) bool {
		ref := p.To.Ref
		if direction == "OUTGOING" {
			ref = p.From.Ref
		}
		target := c.s.index.repoByID[p.Repo]
		return (state == "ALL" || p.State == state) && (at == "" || at == ref) && target != nil && c.s.repoLevel(c.who, target) >= read &&
			(strings.Contains(strings.ToLower(p.Title), text) || strings.Contains(strings.ToLower(p.Text), text))
	}, c.pullView)
}

func (c *call) pullView(p *pull) pullView { return c.s.pullView(p, true, c.s.restTime) }

// pull finds the pull request an address names.
func (c *call) pull(need level) (*repo, *pull, error) {
	r, err := c.repo(need)
	if err != nil {
		return nil, nil, err
	}
	id, err := strconv.Atoi(c.r.PathValue("pull"))
	if err != nil {
		return nil, nil, errPlain(http.StatusNotFound, "null for uri: "+c.s.base+c.r.URL.Path)
	}
	if p := c.s.findPull(r.ID, id); p != nil {
		return r, p, nil
	}
	return nil, nil, &apiError{http.StatusNotFound, "", "No pull request exists with ID " + strconv.Itoa(id) + " for this repository", "bitbucket.pull.NoSuchPullRequestException"}
}

func (c *call) getPull() (any, error) {
	_, p, err := c.pull(read)
	if err != nil {
		return nil, err
	}
	return c.viewPull(p), nil
}

func (c *call) viewPull(p *pull) pullView {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return c.pullView(p)
}

// commitPulls lists the pull requests whose own commits include a commit.
func (c *call) commitPulls() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	id, err := c.commitID(r, c.r.PathValue("id"), false)
	if err != nil {
		return nil, err
	}
	ctx := c.r.Context()
	out, err := c.s.git(ctx, r.ID, nil, "for-each-ref", "--contains="+id, "--format=%(refname)", "refs/pull-requests/")
	if err != nil {
		return nil, err
	}
	var rows []*pull
	for ref := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		number, ok := strings.CutSuffix(strings.TrimPrefix(ref, "refs/pull-requests/"), "/from")
		n, err := strconv.Atoi(number)
		p := c.s.findPull(r.ID, n)
		if !ok || err != nil || p == nil {
			continue
		}
		target := p.To.Hash
		if p.Merged != "" {
			target = p.Merged + "^1"
		}
		if _, err := c.s.git(ctx, r.ID, nil, "merge-base", "--is-ancestor", id, target); err != nil {
			rows = append(rows, p)
		}
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return plain(c, rows, c.pullView)
}

func (c *call) openPull() (any, error) {
	target, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	if c.who.user == nil {
		return nil, c.s.refusal(c.who)
	}
	type end struct {
		ID         string
		Repository *struct {
			Slug    string
			Project struct{ Key string }
		}
	}
	var body struct {
		Title, Description string
		FromRef, ToRef     end
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	spec := PullRequest{
		Repo: target.ID, Title: body.Title, Description: body.Description, By: c.who.user.Slug,
		From: strings.TrimPrefix(body.FromRef.ID, "refs/heads/"), To: strings.TrimPrefix(body.ToRef.ID, "refs/heads/"),
	}
	if from := body.FromRef.Repository; from != nil {
		c.s.mu.RLock()
		source, _ := c.s.findRepo(from.Project.Key, from.Slug)
		seen := source != nil && c.s.repoLevel(c.who, source) >= read
		c.s.mu.RUnlock()
		if !seen {
			return nil, errNoRepo(from.Project.Key, from.Slug)
		}
		spec.FromRepo = source.ID
	}
	switch {
	case spec.Title == "":
		return nil, errInvalid("title", "A title is required")
	case spec.From == "" || spec.To == "":
		return nil, errInvalid("fromRef", "Both refs are required")
	}
	made, err := c.s.OpenPullRequest(spec)
	if err != nil {
		return nil, &apiError{http.StatusNotFound, "", err.Error(), "bitbucket.commit.NoSuchCommitException"}
	}
	v := c.viewPull(c.s.findPull(made.Repo, made.ID))
	return reply{http.StatusCreated, v, http.Header{"Location": {v.Links.Self[0].Href}}}, nil
}

// mergeability says whether a merge would go through.
func (c *call) mergeability() (any, error) {
	_, p, err := c.pull(read)
	if err != nil {
		return nil, err
	}
	if p.State != "OPEN" {
		return nil, &apiError{http.StatusConflict, "", "This pull request has already been closed", "bitbucket.pull.IllegalPullRequestStateException"}
	}
	_, mergeErr := c.s.mergeCommit(p, c.s.adminUser())
	veto := c.s.veto(p)
	outcome := "CLEAN"
	if mergeErr != nil {
		outcome = "CONFLICTED"
	}
	return map[string]any{"canMerge": mergeErr == nil && veto == nil, "conflicted": mergeErr != nil, "outcome": outcome, "vetoes": vetoViews(veto)}, nil
}

func vetoViews(v *vetoed) []map[string]string {
	if v == nil {
		return []map[string]string{}
	}
	return []map[string]string{{"summaryMessage": v.summary, "detailedMessage": v.detail}}
}

func (c *call) mergePull() (any, error) {
	r, p, err := c.pull(write)
	if err != nil {
		return nil, err
	}
	if stale := c.outdated(p); stale != nil {
		return stale, nil
	}
	merged, err := c.s.merge(r, p.ID, c.who.user)
	var veto *vetoed
	switch {
	case errors.As(err, &veto):
		return pullConflict("bitbucket.pull.PullRequestMergeVetoedException", "A merge check vetoed the merge", map[string]any{
			"conflicted": false, "vetoed": true, "vetoes": vetoViews(veto),
		}), nil
	case errors.Is(err, errConflicted):
		return pullConflict("bitbucket.pull.PullRequestMergeVetoedException", "The pull request has conflicts", map[string]any{
			"conflicted": true, "vetoed": false, "vetoes": vetoViews(nil),
		}), nil
	case errors.Is(err, errNotOpen):
		return pullConflict("bitbucket.pull.IllegalPullRequestStateException", "This pull request has already been closed", nil), nil
	case err != nil:
		return nil, err
	}
	return c.viewPull(merged), nil
}

// outdated answers a request that names an old version of a pull request.
func (c *call) outdated(p *pull) any {
	said, err := strconv.Atoi(c.query("version"))
	if err == nil && said == p.Version {
		return nil
	}
	return pullConflict("bitbucket.pull.PullRequestOutOfDateException",
		"You are attempting to modify a pull request based on out-of-date information.",
		map[string]any{"currentVersion": p.Version, "expectedVersion": said})
}

// pullConflict is an error document with more than the usual keys.
func pullConflict(exception, message string, more map[string]any) reply {
	item := map[string]any{"context": nil, "message": message, "exceptionName": "com.atlassian." + exception}
	for k, v := range more {
		item[k] = v
	}
	return reply{status: http.StatusConflict, body: map[string]any{"errors": []any{item}}}
}

func (c *call) turn(from, to, event string) (any, error) {
	r, p, err := c.pull(read)
	if err != nil {
		return nil, err
	}
	if c.who.user == nil {
		return nil, c.s.refusal(c.who)
	}
	if stale := c.outdated(p); stale != nil {
		return stale, nil
	}
	if p, err = c.s.turnPull(r.ID, p.ID, c.who.user.Slug, from, to, event); err != nil {
		return pullConflict("bitbucket.pull.IllegalPullRequestStateException", err.Error(), nil), nil
	}
	return c.viewPull(p), nil
}
