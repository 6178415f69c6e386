package bitbucket

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"magpie"
)

// instant is a time as Bitbucket writes it: milliseconds since 1970, as a number or as text, or ISO 8601 with or without a
// colon in the offset. Anything else reads as the zero time, since no decision of ours hangs on one.
type instant struct{ time.Time }

var instantLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05", "2006-01-02 15:04:05-0700",
}

// lastInstant is later than any time that is one; what is beyond it would overflow somewhere.
const lastInstant = 1 << 43 // milliseconds, in the year 2248

// UnmarshalJSON implements json.Unmarshaler.
func (t *instant) UnmarshalJSON(data []byte) error {
	t.Time = time.Time{}
	text := strings.TrimSpace(strings.Trim(string(data), `"`))
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		t.take(time.UnixMilli(min(max(ms, 0), lastInstant)))
		return nil
	}
	for _, layout := range instantLayouts { // all of them take fractions of a second too
		if at, err := time.Parse(layout, text); err == nil {
			t.take(at)
			return nil
		}
	}
	return nil
}

func (t *instant) take(at time.Time) {
	if ms := at.UnixMilli(); ms > 0 && ms < lastInstant {
		t.Time = at.UTC()
	}
}

type wireUser struct {
	Name text `json:"name"`
}

type wireProject struct {
	ID   number `json:"id"`
	Key  text   `json:"key"`
	Name text   `json:"name"`
	Type text   `json:"type"`
}

func (p wireProject) usable() bool { return p.ID > 0 }

// project converts; a personal project's key keeps its "~".
func (p wireProject) project() magpie.Project {
	return magpie.Project{
		RemoteID: int64(p.ID), Key: string(p.Key), Name: string(orElse(p.Name, p.Key)),
		Personal: p.Type == "PERSONAL" || strings.HasPrefix(string(p.Key), "~"),
	}
}

type wireLink struct {
	Href text `json:"href"`
	Name text `json:"name"`
}

type wireLinks struct {
	Clone many[wireLink] `json:"clone"`
	Self  many[wireLink] `json:"self"`
}

type wireRepo struct {
	ID            number            `json:"id"`
	Slug          text              `json:"slug"`
	Name          text              `json:"name"`
	State         text              `json:"state"`
	StatusMessage text              `json:"statusMessage"`
	Archived      truth             `json:"archived"`
	Project       part[wireProject] `json:"project"`
	Links         part[wireLinks]   `json:"links"`
}

func (r wireRepo) usable() bool { return r.ID > 0 }

// repoInfo converts a repository and the project in it.
func (c *Client) repoInfo(r wireRepo) RepoInfo {
	repo := magpie.Repo{
		RemoteID: int64(r.ID), ProjectKey: string(r.Project.It.Key), Slug: string(r.Slug), Name: string(orElse(r.Name, r.Slug)),
		CloneURL: c.cloneURL(r), BrowseURL: c.browseURL(r),
	}
	repo.State, repo.StateReason = repoState(r)
	return RepoInfo{Repo: repo, Project: r.Project.It.project()}
}

func repoState(r wireRepo) (magpie.RepoState, string) {
	switch {
	case r.State != "AVAILABLE" && r.State != "":
		status := orElse(oneLine(string(r.StatusMessage)), strings.ToLower(oneLine(string(r.State))))
		return magpie.RepoUnavailable, "Bitbucket reports: " + status
	case httpOff(r):
		return magpie.RepoUnavailable, "HTTP(S) hosting is off, so Git can't be read with a token: switch it on in Bitbucket's server settings"
	case bool(r.Archived):
		return magpie.RepoArchived, "archived at Bitbucket"
	}
	return magpie.RepoAvailable, ""
}

// httpOff reports whether a repository can be cloned, but not over HTTP. Without any link nothing is known.
func httpOff(r wireRepo) bool {
	for _, link := range r.Links.It.Clone {
		if link.Name == "http" {
			return false
		}
	}
	return len(r.Links.It.Clone) > 0
}

// cloneURL picks the link for git over HTTP. It takes only one to the server we are connected to, since the token is sent
// there, and makes one up by Bitbucket's rule otherwise.
func (c *Client) cloneURL(r wireRepo) string {
	for _, link := range r.Links.It.Clone {
		if u, err := url.Parse(string(link.Href)); err == nil && link.Name == "http" && c.ours(u) {
			u.User = nil // Bitbucket puts the user's name there
			return u.String()
		}
	}
	return c.base + "/scm/" + escapeSegment(strings.ToLower(string(r.Project.It.Key))) + "/" + url.PathEscape(string(r.Slug)) + ".git"
}

// browseURL picks the repository's page, or makes it up.
func (c *Client) browseURL(r wireRepo) string {
	for _, link := range r.Links.It.Self {
		if u, err := url.Parse(string(link.Href)); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			u.User = nil
			return u.String()
		}
	}
	return c.base + "/projects/" + escapeSegment(string(r.Project.It.Key)) + "/repos/" + url.PathEscape(string(r.Slug)) + "/browse"
}

// ours reports whether u leads to the server this client is connected to.
func (c *Client) ours(u *url.URL) bool {
	base, err := url.Parse(c.base)
	return err == nil && u.Scheme == base.Scheme && hostPort(u) == hostPort(base)
}

func hostPort(u *url.URL) string {
	if u.Port() == "" {
		return strings.ToLower(u.Hostname()) + ":443"
	}
	return strings.ToLower(u.Hostname()) + ":" + u.Port()
}

func escapeSegment(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%7E", "~") }

// sameKey compares project keys, which ignore case.
func sameKey(a, b string) bool { return strings.EqualFold(a, b) }

// LineURL returns the address of a line in a file as of a commit, on the repository's pages at browseURL
// (magpie.Repo.BrowseURL). Without commit it leads to the default branch, without line (0) to the file. A path that a
// browser would take for a way out of the repository, which only a forged tree can hold, leads to the repository itself.
func LineURL(browseURL, path string, commit magpie.Hash, line int) string {
	target := strings.TrimSuffix(browseURL, "/")
	segments := strings.Split(path, "/")
	if slices.Contains(segments, "..") || slices.Contains(segments, ".") {
		segments, line = nil, 0
	}
	for _, s := range segments {
		target += "/" + url.PathEscape(s)
	}
	if commit != "" {
		target += "?at=" + url.QueryEscape(string(commit))
	}
	if line > 0 {
		target += "#" + strconv.Itoa(line)
	}
	return target
}
