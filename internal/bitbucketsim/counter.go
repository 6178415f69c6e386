package bitbucketsim

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// Counts says how often what was asked for. Endpoints are named by method and address pattern, such as
// "GET /projects/{key}/repos/{slug}/webhooks"; git calls are "git info/refs", "git upload-pack" and "git receive-pack".
type Counts struct {
	Total       int            // all requests
	Endpoints   map[string]int // by endpoint
	Statuses    map[int]int    // by status answered
	WithCookies int            // requests that sent a session cookie back
}

type counter struct {
	total atomic.Int64

	mu        sync.Mutex
	endpoints map[string]int
	statuses  map[int]int
	cookies   int
}

func (c *counter) request(r *http.Request) {
	c.total.Add(1)
	if _, err := r.Cookie(sessionCookie); err == nil {
		c.mu.Lock()
		c.cookies++
		c.mu.Unlock()
	}
}

// answered runs after the routing, which leaves the pattern in the request.
func (c *counter) answered(r *http.Request, status int) {
	name := r.Method + " " + r.URL.Path
	if _, path, ok := strings.Cut(r.Pattern, " "); ok {
		name = r.Method + " " + strings.TrimPrefix(path, "/rest/api/{v}")
	} else if strings.HasPrefix(r.Pattern, "/scm/") {
		name = "git " + r.PathValue("rest")
		name = strings.Replace(name, "git-", "", 1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endpoints == nil {
		c.endpoints, c.statuses = map[string]int{}, map[int]int{}
	}
	c.endpoints[name]++
	c.statuses[status]++
}

// Counts returns what was asked for since the start or the last ResetCounts.
func (s *Server) Counts() Counts {
	c := &s.counter
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{int(c.total.Load()), maps.Clone(c.endpoints), maps.Clone(c.statuses), c.cookies}
}

// ResetCounts starts counting anew.
func (s *Server) ResetCounts() {
	c := &s.counter
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total.Store(0)
	c.endpoints, c.statuses, c.cookies = nil, nil, 0
}

// recorder notes the status that was written.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
