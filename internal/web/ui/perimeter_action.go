package ui

import (
	"net/http"
	"net/url"
	"slices"

	"magpie"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

// setMonitored selects or deselects the chosen repositories and projects, or all that the filter of the page chooses.
func (s *server) setMonitored(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	monitored, note := r.PostForm.Get("monitored") == "yes", "unmonitored"
	if monitored {
		note = "monitored"
	}
	back := localPath(r.PostForm.Get("back"))
	ids, err := s.chosenRepos(r, back)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return &magpie.Error{Kind: magpie.KindInvalid, Message: "no repository was chosen", Hint: "go back and tick at least one"}
	}
	if err := s.opts.Perimeter.SetMonitored(r.Context(), userOf(r), ids, monitored); err != nil {
		return err
	}
	return s.done(w, r, pathURL(back), note)
}

// chosenRepos returns the repositories that were ticked, one by one or as a project. Of a project it is those that the
// page's filter chooses, as "all of this list" is.
func (s *server) chosenRepos(r *http.Request, back string) (ids []magpie.RepoID, err error) {
	u, err := url.Parse(back)
	if err != nil {
		return nil, err
	}
	filter := perimeterFilter(u.Query())
	err = s.opts.DB.Read(r.Context(), func(tx *store.Tx) error {
		ids = nil
		if r.PostForm.Get("scope") == "all" {
			ids, err = tx.ReposOfFilter(r.Context(), filter)
			return err
		}
		for _, id := range r.PostForm["repo"] {
			ids = append(ids, magpie.RepoID(id))
		}
		for _, project := range r.PostForm["project"] {
			filter.Project = magpie.ProjectID(project)
			of, err := tx.ReposOfFilter(r.Context(), filter)
			if err != nil {
				return err
			}
			ids = append(ids, of...)
		}
		return nil
	})
	slices.Sort(ids)
	return slices.Compact(ids), err
}

func (s *server) startHistory(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if _, err := s.opts.Perimeter.StartHistory(r.Context(), userOf(r), magpie.RepoID(r.PostForm.Get("scan"))); err != nil {
		return err
	}
	return s.done(w, r, pathURL(localPath(r.PostForm.Get("back"))), "scan")
}

// setProject stores the settings of one project.
func (s *server) setProject(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	settings := perimeter.ProjectSettings{Insights: switchOf(r.PostForm, "insights")}
	for _, choice := range projectDefaults {
		if choice.Value == r.PostForm.Get("auto_monitor") {
			settings.AutoMonitor = &choice.Default
		}
	}
	if err := s.opts.Perimeter.SetProject(r.Context(), userOf(r), magpie.ProjectID(r.PathValue("id")), settings); err != nil {
		return err
	}
	return s.done(w, r, pathURL(localPath(r.PostForm.Get("back"))), "project")
}
