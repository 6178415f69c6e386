package bitbucketsim

import (
	"net/http"
	"time"
)

func (s *Server) routeProperties(mux *http.ServeMux) {
	s.api(mux, "GET /application-properties", (*call).properties)
	s.api(mux, "GET /users", (*call).listUsers)
	s.api(mux, "GET /users/{user}", (*call).getUser)
	mux.HandleFunc("GET /rest/capabilities", s.endpoint((*call).capabilities))
	s.rest(mux, "webhooks", "GET /capabilities", (*call).webhookCapabilities)
	mux.HandleFunc("GET /plugins/servlet/applinks/whoami", s.whoami)
}

type properties struct {
	Version     string `json:"version"`
	BuildNumber string `json:"buildNumber"`
	BuildDate   string `json:"buildDate"`
	DisplayName string `json:"displayName"`
}

// properties answers anybody; bad credentials show only in the missing X-AUSERNAME, unless the strict switch is on.
func (c *call) properties() (any, error) {
	if c.who.problem != nil && c.s.faults.strictProbe() {
		return nil, c.who.problem
	}
	return properties{c.s.ver.String(), c.s.ver.build(), "1718000000000", "Bitbucket"}, nil
}

func (s *Server) whoami(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
	if who := s.identify(r); who.user != nil {
		w.Header().Set("X-AUSERNAME", headerText(who.user.Name))
		w.Write([]byte(who.user.Name))
	}
}

func (c *call) capabilities() (any, error) {
	base := c.s.base + "/rest"
	return map[string]any{
		"application": "stash",
		"capabilities": map[string]string{
			"webhooks":      base + "/webhooks/latest/capabilities",
			"build":         base + "/api/latest/build/capabilities",
			"code-insights": base + "/insights/latest/capabilities",
		},
		"buildDate": time.UnixMilli(1718000000000).UTC().Format(time.RFC3339),
	}, nil
}

func (c *call) webhookCapabilities() (any, error) {
	keys := append([]string{"project:created", "repo:created", "repo:deleted", "repo:default_branch_modified"}, c.s.eventKeys()...)
	return map[string]any{"application-webhooks": keys}, nil
}
