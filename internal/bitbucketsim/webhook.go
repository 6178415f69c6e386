package bitbucketsim

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scope is what a webhook is attached to: a repository, or a project with all its repositories, by id.
type scope struct {
	Kind string // "repository" or "project"
	ID   int
}

type webhook struct {
	ID       int
	Scope    scope
	Name     string
	URL      string
	Events   []string
	Secret   string
	Active   bool
	Verify   bool // check the target's certificate
	Username string
	Password string
	Created  time.Time
	Updated  time.Time
}

// Webhook is a webhook as the control methods show it.
type Webhook struct {
	ID        int
	Repo      int // repository id, or 0
	Project   int // project id, or 0
	Name      string
	URL       string
	Events    []string
	Active    bool
	HasSecret bool
}

// Webhooks returns all webhooks of the instance in order of id.
func (s *Server) Webhooks() []Webhook {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Webhook, 0, len(s.st.Hooks))
	for _, h := range s.st.Hooks {
		v := Webhook{ID: h.ID, Name: h.Name, URL: h.URL, Events: slices.Clone(h.Events), Active: h.Active, HasSecret: h.Secret != ""}
		if h.Scope.Kind == "project" {
			v.Project = h.Scope.ID
		} else {
			v.Repo = h.Scope.ID
		}
		all = append(all, v)
	}
	return all
}

// webhookView is the object on the wire.
type webhookView struct {
	ID            int               `json:"id"`
	Name          string            `json:"name"`
	CreatedDate   int64             `json:"createdDate"`
	UpdatedDate   int64             `json:"updatedDate"`
	Events        []string          `json:"events"`
	Configuration map[string]string `json:"configuration"`
	Credentials   *credentials      `json:"credentials,omitempty"`
	URL           string            `json:"url"`
	Active        bool              `json:"active"`
	Scope         string            `json:"scopeType,omitempty"`
	Verify        *bool             `json:"sslVerificationRequired,omitempty"`
	Statistics    *statistics       `json:"statistics,omitempty"`
}

type credentials struct {
	Username string `json:"username"`
	Password string `json:"password,omitempty"`
}

// webhookBody is what a client sends.
type webhookBody struct {
	Name          string
	URL           string
	Events        []string
	Active        *bool
	Configuration struct{ Secret *string }
	Verify        *bool `json:"sslVerificationRequired"`
	Credentials   *credentials
}

func (s *Server) webhookView(h *webhook, stats bool) webhookView {
	v := webhookView{
		ID: h.ID, Name: h.Name, CreatedDate: millis(h.Created), UpdatedDate: millis(h.Updated), Events: h.Events,
		Configuration: map[string]string{}, URL: h.URL, Active: h.Active,
	}
	if s.ver.webhookScope() {
		v.Scope, v.Verify = h.Scope.Kind, &h.Verify
		if h.Username != "" {
			v.Credentials = &credentials{Username: h.Username}
		}
	}
	echo := s.faults.secretEcho()
	if clear := echo == SecretClear || echo == SecretByVersion && !s.ver.maskedSecret(); clear && h.Secret != "" {
		v.Configuration["secret"] = h.Secret
	} else if !clear {
		v.Configuration["createdBy"] = "bitbucket"
	}
	if stats {
		v.Statistics = s.hooks.statistics(h.ID, "")
	}
	return v
}

// eventKeys are the events a webhook may subscribe to.
func (s *Server) eventKeys() []string {
	keys := []string{
		"repo:refs_changed", "repo:modified", "repo:forked", "repo:comment:added", "repo:comment:edited", "repo:comment:deleted",
		"pr:opened", "pr:merged", "pr:declined", "pr:deleted", "pr:comment:added", "pr:comment:edited",
		"pr:comment:deleted", "pr:reviewer:approved", "pr:reviewer:unapproved", "pr:reviewer:needs_work",
	}
	if s.ver.atLeast(5, 10) {
		keys = append(keys, "pr:modified", "pr:reviewer:updated")
	}
	if s.ver.atLeast(6, 5) {
		keys = append(keys, "mirror:repo_synchronized")
	}
	if s.ver.atLeast(7, 0) {
		keys = append(keys, "pr:from_ref_updated")
	}
	if s.ver.projectWebhooks() {
		keys = append(keys, "repo:secret_detected", "project:modified")
	}
	return keys
}

