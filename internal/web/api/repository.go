package api

import (
	"context"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

// repositories adds the operations about what is watched.
func (s *server) repositories() {
	const tag = "perimeter"
	add(s, operation{
		id: "list-projects", method: "GET", path: "/projects", need: access.ViewPerimeter, tag: tag,
		summary: "List the projects",
	}, s.listProjects)
	add(s, operation{
		id: "update-project", method: "PATCH", path: "/projects/{id}", need: access.ManageIntegrations, tag: tag,
		summary: "Set whether new repositories of a project are monitored, and whether leaks are reported to Code Insights",
	}, s.updateProject)
	add(s, operation{
		id: "install-project", method: "PUT", path: "/projects/{id}/installed", need: access.ManageIntegrations, tag: tag,
		summary: "Install or uninstall a project of an integration in project mode",
	}, s.installProject)
	add(s, operation{
		id: "list-repositories", method: "GET", path: "/repositories", need: access.ViewPerimeter, tag: tag,
		summary: "List the repositories",
	}, s.listRepositories)
	add(s, operation{
		id: "get-repository", method: "GET", path: "/repositories/{id}", need: access.ViewPerimeter, tag: tag,
		summary: "Get a repository",
	}, s.getRepository)
	add(s, operation{
		id: "select-repositories", method: "POST", path: "/repositories/select", need: access.ManageIntegrations, tag: tag,
		summary: "Monitor repositories, named one by one or by a filter",
	},
		func(ctx context.Context, user magpie.User, in *reposInput) (chosenView, error) {
			return s.setMonitored(ctx, user, in, true)
		})
	add(s, operation{
		id: "deselect-repositories", method: "POST", path: "/repositories/deselect", need: access.ManageIntegrations, tag: tag,
		summary: "Stop monitoring repositories, named one by one or by a filter",
	},
		func(ctx context.Context, user magpie.User, in *reposInput) (chosenView, error) {
			return s.setMonitored(ctx, user, in, false)
		})
}

type projectsInput struct {
	Integration string `query:"integration" maxLength:"64" doc:"Only those of this integration."`
}

func (s *server) listProjects(ctx context.Context, _ magpie.User, in *projectsInput) (page[projectView], error) {
	all, err := store.Query(ctx, s.DB, func(tx *store.Tx) ([]store.PerimeterProject, error) {
		return tx.PerimeterProjects(ctx, magpie.IntegrationID(in.Integration))
	})
	return newPage(all, "", s.viewProject), err
}

type projectInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		AutoMonitor *projectDefault `json:"auto_monitor,omitempty" enum:"inherit,on,off" doc:"Whether repositories that appear in it later are monitored; inherit: as the integration says."`
		Insights    *bool           `json:"insights,omitempty" doc:"Report leaks on the commits of open pull requests."`
	}
}

// projectDefault is a magpie.ProjectDefault by a name that says what its zero means.
type projectDefault string

const inherit projectDefault = "inherit"

func (d projectDefault) value() magpie.ProjectDefault {
	if d == inherit {
		return magpie.ProjectAsIntegration
	}
	return magpie.ProjectDefault(d)
}

func nameDefault(d magpie.ProjectDefault) projectDefault {
	if d == magpie.ProjectAsIntegration {
		return inherit
	}
	return projectDefault(d)
}

func (s *server) updateProject(ctx context.Context, user magpie.User, in *projectInput) (nothing, error) {
	settings := perimeter.ProjectSettings{Insights: in.Body.Insights}
	if in.Body.AutoMonitor != nil {
		value := in.Body.AutoMonitor.value()
		settings.AutoMonitor = &value
	}
	return nothing{}, s.Perimeter.SetProject(ctx, user, magpie.ProjectID(in.ID), settings)
}

type installInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Installed bool `json:"installed"`
	}
}

