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
	pageLimit = 500     // asked for; the server may give less
	maxPages  = 100_000 // of one list, in case a server never ends it
	maxEmpty  = 50      // empty pages in a row, likewise
)

// page is one page of a list.
type page struct {
	Values        []json.RawMessage `json:"values"`
	IsLastPage    bool              `json:"isLastPage"`
	NextPageStart *int64            `json:"nextPageStart"`
}

// list yields the values of a paged list, following the server's cursor, which need not be start plus size. An error ends
// it; so does a cursor that does not advance, as an error, since what follows would be missing.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		start, empty := int64(0), 0
		for range maxPages {
			q := maps.Clone(query)
			if q == nil {
				q = url.Values{}
			}
			q.Set("start", strconv.FormatInt(start, 10))
			q.Set("limit", strconv.Itoa(pageLimit))
			var p page
			if _, err := c.call(ctx, http.MethodGet, path, q, nil, &p); err != nil {
				yield(zero, err)
				return
			}
			for _, raw := range p.Values {
				var v T
				if err := json.Unmarshal(raw, &v); err != nil {
					yield(zero, notJSON(c.base, answer{body: raw}, err))
					return
				}
				if !yield(v, nil) {
					return
				}
			}
			if p.IsLastPage {
				return
			}
			if empty++; len(p.Values) > 0 {
				empty = 0
			}
			if p.NextPageStart == nil || *p.NextPageStart <= start || empty > maxEmpty {
				break
			}
			start = *p.NextPageStart
		}
		yield(zero, magpie.Errorf(magpie.KindUnavailable, "%s sent a list that does not end", c.base))
	}
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

// AllRepos yields every repository of the instance within scope, archived and personal ones included.
func (c *Client) AllRepos(ctx context.Context, scope Scope) iter.Seq2[RepoInfo, error] {
	return func(yield func(RepoInfo, error) bool) {
		query := url.Values{}
		if scope != ScopeVisible {
			query.Set("permission", string(scope))
		}
		gate, err := c.since(ctx, archivedSince)
		if err != nil {
			yield(RepoInfo{}, err)
			return
		}
		if gate {
			query.Set("archived", "ALL")
		}
		convert(list[wireRepo](ctx, c, api+"/repos", query), c.repoInfo)(yield)
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
		ID string `json:"id"`
	}
	_, err := c.call(ctx, http.MethodGet, repoPath(key, slug, "/branches/default"), nil, nil, &branch)
	return branch.ID, err
}

// IsSysAdmin asks whether the user has the SYS_ADMIN global permission. No token can read the permissions themselves, so
// this asks a documented search instead, and its answer is advice: unknown is false together with an error.
func (c *Client) IsSysAdmin(ctx context.Context, username string) (bool, error) {
	query := url.Values{"filter": {username}, "permission": {"SYS_ADMIN"}}
	for user, err := range list[wireUser](ctx, c, api+"/users", query) {
		if err != nil {
			return false, err
		}
		if user.Name == username {
			return true, nil
		}
	}
	return false, nil
}

// RefChangeActivities yields what pushes did to a repository's refs, newest first: the record that lost webhooks can be
// made good from. The token needs to administer the repository.
func (c *Client) RefChangeActivities(ctx context.Context, key, slug string) iter.Seq2[Activity, error] {
	seq := list[wireActivity](ctx, c, repoPath(key, slug, "/ref-change-activities"), nil)
	return convert(seq, wireActivity.activity)
}