func (s *Server) routeWebhooks(mux *http.ServeMux) {
	for _, base := range []string{"/projects/{key}/repos/{slug}/webhooks", "/projects/{key}/webhooks"} {
		s.api(mux, "GET "+base, (*call).listWebhooks)
		s.api(mux, "POST "+base, (*call).createWebhook)
		s.api(mux, "POST "+base+"/test", (*call).testWebhook)
		s.api(mux, "GET "+base+"/{id}", hooked((*call).getWebhook))
		s.api(mux, "PUT "+base+"/{id}", hooked((*call).replaceWebhook))
		s.api(mux, "DELETE "+base+"/{id}", hooked((*call).deleteWebhook))
		s.api(mux, "GET "+base+"/{id}/latest", hooked((*call).latestInvocation))
		s.api(mux, "GET "+base+"/{id}/statistics", hooked((*call).webhookStatistics))
		s.api(mux, "GET "+base+"/{id}/statistics/summary", hooked((*call).webhookStatistics))
	}
	s.api(mux, "GET /projects/{key}/repos/{slug}/webhooks/search", (*call).searchWebhooks)
}

// hookScope checks that the caller administers what the address names.
func (c *call) hookScope() (scope, error) {
	if c.r.PathValue("slug") == "" {
		if !c.s.ver.projectWebhooks() {
			return scope{}, errPlain(http.StatusNotFound, "null for uri: "+c.s.base+c.r.URL.Path)
		}
		p, err := c.project(admin)
		if err != nil {
			return scope{}, err
		}
		return scope{"project", p.ID}, nil
	}
	r, err := c.repo(admin)
	if err != nil {
		return scope{}, err
	}
	return scope{"repository", r.ID}, nil
}

// hooked finds the webhook an address names for an endpoint.
func hooked(e func(*call, *webhook) (any, error)) endpoint {
	return func(c *call) (any, error) {
		at, err := c.hookScope()
		if err != nil {
			return nil, err
		}
		id, err := strconv.Atoi(c.r.PathValue("id"))
		if err != nil {
			return nil, errPlain(http.StatusNotFound, "null for uri: "+c.s.base+c.r.URL.Path)
		}
		if h := c.s.hookByID(at, id); h != nil {
			return e(c, h)
		}
		return nil, &apiError{http.StatusNotFound, "", "No webhook with ID " + strconv.Itoa(id) + " exists.", "bitbucket.webhook.NoSuchWebhookException"}
	}
}

func (s *Server) hookByID(at scope, id int) *webhook {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, h := range s.index.hooksOf[at] {
		if h.ID == id {
			return h
		}
	}
	return nil
}

func (c *call) listWebhooks() (any, error) {
	at, err := c.hookScope()
	if err != nil {
		return nil, err
	}
	return c.pageWebhooks(at)
}

// searchWebhooks lists the repository's own webhooks and those it inherits.
func (c *call) searchWebhooks() (any, error) {
	r, err := c.repo(admin)
	if err != nil {
		return nil, err
	}
	scopes := []scope{}
	kinds := c.r.URL.Query()["scopeType"]
	if len(kinds) == 0 || slices.Contains(kinds, "repository") {
		scopes = append(scopes, scope{"repository", r.ID})
	}
	if len(kinds) == 0 || slices.Contains(kinds, "project") {
		scopes = append(scopes, scope{"project", r.ProjectID})
	}
	return c.pageWebhooks(scopes...)
}

func (c *call) pageWebhooks(scopes ...scope) (any, error) {
	events, stats := c.r.URL.Query()["event"], c.query("statistics") == "true"
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	var rows []*webhook
	for _, at := range scopes {
		for _, h := range c.s.index.hooksOf[at] {
			if len(events) == 0 || slices.ContainsFunc(events, func(e string) bool { return slices.Contains(h.Events, e) }) {
				rows = append(rows, h)
			}
		}
	}
	return plain(c, rows, func(h *webhook) webhookView { return c.s.webhookView(h, stats) })
}

