package api

import (
	"context"
	"net/http"

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
		id: "check-connection", method: "POST", path: "/integrations/check", need: access.ManageIntegrations, tag: tag,
		summary: "Check whether a Bitbucket could be connected, and what a token can do there, without storing anything",
	}, s.checkConnection)
	add(s, operation{
		id: "get-integration", method: "GET", path: "/integrations/{id}", need: access.ViewPerimeter, tag: tag,
		summary: "Get an integration and how much of it is covered",
	}, s.getIntegration)
	add(s, operation{
		id: "update-integration", method: "PATCH", path: "/integrations/{id}", need: access.ManageIntegrations, tag: tag,
		summary: "Set the switches of an integration, and when its token expires",
	}, s.updateIntegration)
	add(s, operation{
		id: "replace-token", method: "PUT", path: "/integrations/{id}/token", need: access.ManageIntegrations, tag: tag,
		summary: "Replace the access token of an integration",
	}, s.replaceToken)
	add(s, operation{
		id: "compare-token", method: "POST", path: "/integrations/{id}/token/compare", need: access.ManageIntegrations, tag: tag,
		summary: "Tell whether an access token is the one that an integration has, without asking Bitbucket",
	}, s.compareToken)
	add(s, operation{
		id: "check-integration", method: "POST", path: "/integrations/{id}/check", need: access.ManageIntegrations, tag: tag,
		summary: "Check an integration as it stands: version, user, what its token can do",
	}, s.checkIntegration)
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
	return store.Query(ctx, s.DB, func(tx *store.Tx) (page[integrationView], error) {
		all, err := tx.Integrations(ctx)
		if err != nil {
			return page[integrationView]{}, err
		}
		p := page[integrationView]{Items: make([]integrationView, len(all))}
		for n, i := range all {
			if p.Items[n], err = describeIntegration(ctx, tx, i); err != nil {
				return p, err
			}
		}
		return p, nil
	})
}

// describeIntegration adds to an integration what its repositories and its sync tell.
func describeIntegration(ctx context.Context, tx *store.Tx, i magpie.Integration) (integrationView, error) {
	v := viewIntegration(i)
	coverage, err := tx.Coverage(ctx, i.ID)
	if err != nil {
		return v, err
	}
	v.Coverage = viewCoverage(coverage)
	wanted, err := tx.SyncWanted(ctx, i.ID)
	v.Syncing = wanted.After(i.SyncedAt)
	return v, err
}

// Connection is what a Bitbucket is connected with; exported as IntegrationPath is.
type Connection struct {
	Mode  magpie.Mode `json:"mode" enum:"instance,project"`
	URL   string      `json:"url" maxLength:"2048" example:"https://bitbucket.example.com"`
	Token secretText  `json:"token" doc:"HTTP access token of the Bitbucket."`
}

type connectInput struct {
	Body struct {
		Connection
		TokenExpiresAt optionalTime `json:"token_expires_at,omitempty" doc:"When the token expires, if you know; what Bitbucket tells goes before."`
		Autoscan       *bool        `json:"autoscan,omitempty" doc:"Scan the history of each repository added; without it, yes."`
		AutoMonitor    *bool        `json:"auto_monitor,omitempty" doc:"Monitor what is there and what appears later; without it, yes."`
	}
}

func (s *server) connect(ctx context.Context, user magpie.User, in *connectInput) (integrationView, error) {
	i, err := s.Perimeter.Connect(ctx, user, perimeter.ConnectInput{
		Mode: in.Body.Mode, URL: in.Body.URL, Token: in.Body.Token.Secret, TokenExpires: in.Body.TokenExpiresAt.at,
		Autoscan: in.Body.Autoscan, AutoMonitor: in.Body.AutoMonitor,
	})
	v := viewIntegration(i)
	v.Syncing = true
	return v, err
}

type checkInput struct{ Body Connection }

func (s *server) checkConnection(ctx context.Context, _ magpie.User, in *checkInput) (probeView, error) {
	probe, err := s.Perimeter.Check(ctx, in.Body.Mode, in.Body.URL, in.Body.Token.Secret)
	return viewProbe(probe), err
}

func (s *server) checkIntegration(ctx context.Context, _ magpie.User, in *IntegrationPath) (probeView, error) {
	probe, err := s.Perimeter.Recheck(ctx, in.id())
	return viewProbe(probe), err
}

func (s *server) getIntegration(ctx context.Context, _ magpie.User, in *IntegrationPath) (integrationView, error) {
	return store.Query(ctx, s.DB, func(tx *store.Tx) (integrationView, error) {
		i, err := tx.Integration(ctx, in.id())
		if err != nil {
			return integrationView{}, err
		}
		return describeIntegration(ctx, tx, i)
	})
}

type switchesInput struct {
	IntegrationPath
	Body struct {
		Autoscan       *bool        `json:"autoscan,omitempty" doc:"Scan the history of each repository added."`
		AutoMonitor    *bool        `json:"auto_monitor,omitempty" doc:"Monitor repositories that appear later."`
		TokenExpiresAt optionalTime `json:"token_expires_at,omitempty" doc:"When the token expires; null: never, or not known."`
	}
}

func (s *server) updateIntegration(ctx context.Context, user magpie.User, in *switchesInput) (integrationView, error) {
	if in.Body.Autoscan != nil || in.Body.AutoMonitor != nil {
		if err := s.Perimeter.SetSwitches(ctx, user, in.id(), in.Body.Autoscan, in.Body.AutoMonitor); err != nil {
			return integrationView{}, err
		}
	}
	if in.Body.TokenExpiresAt.said {
		if err := s.Perimeter.SetTokenExpiry(ctx, user, in.id(), in.Body.TokenExpiresAt.at); err != nil {
			return integrationView{}, err
		}
	}
	return s.getIntegration(ctx, user, &in.IntegrationPath)
}

type tokenInput struct {
	IntegrationPath
	Body struct {
		Token     secretText   `json:"token"`
		ExpiresAt optionalTime `json:"expires_at,omitempty" doc:"When it expires, if you know; what Bitbucket tells goes before."`
	}
}

func (s *server) replaceToken(ctx context.Context, user magpie.User, in *tokenInput) (nothing, error) {
	return nothing{}, s.Perimeter.ReplaceToken(ctx, user, in.id(), in.Body.Token.Secret, in.Body.ExpiresAt.at)
}

type compareInput struct {
	IntegrationPath
	Body struct {
		Token secretText `json:"token"`
	}
}

type comparedView struct {
	Same bool `json:"same" doc:"Whether it is the token that the integration has."`
}

func (s *server) compareToken(ctx context.Context, _ magpie.User, in *compareInput) (comparedView, error) {
	same, err := s.Perimeter.SameToken(ctx, in.id(), in.Body.Token.Secret)
	return comparedView{same}, err
}

func (s *server) syncIntegration(ctx context.Context, user magpie.User, in *IntegrationPath) (nothing, error) {
	return nothing{}, s.Perimeter.SyncNow(ctx, user, in.id())
}

func (s *server) removeIntegration(ctx context.Context, user magpie.User, in *IntegrationPath) (nothing, error) {
	return nothing{}, s.Perimeter.Remove(ctx, user, in.id())
}
