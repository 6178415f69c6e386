package bitbucketsim

import (
	"strings"
)

// The JSON forms of users, projects and repositories, in REST answers and, with the dialect's omissions, in webhooks.

type link struct {
	Href string `json:"href"`
	Name string `json:"name,omitempty"`
}

type links struct {
	Clone []link `json:"clone,omitempty"`
	Self  []link `json:"self,omitempty"`
}

type userView struct {
	Name         string  `json:"name"`
	EmailAddress *string `json:"emailAddress"`
	Active       bool    `json:"active"`
	DisplayName  string  `json:"displayName"`
	ID           int     `json:"id"`
	Slug         string  `json:"slug"`
	Type         string  `json:"type"`
	Links        *links  `json:"links,omitempty"`
}

type projectView struct {
	Key         string    `json:"key"`
	ID          int       `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Public      *bool     `json:"public,omitempty"`
	Type        string    `json:"type"`
	Owner       *userView `json:"owner,omitempty"`
	Links       *links    `json:"links,omitempty"`
}

type repoView struct {
	Slug          string       `json:"slug"`
	ID            int          `json:"id"`
	Name          string       `json:"name"`
	Description   string       `json:"description,omitempty"`
	HierarchyID   string       `json:"hierarchyId"`
	ScmID         string       `json:"scmId"`
	State         string       `json:"state"`
	StatusMessage string       `json:"statusMessage"`
	Forkable      bool         `json:"forkable"`
	Origin        *repoView    `json:"origin,omitempty"`
	Project       *projectView `json:"project"`
	Public        bool         `json:"public"`
	Archived      *bool        `json:"archived,omitempty"`
	Links         *links       `json:"links,omitempty"`
}

func self(href string) *links { return &links{Self: []link{{Href: href}}} }

func (s *Server) userView(u *user, withLinks bool) *userView {
	v := &userView{Name: u.Name, Active: !u.Inactive, DisplayName: u.DisplayName, ID: u.ID, Slug: u.Slug, Type: "NORMAL"}
	folder := "/users/"
	if u.Service {
		v.Type, folder = "SERVICE", "/bots/"
	}
	if u.Email != "" {
		email := u.Email
		v.EmailAddress = &email
	}
	if withLinks {
		v.Links = self(s.base + folder + u.Slug)
	}
	return v
}

func (s *Server) projectView(p *project, withLinks bool) *projectView {
	v := &projectView{Key: p.Key, ID: p.ID, Name: p.Name, Description: p.Description, Type: "NORMAL"}
	if p.OwnerID == 0 {
		public := p.Public
		v.Public = &public
	} else {
		v.Type = "PERSONAL"
		v.Owner = s.userView(s.index.userByID[p.OwnerID], withLinks)
	}
	if withLinks {
		v.Links = self(s.base + s.pagePath(p))
	}
	return v
}

// pagePath is where the user interface shows a project.
func (s *Server) pagePath(p *project) string {
	if p.OwnerID != 0 {
		return "/users/" + s.index.userByID[p.OwnerID].Slug
	}
	return "/projects/" + p.Key
}

func (s *Server) repoView(r *repo, withLinks bool) *repoView {
	p := s.index.projectByID[r.ProjectID]
	v := &repoView{
		Slug: r.Slug, ID: r.ID, Name: r.Name, Description: r.Description, HierarchyID: r.Hierarchy, ScmID: "git",
		State: r.State, StatusMessage: statusMessage(r.State), Forkable: true, Public: r.Public,
		Project: s.projectView(p, withLinks),
	}
	if s.ver.archived() {
		archived := r.Archived
		v.Archived = &archived
	}
	if o := s.index.repoByID[r.OriginID]; o != nil {
		v.Origin = s.repoView(o, withLinks)
		v.Origin.Origin = nil
	}
	if withLinks {
		v.Links = self(s.base + s.pagePath(p) + "/repos/" + r.Slug + "/browse")
		v.Links.Clone = s.cloneLinks(p, r)
	}
	return v
}

func statusMessage(state string) string {
	switch state {
	case "INITIALISING":
		return "Initialising"
	case "INITIALISATION_FAILED":
		return "Initialisation failed"
	case "OFFLINE":
		return "Offline"
	}
	return "Available"
}

// cloneLinks differ in order from one repository to the next, and the HTTP one may be missing.
func (s *Server) cloneLinks(p *project, r *repo) []link {
	path := scmPath(p, r)
	ssh := link{Href: "ssh://git@bitbucket.example.com:7999/" + path, Name: "ssh"}
	if r.NoHTTP || s.faults.httpHostingOff() {
		return []link{ssh}
	}
	http := link{Href: s.base + "/scm/" + path, Name: "http"}
	if r.ID%2 == 0 {
		return []link{ssh, http}
	}
	return []link{http, ssh}
}

func scmPath(p *project, r *repo) string { return strings.ToLower(p.Key) + "/" + r.Slug + ".git" }
