package ui

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/incident"
	"magpie/internal/perimeter"
	"magpie/internal/scan"
	"magpie/internal/store"
)

// RuleInfo is what an incident's page says about a detector.
type RuleInfo struct {
	Description string   // what the secret is and what an attacker could do with it
	Remediation string   // how to revoke it
	References  []string // https addresses
}

// Options configures the web application.
type Options struct {
	DB        *store.DB
	Access    *access.Service
	Incidents *incident.Service
	Perimeter *perimeter.Service
	Scans     *scan.Service

	Rule    func(magpie.RuleID) (RuleInfo, bool)                              // what is known of a detector; nil knows none
	LineURL func(browseURL, path string, commit magpie.Hash, line int) string // a line at Bitbucket; nil links nowhere

	SyncEvery  time.Duration // between reads of all projects and repositories; 0 leaves it unsaid
	SweepEvery time.Duration // between comparisons of all refs with what was scanned; 0 leaves it unsaid
	InsightKey string        // of the reports to Code Insights, for who demands one

	PublicURL  string                     // where people reach us, without a trailing slash
	Secure     bool                       // people reach us over https
	Version    string                     // of Magpie
	Mail       bool                       // an SMTP server is configured
	ClientAddr func(*http.Request) string // who is asking, for the login limits; nil takes the connection's address
	Now        func() time.Time           // nil means time.Now
	Log        *slog.Logger
}

// server is the application behind the handler.
type server struct {
	opts  Options
	pages Pages
}

// New returns the web application: every path but those of the API, the hooks and the probes.
func New(opts Options) (http.Handler, error) {
	if opts.DB == nil || opts.Access == nil || opts.Log == nil {
		return nil, errors.New("the web application needs a database, the access service and a log")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Rule == nil {
		opts.Rule = func(magpie.RuleID) (RuleInfo, bool) { return RuleInfo{}, false }
	}
	if opts.LineURL == nil {
		opts.LineURL = func(string, string, magpie.Hash, int) string { return "" }
	}
	if opts.ClientAddr == nil {
		opts.ClientAddr = connectionAddr
	}
	s := &server{opts: opts, pages: newPages(opts)}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		handler, err := s.guard(r)
		if err != nil {
			return nil, err
		}
		mux.Handle(r.Method+" "+r.Path, handler)
	}
	mux.Handle("/", s.adapt(s.serveNothing))
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(s.adapt(func(http.ResponseWriter, *http.Request) error {
		return &magpie.Error{
			Kind: magpie.KindForbidden, Message: "this request came from another site",
			Hint: "open Magpie in its own tab and try again",
		}
	}))
	return s.securityHeaders(s.recoverPanic(crossOrigin.Handler(mux))), nil
}

func connectionAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// serveNothing answers what no route knows. A known path asked with another method ends here, too, as does a form's
// address that somebody typed.
func (s *server) serveNothing(http.ResponseWriter, *http.Request) error { return errNoPage() }

func errNoPage() error {
	return &magpie.Error{Kind: magpie.KindNotFound, Message: "there is no such page", Hint: "it may have moved; the navigation leads to everything there is"}
}
