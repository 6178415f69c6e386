package bitbucket

import (
	"encoding/json"
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

// UnmarshalJSON implements json.Unmarshaler.
func (t *instant) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		t.Time = time.UnixMilli(ms).UTC()
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05.000-0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return nil
}

type wireUser struct {
	Name string `json:"name"`
	Slug string `json:"slug"`
}

type wireProject struct {
	ID   int64  `json:"id"`
	Key  string `json:"key"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// project converts; a personal project's key keeps its "~".
func (p wireProject) project() magpie.Project {
	return magpie.Project{
		RemoteID: p.ID, Key: p.Key, Name: orElse(p.Name, p.Key),
		Personal: p.Type == "PERSONAL" || strings.HasPrefix(p.Key, "~"),
	}
}

type wireLink struct {
	Href string `json:"href"`
	Name string `json:"name"`
}

type wireLinks struct {
	Clone []wireLink `json:"clone"`
	Self  []wireLink `json:"self"`
}

// UnmarshalJSON implements json.Unmarshaler. Links are optional and differ between versions, so odd ones read as none.
func (l *wireLinks) UnmarshalJSON(data []byte) error {
	type plain wireLinks
	var p plain
	if json.Unmarshal(data, &p) == nil {
		*l = wireLinks(p)
	}
	return nil
}

type wireRepo struct {
	ID            int64       `json:"id"`
	Slug          string      `json:"slug"`
	Name          string      `json:"name"`
	State         string      `json:"state"`
	StatusMessage string      `json:"statusMessage"`
	Archived      bool        `json:"archived"`
	Project       wireProject `json:"project"`
	Links         wireLinks   `json:"links"`
}

// repoInfo converts a repository and the project in it.
func (c *Client) repoInfo(r wireRepo) RepoInfo {
	repo := magpie.Repo{
		RemoteID: r.ID, ProjectKey: r.Project.Key, Slug: r.Slug, Name: orElse(r.Name, r.Slug),
		CloneURL: c.cloneURL(r), BrowseURL: c.browseURL(r),
	}
	repo.State, repo.StateReason = repoState(r)
	return RepoInfo{Repo: repo, Project: r.Project.project()}
}

func repoState(r wireRepo) (magpie.RepoState, string) {
	switch {
	case r.State != "AVAILABLE" && r.State != "":
		status := orElse(oneLine(r.StatusMessage), strings.ToLower(oneLine(r.State)))
		return magpie.RepoUnavailable, "Bitbucket reports: " + status
	case r.Archived:
		return magpie.RepoArchived, "archived at Bitbucket"
	}
	return magpie.RepoAvailable, ""
}

// cloneURL picks the link for git over HTTP. It takes only one to the server we are connected to, since the token is sent
// there, and makes one up by Bitbucket's rule otherwise.
func (c *Client) cloneURL(r wireRepo) string {
	for _, link := range r.Links.Clone {
		if u, err := url.Parse(link.Href); err == nil && link.Name == "http" && c.ours(u) {
			u.User = nil // Bitbucket puts the user's name there
			return u.String()
		}
	}
	return c.base + "/scm/" + escapeSegment(strings.ToLower(r.Project.Key)) + "/" + url.PathEscape(r.Slug) + ".git"
}

// browseURL picks the repository's page, or makes it up.
func (c *Client) browseURL(r wireRepo) string {
	for _, link := range r.Links.Self {
		if u, err := url.Parse(link.Href); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			u.User = nil
			return u.String()
		}
	}
	return c.base + "/projects/" + escapeSegment(r.Project.Key) + "/repos/" + url.PathEscape(r.Slug) + "/browse"
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

// Activity is one ref changed by one push, as the server recorded it.
type Activity struct {
	ID      int64
	At      time.Time
	Actor   string
	Trigger string // "push" and others
	Change  magpie.RefChange
}

type wireActivity struct {
	ID          int64      `json:"id"`
	CreatedDate instant    `json:"createdDate"`
	User        wireUser   `json:"user"`
	Trigger     string     `json:"trigger"`
	RefChange   wireChange `json:"refChange"`
}

func (a wireActivity) activity() Activity {
	change, _ := a.RefChange.change() // a row that can't be read has no change
	return Activity{ID: a.ID, At: a.CreatedDate.Time, Actor: oneLine(a.User.Name), Trigger: a.Trigger, Change: change}
}

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
