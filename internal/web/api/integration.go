package api

import (
	"context"
	"net/http"
	"time"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

// integrations adds the operations about connections to Bitbucket.
func (s *server) integrations() {
	const tag = "integrations"
	add(s, operation{
		id: "list-integrations", method: "GET", path: "/integrations", need: access.ViewPerimeter, tag: tag,
		summary: "List the integrations",
	}, s.listIntegrations)
	add(s, operation{
		id: "connect-integration", method: "POST", path: "/integrations", need: access.ManageIntegrations, tag: tag,
		summary: "Connect a Bitbucket", status: http.StatusCreated,
	}, s.connect)
	add(s, operation{
		id: "get-integration", method: "GET", path: "/integrations/{id}", need: access.ViewPerimeter, tag: tag,
		summary: "Get an integration and how much of it is covered",
	}, s.getIntegration)
	add(s, operation{
		id: "update-integration", method: "PATCH", path: "/integrations/{id}", need: access.ManageIntegrations, tag: tag,
		summary: "Set the switches of an integration",
	}, s.updateIntegration)
	add(s, operation{
		id: "replace-token", method: "PUT", path: "/integrations/{id}/token", need: access.ManageIntegrations, tag: tag,
		summary: "Replace the access token of an integration",
	}, s.replaceToken)
	add(s, operation{
		id: "sync-integration", method: "POST", path: "/integrations/{id}/sync", need: access.ManageIntegrations, tag: tag,
		summary: "Read projects and repositories now", status: http.StatusAccepted,
	}, s.syncIntegration)
	add(s, operation{
		id: "remove-integration", method: "DELETE", path: "/integrations/{id}", need: access.ManageIntegrations, tag: tag,
		summary: "Take away the webhooks, then the integration", status: http.StatusAccepted,
	}, s.removeIntegration)
}

// IntegrationPath names an integration. It is exported because huma reads embedded parameters of exported types only.
type IntegrationPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (p IntegrationPath) id() magpie.IntegrationID { return magpie.IntegrationID(p.ID) }

func (s *server) listIntegrations(ctx context.Context, _ magpie.User, _ *struct{}) (page[integrationView], error) {
	all, err := store.Query(ctx, s.DB, func(tx *store.Tx) ([]magpie.Integration, error) { return tx.Integrations(ctx) })
	return newPage(all, "", viewIntegration), err
}

type connectInput struct {
	Body struct {
		Mode  magpie.Mode `json:"mode" enum:"instance,project"`
		URL   string      `json:"url" maxLength:"2048" example:"https://bitbucket.example.com"`
		Token secretText  `json:"token" doc:"HTTP access token of the Bitbucket."`
	}
}

func (s *server) connect(ctx context.Context, user magpie.User, in *connectInput) (integrationView, error) {
	i, err := s.Perimeter.Connect(ctx, user, perimeter.ConnectInput{Mode: in.Body.Mode, URL: in.Body.URL, Token: in.Body.Token.Secret})
	return viewIntegration(i), err
}

func (s *server) getIntegration(ctx context.Context, _ magpie.User, in *IntegrationPath) (integrationView, error) {
	return store.Query(ctx, s.DB, func(tx *store.Tx) (integrationView, error) {
		i, err := tx.Integration(ctx, in.id())
		if err != nil {
			return integrationView{}, err
		}
		coverage, err := tx.Coverage(ctx, i.ID)
		v := viewIntegration(i)
		v.Coverage = viewCoverage(coverage)
		return v, err
	})
}

type switchesInput struct {
	IntegrationPath
	Body struct {
		Autoscan    *bool `json:"autoscan,omitempty"`
		AutoMonitor *bool `json:"auto_monitor,omitempty"`
	}
}

func (s *server) updateIntegration(ctx context.Context, user magpie.User, in *switchesInput) (integrationView, error) {
	if err := s.Perimeter.SetSwitches(ctx, user, in.id(), in.Body.Autoscan, in.Body.AutoMonitor); err != nil {
		return integrationView{}, err
	}
	return s.getIntegration(ctx, user, &in.IntegrationPath)
}

type tokenInput struct {
	IntegrationPath
	Body struct {
		Token secretText `json:"token"`
	}
}

func (s *server) replaceToken(ctx context.Context, user magpie.User, in *tokenInput) (nothing, error) {
	return nothing{}, s.Perimeter.ReplaceToken(ctx, user, in.id(), in.Body.Token.Secret, time.Time{})
}

func (s *server) syncIntegration(ctx context.Context, user magpie.User, in *IntegrationPath) (nothing, error) {
	return nothing{}, s.Perimeter.SyncNow(ctx, user, in.id())
}

func (s *server) removeIntegration(ctx context.Context, user magpie.User, in *IntegrationPath) (nothing, error) {
	return nothing{}, s.Perimeter.Remove(ctx, user, in.id())
}
