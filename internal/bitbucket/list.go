package bitbucket

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"magpie"
)

const (
	pageLimit = 1000    // asked for; the server may give less
	maxPages  = 100_000 // of one list, in case a server never ends it
	maxListed = 1 << 20 // values of one list, likewise
	maxEmpty  = 50      // empty pages in a row, likewise
)

// page is one page of a list.
type page struct {
	Values        json.RawMessage `json:"values"`
	IsLastPage    truth           `json:"isLastPage"`
	NextPageStart number          `json:"nextPageStart"`
}

// list yields the values of a paged list, following the server's cursor, which need not be start plus size. An error ends
// it; so does a cursor that does not advance, as an error, since what follows would be missing.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for p, err := range pages[T](ctx, c, path, query, 0) {
			if err != nil {
				yield(zero, err)
				return
			}
			for _, v := range p.values {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// typedPage is a page and where the next one starts; 0 if it is the last.
type typedPage[T any] struct {
	values []T
	next   int64
}

// pages yields a list page by page from a cursor on, as list does value by value.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values, start int64) iter.Seq2[typedPage[T], error] {
	return func(yield func(typedPage[T], error) bool) {
		empty, listed := 0, 0
		for range maxPages {
			p, err := onePage[T](ctx, c, path, query, start)
			if err != nil {
				yield(p, err)
				return
			}
			if empty++; len(p.values) > 0 {
				empty = 0
			}
			listed += len(p.values)
			if p.next < 0 || p.next > 0 && p.next <= start || empty > maxEmpty || listed > maxListed {
				break // what there is of it is not handed out, lest it be taken for all
			}
			if !yield(p, nil) || p.next == 0 {
				return
			}
			start = p.next
		}
		yield(typedPage[T]{}, magpie.Errorf(magpie.KindUnavailable, "%s sent a list that does not end", c.base))
	}
}

// onePage asks for a page. Its next is -1 if the server did not say where a further page starts.
func onePage[T any](ctx context.Context, c *Client, path string, query url.Values, start int64) (typed typedPage[T], err error) {
	q := maps.Clone(query)
	if q == nil {
		q = url.Values{}
	}
	q.Set("start", strconv.FormatInt(start, 10))
	q.Set("limit", strconv.Itoa(pageLimit))
	var p page
	if _, err := c.call(ctx, http.MethodGet, path, q, nil, &p); err != nil {
		return typed, err
	}
	values, whole := elements(p.Values)
	if !whole && !isNull(p.Values) { // what there is of it is not handed out, lest it be taken for all
		return typed, notJSON(c.base, answer{}, errors.New("a page without a list of values, or with more than were asked for"))
	}
	for _, raw := range values {
		var v T
		err := json.Unmarshal(raw, &v)
		if thing, ok := any(v).(interface{ usable() bool }); err == nil && ok && !isNull(raw) && !thing.usable() {
			err = errors.New("an entry without a usable id") // to leave it out would be taken for its deletion
		}
		if err != nil {
			return typed, notJSON(c.base, answer{body: raw}, err)
		}
		if isNull(raw) {
			continue
		}
		typed.values = append(typed.values, v)
	}
	switch {
	case bool(p.IsLastPage):
	case p.NextPageStart <= 0:
		typed.next = -1
	default:
		typed.next = int64(p.NextPageStart)
	}
	return typed, nil
}

// convert maps a list's values.
func convert[T, U any](seq iter.Seq2[T, error], f func(T) U) iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		for v, err := range seq {
			var u U
			if err == nil {
				u = f(v)
			}
			if !yield(u, err) {
				return
			}
		}
	}
}

// Projects yields the projects that the token's user can see. Personal projects are not among them; they appear with
// the repositories in them, in Repos.
func (c *Client) Projects(ctx context.Context) iter.Seq2[magpie.Project, error] {
	return convert(list[wireProject](ctx, c, api+"/projects", nil), wireProject.project)
}

// AdminProjects yields the projects that the token's user administers.
func (c *Client) AdminProjects(ctx context.Context) iter.Seq2[magpie.Project, error] {
	query := url.Values{"permission": {"PROJECT_ADMIN"}}
	return convert(list[wireProject](ctx, c, api+"/projects", query), wireProject.project)
}

// RepoInfo is a repository together with the project it is in.
type RepoInfo struct {
	Repo    magpie.Repo
	Project magpie.Project
}

// Scope says which repositories a list shall hold.
type Scope string

