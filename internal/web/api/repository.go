package api

import (
	"context"

	"magpie"
	"magpie/internal/access"
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
		summary: "Monitor repositories",
	},
		func(ctx context.Context, user magpie.User, in *reposInput) (nothing, error) {
			return nothing{}, s.Perimeter.SetMonitored(ctx, user, in.Body.IDs, true)
		})
	add(s, operation{
		id: "deselect-repositories", method: "POST", path: "/repositories/deselect", need: access.ManageIntegrations, tag: tag,
		summary: "Stop monitoring repositories",
	},
		func(ctx context.Context, user magpie.User, in *reposInput) (nothing, error) {
			return nothing{}, s.Perimeter.SetMonitored(ctx, user, in.Body.IDs, false)
		})
}

type projectsInput struct {
	Integration string `query:"integration" maxLength:"64" doc:"Only those of this integration."`
}

func (s *server) listProjects(ctx context.Context, _ magpie.User, in *projectsInput) (page[projectView], error) {
	all, err := store.Query(ctx, s.DB, func(tx *store.Tx) ([]store.PerimeterProject, error) {
		return tx.PerimeterProjects(ctx, magpie.IntegrationID(in.Integration))
	})
	return newPage(all, "", viewProject), err
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
	Integration string               `query:"integration" maxLength:"64"`
	Project     string               `query:"project" maxLength:"64" doc:"Id of a project."`
	State       store.PerimeterState `query:"state" enum:"monitored,unmonitored,trouble,pending,deleted"`
	Text        string               `query:"q" maxLength:"200" doc:"Part of a name."`
}

func (s *server) listRepositories(ctx context.Context, _ magpie.User, in *repositoriesInput) (page[repositoryView], error) {
	filter := store.PerimeterFilter{
		Integration: magpie.IntegrationID(in.Integration), Project: magpie.ProjectID(in.Project), State: in.State, Text: in.Text,
	}
	found, err := store.Query(ctx, s.DB, func(tx *store.Tx) (store.PerimeterPage, error) {
		return tx.PerimeterRepos(ctx, filter, in.Cursor, in.Limit)
	})
	return newPage(found.Repos, found.Next, viewListedRepo), err
}

type repositoryPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *server) getRepository(ctx context.Context, _ magpie.User, in *repositoryPath) (repositoryView, error) {
	repo, err := store.Query(ctx, s.DB, func(tx *store.Tx) (magpie.Repo, error) { return tx.Repo(ctx, magpie.RepoID(in.ID)) })
	return viewRepo(repo), err
}

type reposInput struct {
	Body struct {
		IDs []magpie.RepoID `json:"ids" minItems:"1" maxItems:"1000"`
	}
}