func (s *server) installProject(ctx context.Context, user magpie.User, in *installInput) (nothing, error) {
	project, err := store.Query(ctx, s.DB, func(tx *store.Tx) (magpie.Project, error) { return tx.Project(ctx, magpie.ProjectID(in.ID)) })
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Perimeter.InstallProject(ctx, user, project.IntegrationID, project.ID, in.Body.Installed)
}

type repositoriesInput struct {
	Paging
	PerimeterQuery
}

func (s *server) listRepositories(ctx context.Context, _ magpie.User, in *repositoriesInput) (page[repositoryView], error) {
	found, err := store.Query(ctx, s.DB, func(tx *store.Tx) (store.PerimeterPage, error) {
		return tx.PerimeterRepos(ctx, in.filter(), in.Cursor, in.Limit)
	})
	return newPage(found.Repos, found.Next, viewListedRepo), err
}

// RepositoryPath names a repository; exported as IntegrationPath is.
type RepositoryPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *server) getRepository(ctx context.Context, _ magpie.User, in *RepositoryPath) (repositoryView, error) {
	repo, err := store.Query(ctx, s.DB, func(tx *store.Tx) (magpie.Repo, error) { return tx.Repo(ctx, magpie.RepoID(in.ID)) })
	return viewRepo(repo), err
}

type reposInput struct {
	Body struct {
		IDs    []magpie.RepoID `json:"ids,omitempty" minItems:"1" maxItems:"1000" doc:"These repositories. Either this or filter."`
		Filter *chosenRepos    `json:"filter,omitempty" doc:"All repositories that this chooses."`
	}
}

// chosenRepos chooses repositories for a change of all of them.
type chosenRepos struct {
	Integration magpie.IntegrationID `json:"integration,omitempty" doc:"Id of an integration. This or project is needed."`
	Project     magpie.ProjectID     `json:"project,omitempty" doc:"Id of a project."`
	State       store.PerimeterState `json:"state,omitempty" enum:"monitored,unmonitored,trouble,pending,behind,never_scanned"`
	Hook        magpie.HookState     `json:"hook,omitempty" enum:"none,pending,installed,failed"`
	Text        string               `json:"q,omitempty" maxLength:"200" doc:"Part of a name."`
}

type chosenView struct {
	Repositories int `json:"repositories" doc:"How many were chosen."`
}

// setMonitored selects or deselects repositories named one by one or by a filter, which is taken as of now.
func (s *server) setMonitored(ctx context.Context, user magpie.User, in *reposInput, monitored bool) (chosenView, error) {
	ids, filter := in.Body.IDs, in.Body.Filter
	switch {
	case (len(ids) > 0) == (filter != nil):
		return chosenView{}, &magpie.Error{Kind: magpie.KindInvalid, Field: "ids", Message: "say either ids or a filter"}
	case filter != nil && filter.Integration == "" && filter.Project == "":
		return chosenView{}, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "filter", Message: "a filter needs an integration or a project", Hint: "to change everything, do it for each integration",
		}
	case filter != nil:
		var err error
		if ids, err = s.chosen(ctx, *filter, monitored); err != nil {
			return chosenView{}, err
		}
	}
	return chosenView{len(ids)}, s.Perimeter.SetMonitored(ctx, user, ids, monitored)
}

// chosen returns the repositories of a filter that the change would change.
func (s *server) chosen(ctx context.Context, c chosenRepos, monitored bool) ([]magpie.RepoID, error) {
	f := store.PerimeterFilter{Integration: c.Integration, Project: c.Project, State: c.State, Hook: c.Hook, Text: c.Text}
	if f.State == store.PerimeterAll && monitored {
		f.State = store.PerimeterUnmonitored
	} else if f.State == store.PerimeterAll {
		f.State = store.PerimeterMonitored
	}
	return store.Query(ctx, s.DB, func(tx *store.Tx) ([]magpie.RepoID, error) { return tx.ReposOfFilter(ctx, f) })
}