// The scopes of a list.
const (
	ScopeVisible Scope = ""           // all that the token can see
	ScopeAdmin   Scope = "REPO_ADMIN" // those it may install webhooks on
)

// RepoPage is one page of a list of repositories.
type RepoPage struct {
	Repos []RepoInfo
	Next  int64 // where the next page starts, for RepoPages; 0 if this is the last
}

// RepoPages yields what AllRepos does page by page, from a cursor on that an earlier page had as its Next; 0 is the
// beginning. A cursor may be used later, to go on where somebody stopped; what was created or deleted meanwhile may then be
// missing or come twice.
func (c *Client) RepoPages(ctx context.Context, scope Scope, start int64) iter.Seq2[RepoPage, error] {
	return func(yield func(RepoPage, error) bool) {
		query := url.Values{}
		if scope != ScopeVisible {
			query.Set("permission", string(scope))
		}
		gate, err := c.since(ctx, archivedSince)
		if err != nil {
			yield(RepoPage{}, err)
			return
		}
		if gate {
			query.Set("archived", "ALL")
		}
		for p, err := range pages[wireRepo](ctx, c, api+"/repos", query, start) {
			page := RepoPage{Next: p.next}
			for _, r := range p.values {
				page.Repos = append(page.Repos, c.repoInfo(r))
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// AllRepos yields every repository of the instance within scope, archived and personal ones included.
func (c *Client) AllRepos(ctx context.Context, scope Scope) iter.Seq2[RepoInfo, error] {
	return func(yield func(RepoInfo, error) bool) {
		for p, err := range c.RepoPages(ctx, scope, 0) {
			if err != nil {
				yield(RepoInfo{}, err)
				return
			}
			for _, info := range p.Repos {
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// ProjectRepos yields the repositories of one project, archived ones included; key is "~slug" for a personal project.
// A project that does not exist is an error of KindNotFound, never an empty list.
func (c *Client) ProjectRepos(ctx context.Context, key string) iter.Seq2[RepoInfo, error] {
	return func(yield func(RepoInfo, error) bool) {
		seen := map[int64]bool{}
		pass := func(info RepoInfo, err error) bool {
			if err == nil && (seen[info.Repo.RemoteID] || !sameKey(info.Project.Key, key)) {
				return true
			}
			seen[info.Repo.RemoteID] = true
			return yield(info, err) && err == nil
		}
		for r, err := range list[wireRepo](ctx, c, projectPath(key, "/repos"), nil) {
			if !pass(c.repoInfo(r), err) {
				return
			}
		}
		// Whether that list holds archived repositories is not documented; the list of all can be asked for them.
		gate, err := c.since(ctx, archivedSince)
		if err != nil {
			yield(RepoInfo{}, err)
			return
		}
		if !gate {
			return
		}
		query := url.Values{"projectkey": {key}, "archived": {"ARCHIVED"}}
		for r, err := range list[wireRepo](ctx, c, api+"/repos", query) {
			if !pass(c.repoInfo(r), err) {
				return
			}
		}
	}
}

// Repo returns one repository. An old name may lead to a renamed one: compare RemoteID and take over the new names.
func (c *Client) Repo(ctx context.Context, key, slug string) (RepoInfo, error) {
	var r wireRepo
	if _, err := c.call(ctx, http.MethodGet, repoPath(key, slug, ""), nil, nil, &r); err != nil {
		return RepoInfo{}, err
	}
	if r.ID == 0 {
		return RepoInfo{}, notJSON(c.base, answer{}, errors.New("a repository without id"))
	}
	return c.repoInfo(r), nil
}

// DefaultBranch returns the full ref name of a repository's default branch, empty for an empty repository.
func (c *Client) DefaultBranch(ctx context.Context, key, slug string) (string, error) {
	var branch struct {
		ID text `json:"id"`
	}
	_, err := c.call(ctx, http.MethodGet, repoPath(key, slug, "/branches/default"), nil, nil, &branch)
	return string(branch.ID), err
}

// IsSysAdmin asks whether the user has the SYS_ADMIN global permission. No token can read the permissions themselves, so
// this asks a documented search instead, and its answer is advice: unknown is false together with an error.
func (c *Client) IsSysAdmin(ctx context.Context, username string) (bool, error) {
	query := url.Values{"filter": {username}, "permission": {"SYS_ADMIN"}}
	for user, err := range list[wireUser](ctx, c, api+"/users", query) {
		if err != nil {
			return false, err
		}
		if string(user.Name) == username {
			return true, nil
		}
	}
	return false, nil
}