func (c *call) getWebhook(h *webhook) (any, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return c.s.webhookView(h, c.query("statistics") == "true"), nil
}

func (c *call) createWebhook() (any, error) {
	at, err := c.hookScope()
	if err != nil {
		return nil, err
	}
	var body webhookBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if err := c.checkWebhook(&body); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	h := &webhook{ID: c.s.nextID(), Scope: at, Created: c.s.now()}
	h.fill(&body, h.Created)
	c.s.st.Hooks = append(c.s.st.Hooks, h)
	c.s.index.hooksOf[at] = append(c.s.index.hooksOf[at], h)
	status := http.StatusCreated
	if c.s.ver.atLeast(9, 0) {
		status = http.StatusOK
	}
	return reply{status: status, body: c.s.webhookView(h, false)}, nil
}

// fill replaces all of a webhook; what the body leaves out is cleared.
func (h *webhook) fill(b *webhookBody, now time.Time) {
	h.Name, h.URL, h.Events, h.Updated = b.Name, b.URL, b.Events, now
	h.Active, h.Verify = b.Active == nil || *b.Active, b.Verify == nil || *b.Verify
	h.Secret, h.Username, h.Password = "", "", ""
	if b.Configuration.Secret != nil {
		h.Secret = *b.Configuration.Secret
	}
	if b.Credentials != nil {
		h.Username, h.Password = b.Credentials.Username, b.Credentials.Password
	}
}

func (c *call) checkWebhook(b *webhookBody) error {
	target, err := url.Parse(b.URL)
	switch {
	case b.Name == "":
		return errInvalid("name", "A name is required")
	case len(b.Name) > 255:
		return errInvalid("name", "The name may not be longer than 255 characters")
	case b.URL == "" || err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https":
		return errInvalid("url", "A valid URL is required")
	case len(b.Events) == 0:
		return errInvalid("events", "At least one event is required")
	}
	if secret := b.Configuration.Secret; secret != nil && (*secret == "" || len(*secret) > 255) {
		if *secret == "" {
			return errPlain(http.StatusInternalServerError, "Empty key")
		}
		return errInvalid("configuration", "The secret may not be longer than 255 characters")
	}
	return c.checkEvents(b.Events)
}

func (c *call) checkEvents(events []string) error {
	known := c.s.eventKeys()
	for _, e := range events {
		if slices.Contains(known, e) {
			continue
		}
		if c.s.ver.isoTimes() {
			e = "${validatedValue}"
		}
		return errInvalid("events", "the event "+e+" is unknown")
	}
	return nil
}

func (c *call) replaceWebhook(h *webhook) (any, error) {
	var body webhookBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if err := c.checkWebhook(&body); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	h.fill(&body, c.s.now())
	return c.s.webhookView(h, false), nil
}

func (c *call) deleteWebhook(h *webhook) (any, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.dropHook(h)
	return noContent, nil
}

// dropHook forgets a webhook; s.mu must be held.
func (s *Server) dropHook(h *webhook) {
	same := func(x *webhook) bool { return x == h }
	s.st.Hooks = slices.DeleteFunc(s.st.Hooks, same)
	s.index.hooksOf[h.Scope] = slices.DeleteFunc(s.index.hooksOf[h.Scope], same)
}

// testWebhook sends the unsigned ping to the url given.
func (c *call) testWebhook() (any, error) {
	if _, err := c.hookScope(); err != nil {
		return nil, err
	}
	target := c.query("url")
	if target == "" {
		return nil, errPlain(http.StatusInternalServerError, "An error occurred while processing the request.")
	}
	if u, err := url.Parse(target); err != nil || !strings.HasPrefix(u.Scheme, "http") {
		return nil, errInvalid("url", "A valid URL is required")
	}
	return c.s.hooks.ping(target, c.query("sslVerificationRequired") != "false"), nil
}
