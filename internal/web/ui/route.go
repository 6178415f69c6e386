package ui

import (
	"fmt"
	"net/http"

	"magpie/internal/access"
)

// handler is an HTTP handler that returns its error to the one adapter.
type handler func(http.ResponseWriter, *http.Request) error

// Whoever may call a route that needs no particular permission.
const (
	// public is for everybody, signed in or not.
	public access.Permission = "public"
	// signedIn is for everybody with an account.
	signedIn access.Permission = "signed in"
)

// route is one way into the application. A zero Permission does not start.
type route struct {
	Method     string
	Path       string // a pattern of http.ServeMux
	Permission access.Permission
	Handler    handler
}

// routes is the list of everything the application answers.
func (s *server) routes() []route {
	return []route{
		{"GET", "/static/{file}", public, serveStatic},
		{"POST", "/theme", public, s.setTheme},
		{"GET", "/setup", public, s.serveSetup},
		{"POST", "/setup", public, s.setUp},
		{"GET", "/login", public, s.serveLogin},
		{"POST", "/login", public, s.login},
		{"POST", "/logout", public, s.logout},

		{"GET", "/{$}", access.ViewIncidents, s.serveOverview},

		{"GET", "/incidents", access.ViewIncidents, s.serveIncidentList},
		{"GET", "/incidents/{number}", access.ViewIncidents, s.serveIncident},
		{"POST", "/incidents/{number}/assign", access.HandleIncidents, s.assignIncident},
		{"POST", "/incidents/{number}/resolve", access.HandleIncidents, s.resolveIncident},
		{"POST", "/incidents/{number}/ignore", access.HandleIncidents, s.ignoreIncident},
		{"POST", "/incidents/{number}/reopen", access.HandleIncidents, s.reopenIncident},
		{"POST", "/incidents/{number}/severity", access.HandleIncidents, s.setSeverity},
		{"POST", "/incidents/{number}/check", access.HandleIncidents, s.checkSecret},
		{"POST", "/incidents/{number}/reveal", access.RevealSecrets, s.revealSecret},

		{"GET", "/perimeter", access.ViewPerimeter, s.servePerimeter},
		{"POST", "/perimeter/monitor", access.ManageIntegrations, s.setMonitored},
		{"POST", "/perimeter/scan", access.StartScans, s.startHistory},
		{"POST", "/perimeter/projects/{id}", access.ManageIntegrations, s.setProject},

		{"GET", "/coverage", access.ViewPerimeter, s.serveCoverage},
		{"GET", "/coverage/{id}", access.ViewPerimeter, s.serveCoverageRepo},
		{"GET", "/coverage.csv", access.ViewPerimeter, s.serveCoverageCSV},
		{"POST", "/coverage/compare", access.ManageIntegrations, s.compareAll},

		{"GET", "/scans", access.ViewPerimeter, s.serveScanList},
		{"POST", "/scans/{id}/cancel", access.StartScans, s.cancelScan},
		{"POST", "/scans/{id}/repeat", access.StartScans, s.repeatScan},

		{"GET", "/settings", access.ViewSettings, s.serveWorkspace},
		{"GET", "/settings/integrations", access.ViewSettings, s.serveIntegrations},
		{"GET", "/settings/integrations/bitbucket", access.ViewSettings, s.serveBitbucket},
		{"GET", "/settings/integrations/bitbucket/new", access.ManageIntegrations, s.serveConnect},
		{"POST", "/settings/integrations/bitbucket/new", access.ManageIntegrations, s.connect},
		{"GET", "/settings/integrations/bitbucket/{id}/projects", access.ManageIntegrations, s.serveProjects},
		{"POST", "/settings/integrations/bitbucket/{id}/projects", access.ManageIntegrations, s.installProject},
		{"POST", "/settings/integrations/bitbucket/{id}/sync", access.ManageIntegrations, s.syncNow},
		{"POST", "/settings/integrations/bitbucket/{id}/switches", access.ManageIntegrations, s.setSwitches},
		{"POST", "/settings/integrations/bitbucket/{id}/token", access.ManageIntegrations, s.replaceToken},
		{"POST", "/settings/integrations/bitbucket/{id}/expiry", access.ManageIntegrations, s.setExpiry},
		{"POST", "/settings/integrations/bitbucket/{id}/check", access.ManageIntegrations, s.checkIntegration},
		{"POST", "/settings/integrations/bitbucket/{id}/remove", access.ManageIntegrations, s.removeIntegration},

		{"GET", "/settings/members", access.ManageUsers, s.serveMembers},
		{"POST", "/settings/members", access.ManageUsers, s.addMember},
		{"POST", "/settings/members/{id}/role", access.ManageUsers, s.setRole},
		{"POST", "/settings/members/{id}/disabled", access.ManageUsers, s.setDisabled},
		{"POST", "/settings/members/{id}/password", access.ManageUsers, s.resetPassword},

		{"GET", "/settings/tokens", access.ManageOwnTokens, s.serveTokens},
		{"POST", "/settings/tokens", access.ManageOwnTokens, s.createToken},
		{"POST", "/settings/tokens/{id}/revoke", access.ManageOwnTokens, s.revokeToken},

		{"GET", "/settings/audit", access.ViewAudit, s.serveAudit},

		{"GET", "/account", signedIn, s.serveAccount},
		{"POST", "/account/password", signedIn, s.changePassword},
	}
}

// guard puts the check of a route's permission before its handler.
func (s *server) guard(r route) (http.Handler, error) {
	switch r.Permission {
	case "":
		return nil, fmt.Errorf("the route %s %s names no permission", r.Method, r.Path)
	case public:
		return s.adapt(r.Handler), nil
	}
	return s.adapt(func(w http.ResponseWriter, req *http.Request) error {
		user, err := s.authenticate(req)
		if err != nil {
			return s.askToSignIn(w, req, err)
		}
		req = withUser(req, user)
		if r.Permission != signedIn {
			if err := access.Require(user, r.Permission); err != nil {
				return err
			}
		}
		return r.Handler(w, req)
	}), nil
}
