package bitbucket

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"magpie"
)

// PullRequest is a pull request as the server lists it.
type PullRequest struct {
	ID   int64
	Open bool
	From PullRequestEnd // where the changes come from
	To   PullRequestEnd // where they are to be merged
}

// PullRequestEnd is one side of a pull request.
type PullRequestEnd struct {
	Ref          string // full name
	Commit       magpie.Hash
	RemoteRepoID int64
	ProjectKey   string
	Slug         string
}

type wirePullRequest struct {
	ID      number  `json:"id"`
	State   text    `json:"state"`
	FromRef wireEnd `json:"fromRef"`
	ToRef   wireEnd `json:"toRef"`
}

type wireEnd struct {
	ID           text     `json:"id"`
	LatestCommit text     `json:"latestCommit"`
	Repository   wireRepo `json:"repository"`
}

func (e wireEnd) end() PullRequestEnd {
	return PullRequestEnd{
		Ref: string(e.ID), Commit: magpie.Hash(e.LatestCommit), RemoteRepoID: int64(e.Repository.ID),
		ProjectKey: string(e.Repository.Project.It.Key), Slug: string(e.Repository.Slug),
	}
}

func (p wirePullRequest) pullRequest() PullRequest {
	return PullRequest{ID: int64(p.ID), Open: p.State == "OPEN", From: p.FromRef.end(), To: p.ToRef.end()}
}

// OpenPullRequestsFrom yields the open pull requests whose source is a repository's branch, given by its full name, also
// those into another repository, as from a fork. An empty ref means all branches.
func (c *Client) OpenPullRequestsFrom(ctx context.Context, key, slug, ref string) iter.Seq2[PullRequest, error] {
	return c.pullRequests(ctx, key, slug, ref, "OUTGOING")
}

// OpenPullRequestsTo yields the open pull requests into a repository, also those from its forks.
func (c *Client) OpenPullRequestsTo(ctx context.Context, key, slug string) iter.Seq2[PullRequest, error] {
	return c.pullRequests(ctx, key, slug, "", "INCOMING")
}

func (c *Client) pullRequests(ctx context.Context, key, slug, ref, direction string) iter.Seq2[PullRequest, error] {
	query := url.Values{
		"state": {"OPEN"}, "direction": {direction}, "order": {"OLDEST"}, "withAttributes": {"false"}, "withProperties": {"false"},
	}
	if ref != "" {
		query.Set("at", ref)
	}
	return convert(list[wirePullRequest](ctx, c, repoPath(key, slug, "/pull-requests"), query), wirePullRequest.pullRequest)
}

// PullRequest returns one pull request into a repository.
func (c *Client) PullRequest(ctx context.Context, key, slug string, id int64) (PullRequest, error) {
	var p wirePullRequest
	_, err := c.call(ctx, http.MethodGet, pullPath(key, slug, id, ""), nil, nil, &p)
	return p.pullRequest(), err
}

// FileChange is what a pull request does to one file that is there afterwards.
type FileChange struct {
	Path   string
	Source string      // its path before, if that was another one
	Blob   magpie.Hash // its content afterwards
	Before magpie.Hash // its content before; zero if it is new
}

// Changes is what a pull request does to files.
type Changes struct {
	Base      magpie.Hash  // the commit compared with; zero if the server does not say
	Files     []FileChange // without deleted files and submodules
	Truncated bool         // there are more, which the server does not list
}

// maxFileChanges is asked for; the server may give less. It gives one page only.
const maxFileChanges = 1000

type wireFileChange struct {
	ContentID     magpie.Hash `json:"contentId"`
	FromContentID magpie.Hash `json:"fromContentId"`
	Path          wirePath    `json:"path"`
	SrcPath       *wirePath   `json:"srcPath"`
	Type          string      `json:"type"`
	NodeType      string      `json:"nodeType"`
}

type wirePath struct {
	Components []string `json:"components"`
	ToString   string   `json:"toString"`
}

func (p *wirePath) text() string {
	switch {
	case p == nil:
		return ""
	case p.ToString != "":
		return p.ToString
	}
	return strings.Join(p.Components, "/")
}

// PullRequestChanges returns the files in which a pull request's source differs from where it left its target.
func (c *Client) PullRequestChanges(ctx context.Context, key, slug string, id int64) (Changes, error) {
	var body struct {
		FromHash   magpie.Hash      `json:"fromHash"`
		IsLastPage bool             `json:"isLastPage"`
		Values     []wireFileChange `json:"values"`
	}
	query := url.Values{"limit": {strconv.Itoa(maxFileChanges)}, "withComments": {"false"}}
	if _, err := c.call(ctx, http.MethodGet, pullPath(key, slug, id, "/changes"), query, nil, &body); err != nil {
		return Changes{}, err
	}
	changes := Changes{Base: body.FromHash, Truncated: !body.IsLastPage}
	for _, v := range body.Values {
		if v.Type == "DELETE" || v.NodeType == "SUBMODULE" || v.ContentID.IsZero() {
			continue
		}
		f := FileChange{Path: v.Path.text(), Source: v.SrcPath.text(), Blob: v.ContentID, Before: v.FromContentID}
		if v.Type == "ADD" || f.Before.IsZero() {
			f.Before = ""
		}
		changes.Files = append(changes.Files, f)
	}
	return changes, nil
}

// MergeBase returns the commit where a pull request's source left its target, zero if they have nothing in common.
func (c *Client) MergeBase(ctx context.Context, key, slug string, id int64) (magpie.Hash, error) {
	var body struct {
		ID magpie.Hash `json:"id"`
	}
	_, err := c.call(ctx, http.MethodGet, pullPath(key, slug, id, "/merge-base"), nil, nil, &body)
	return body.ID, err
}

// File returns the content of a file as of a commit.
func (c *Client) File(ctx context.Context, key, slug, path string, commit magpie.Hash) ([]byte, error) {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	query := url.Values{"at": {string(commit)}}
	ans, err := c.call(ctx, http.MethodGet, repoPath(key, slug, "/raw/"+strings.Join(segments, "/")), query, nil, nil)
	return ans.body, err
}

func pullPath(key, slug string, id int64, rest string) string {
	return repoPath(key, slug, "/pull-requests/"+strconv.FormatInt(id, 10)+rest)
}
