package bitbucketsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call is one REST request being answered.
type call struct {
	s   *Server
	w   http.ResponseWriter
	r   *http.Request
	who identity
}

// reply is an answer with a status other than 200, or with extra headers. A nil body sends none.
type reply struct {
	status int
	body   any
	header http.Header
}

// raw is an answer that is not JSON.
type raw struct {
	contentType string
	body        []byte
}

var noContent = reply{status: http.StatusNoContent}

// endpoint answers a call with a JSON value, a reply or a raw.
type endpoint func(c *call) (any, error)

// handler builds everything the server answers, with the switches for trouble in front.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	s.routeProperties(mux)
	s.routeProjects(mux)
	s.routeContent(mux)
	s.routeWebhooks(mux)
	s.routeTokens(mux)
	s.routePulls(mux)
	s.routeChanges(mux)
	s.routeInsights(mux)
	mux.HandleFunc("/rest/api/{v}/admin/", s.endpoint(func(c *call) (any, error) { return c.adminOnly() }))
	mux.HandleFunc("/scm/{key}/{slug}/{rest...}", s.serveGit)
	mux.HandleFunc("/rest/", s.unknownRoute)
	mux.HandleFunc("/", s.webPage)
	inner := s.faulty(mux)
	if s.opt.ContextPath == "" {
		return inner
	}
	root := http.NewServeMux()
	root.Handle(s.opt.ContextPath+"/", http.StripPrefix(s.opt.ContextPath, inner))
	return root
}

// api registers an endpoint below /rest/api/{v}, which may be 1.0 or latest. pattern is "METHOD /path".
func (s *Server) api(mux *http.ServeMux, pattern string, e endpoint) {
	s.rest(mux, "api", pattern, e)
}

func (s *Server) rest(mux *http.ServeMux, module, pattern string, e endpoint) {
	method, path, _ := strings.Cut(pattern, " ")
	mux.HandleFunc(method+" /rest/"+module+"/{v}"+path, s.endpoint(func(c *call) (any, error) {
		if v := c.r.PathValue("v"); v != "1.0" && v != "latest" {
			return nil, errPlain(http.StatusNotFound, "no such version of the REST module")
		}
		return e(c)
	}))
}

// endpoint turns an endpoint into a handler: who is calling, may they answer JSON, which headers, which error.
func (s *Server) endpoint(e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, w: w, r: r, who: s.identify(r)}
		c.headers()
		if !acceptsJSON(r) {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		switch {
		case c.limited():
		case forged(r):
			c.answer(nil, errPlain(http.StatusForbidden, "XSRF check failed"))
		default:
			body, err := e(c)
			c.answer(body, err)
		}
	}
}

// forged reports whether a page of another site could have sent a request: those need X-Atlassian-Token.
func forged(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	form := kind == "multipart/form-data" || kind == "application/x-www-form-urlencoded"
	return form && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("X-Atlassian-Token") != "no-check"
}

func acceptsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return accept == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, "json") ||
		strings.Contains(accept, "application/*") || strings.Contains(r.URL.Path, "/raw/")
}

func (c *call) headers() {
	h := c.w.Header()
	h.Add("Cache-Control", "private, no-cache")
	h.Add("Cache-Control", "no-cache, no-transform")
	h.Set("Pragma", "no-cache")
	h.Set("Vary", "x-ausername,x-auserid,cookie,accept-encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-AREQUESTID", c.s.requestID())
	if u := c.who.user; u != nil {
		h.Set("X-AUSERNAME", headerText(u.Name))
		h.Set("X-AUSERID", strconv.Itoa(u.ID))
		h.Set("X-ASESSIONID", strconv.FormatInt(int64(u.ID)*7919, 36))
		http.SetCookie(c.w, &http.Cookie{Name: sessionCookie, Value: strconv.FormatInt(int64(u.ID)*104729, 36), Path: "/", HttpOnly: true, Secure: true})
	}
}

const sessionCookie = "BITBUCKETSESSIONID"

// requestID has the form of the real one: @ + six characters + minute of the day x count x concurrency.
func (s *Server) requestID() string {
	now := s.now()
	return fmt.Sprintf("@%s%dx%dx0", strings.ToUpper(strconv.FormatInt(now.Unix()%2176782336, 36))+"x", now.Hour()*60+now.Minute(), s.counter.total.Load())
}

// headerText percent-encodes what can't stand in a header.
func headerText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '%' {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func (c *call) answer(body any, err error) {
	var fail *apiError
	if errors.As(err, &fail) && fail.status == http.StatusUnauthorized && c.refuse() {
		return
	}
	if fail != nil {
		c.write(reply{status: fail.status, body: fail.body()})
		return
	}
	if err != nil {
		c.write(reply{status: http.StatusInternalServerError, body: errPlain(0, err.Error()).body()})
		return
	}
	switch v := body.(type) {
	case reply:
		c.write(v)
	case raw:
		c.w.Header().Set("Content-Type", v.contentType)
		c.w.Write(v.body)
	default:
		c.write(reply{status: http.StatusOK, body: v})
	}
}

// refuse answers 401 in the form that SetRefusal chose, and reports whether that is not the usual one.
func (c *call) refuse() bool {
	form := get(&c.s.faults, &c.s.faults.refusal)
	switch form {
	case RefuseEmpty:
		c.w.WriteHeader(http.StatusUnauthorized)
	case RefuseHTML, RefuseLogin:
		c.w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		if form == RefuseHTML {
			c.w.WriteHeader(http.StatusUnauthorized)
		}
		io.WriteString(c.w, loginPage)
	}
	return form != RefuseJSON
}

func (c *call) write(a reply) {
	for k, v := range a.header {
		c.w.Header()[k] = v
	}
	if a.body == nil {
		c.w.WriteHeader(a.status)
		return
	}
	data, err := json.Marshal(a.body)
	if err != nil {
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	c.w.WriteHeader(a.status)
	c.w.Write(data)
}

// decode reads a JSON request body.
func (c *call) decode(v any) error {
	if err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 16<<20)).Decode(v); err != nil {
		return errInvalid("", "The request body is not valid JSON")
	}
	return nil
}

func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// adminOnly refuses tokens always, whoever owns them.
func (c *call) adminOnly() (any, error) {
	if c.who.user == nil || c.who.token != nil || !c.who.user.sysadmin() {
		return nil, c.s.refusal(c.who)
	}
	return nil, errPlain(http.StatusNotFound, "this part of the admin interface is not simulated")
}

// unknownRoute is the container's answer, in another form than Bitbucket's own errors.
func (s *Server) unknownRoute(w http.ResponseWriter, r *http.Request) {
	s.endpoint(func(*call) (any, error) {
		return reply{status: http.StatusNotFound, body: map[string]any{
			"status-code": 404, "message": "null for uri: " + s.base + r.URL.Path,
		}}, nil
	})(w, r)
}

// webPage stands in for the pages of the user interface: a login page, or nothing.
func (s *Server) webPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	if r.URL.Path != "/" && r.URL.Path != "/login" {
		w.WriteHeader(http.StatusNotFound)
	}
	io.WriteString(w, loginPage)
}

const loginPage = "<!DOCTYPE html><html><head><title>Log in - Bitbucket</title></head><body><form></form></body></html>"

func millis(t time.Time) int64 { return t.UnixMilli() }
