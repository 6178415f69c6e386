package bitbucketsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options says what kind of Bitbucket to start. The zero value is a 9.4.0 at the root path on a free port, in a
// temporary directory that Close removes.
type Options struct {
	Version       string           // "major.minor.patch"; default "9.4.0"
	ContextPath   string           // such as "/bitbucket"; default none
	Addr          string           // loopback address to listen on; default "127.0.0.1:0"
	Listener      net.Listener     // takes connections instead of Addr, such as a Pipe; the server closes it
	Host          string           // host and port of the base URL; default the address, "bitbucket.example.com" on a Pipe
	DataDir       string           // where repositories and state are kept; default a temporary directory
	Zone          *time.Location   // the server's zone, seen in webhook dates; default UTC
	Now           func() time.Time // the clock for tokens, breakers, rate limits and dates; default time.Now
	Seed          uint64           // seeds every random choice (failures, dropped deliveries); default 1
	DefaultBranch string           // default branch of new repositories; default "main"

	WebhookThreads     int           // delivery workers, plugin.webhooks.io.threads; default 3
	WebhookConnections int           // connections to one receiver, plugin.webhooks.http.connection.host.max; default 5
	WebhookInFlight    int           // deliveries waiting or running above which new ones are skipped; default 250
	WebhookQueue       int           // deliveries waiting for a worker above which new ones wait for a place; default no bound
	WebhookQueueWait   time.Duration // for a place, plugin.webhooks.dispatch.queue.timeout; then the delivery is dropped
	WebhookTimeout     time.Duration // for one delivery; default 20 s
	WebhookRoots       []byte        // PEM of authorities the delivery engine trusts besides its own and the system's
	WebhookDial        DialFunc      // connects to receivers; default the network
	DeliveryLog        int           // deliveries kept for Deliveries, the oldest are forgotten; default 10000
}

// DialFunc makes a connection, as the field of http.Transport does.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Server is a running simulated Bitbucket. Its methods may be called from many goroutines.
type Server struct {
	opt     Options
	ver     version
	dir     string
	tempDir bool
	ca      *authority
	base    string // external base URL with context path, no trailing slash
	ln      net.Listener
	http    *http.Server
	done    chan struct{}
	closing sync.Once
	closed  error
	hooks   *engine
	serving sync.WaitGroup // the loop that accepts connections
	conns   sync.WaitGroup // open connections, each with what it is asked

	mu    sync.RWMutex
	st    state
	index index

	faults  faults
	limits  limiter
	counter counter
	adverts adverts

	packBytes, packsCut atomic.Int64 // since the last SetPackTrouble

	rndMu sync.Mutex
	rnd   *rand.Rand
}

// New starts a server.
func New(opt Options) (*Server, error) {
	opt = withDefaults(opt)
	ver, err := parseVersion(opt.Version)
	if err != nil {
		return nil, err
	}
	s := &Server{opt: opt, ver: ver, done: make(chan struct{}), rnd: rand.New(rand.NewPCG(opt.Seed, 1))}
	s.faults.release = make(chan struct{})
	if err := s.openDir(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		if s.tempDir {
			os.RemoveAll(s.dir)
		}
		return nil, err
	}
	return s, nil
}

func withDefaults(opt Options) Options {
	setDefault(&opt.Version, "9.4.0")
	setDefault(&opt.Addr, "127.0.0.1:0")
	setDefault(&opt.Zone, time.UTC)
	setDefault(&opt.Seed, 1)
	setDefault(&opt.DefaultBranch, "main")
	setDefault(&opt.WebhookThreads, 3)
	setDefault(&opt.WebhookConnections, 5)
	setDefault(&opt.WebhookInFlight, 250)
	setDefault(&opt.WebhookTimeout, 20*time.Second)
	setDefault(&opt.DeliveryLog, 10000)
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.ContextPath = strings.TrimRight(opt.ContextPath, "/")
	return opt
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (s *Server) openDir() error {
	s.dir = s.opt.DataDir
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "bitbucketsim-")
		if err != nil {
			return fmt.Errorf("making a data directory: %w", err)
		}
		s.dir, s.tempDir = dir, true
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "repositories"), 0o700); err != nil {
		return fmt.Errorf("making the repository directory: %w", err)
	}
	return nil
}

func (s *Server) open() error {
	var err error
	if s.ln, err = s.listener(); err != nil {
		return err
	}
	if err := s.openRest(); err != nil {
		s.ln.Close()
		return err
	}
	s.serve()
	return nil
}

func (s *Server) openRest() error {
	var err error
	host := orElse(s.opt.Host, hostOf(s.ln))
	s.base = "https://" + host + s.opt.ContextPath
	if s.ca, err = openAuthority(s.dir, host); err != nil {
		return err
	}
	if err := s.makeTemplate(); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	s.hooks, err = newEngine(s)
	return err
}

// listener opens or takes over where connections come from.
func (s *Server) listener() (net.Listener, error) {
	ln := s.opt.Listener
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", s.opt.Addr); err != nil {
			return nil, fmt.Errorf("listening on %s: %w", s.opt.Addr, err)
		}
	}
	if at, ok := ln.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		ln.Close()
		return nil, errors.New("a simulated Bitbucket listens on loopback addresses only")
	}
	return ln, nil
}

// hostOf is the host of the base URL when nobody chose one.
func hostOf(ln net.Listener) string {
	if at, ok := ln.Addr().(*net.TCPAddr); ok {
		return at.String()
	}
	return "bitbucket.example.com"
}

func (s *Server) serve() {
	s.http = &http.Server{
		Handler:           s.handler(),
		TLSConfig:         &tls.Config{GetCertificate: s.ca.certificate},
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          quiet,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only, as the real one
		ConnState:         s.connected,
	}
	s.serving.Go(func() { s.http.ServeTLS(s.ln, "", "") })
	s.hooks.start()
}

// connected counts connections, so that Close can wait for what they do.
func (s *Server) connected(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// Close stops the server and its deliveries, writes the state when Options.DataDir was given, and otherwise removes
// everything. Nothing it started runs on afterwards. It may be called more than once.
func (s *Server) Close() error {
	s.closing.Do(func() {
		close(s.done)
		err := s.http.Close()
		s.hooks.stop()
		s.serving.Wait()
		s.conns.Wait()
		if s.tempDir {
			err = errors.Join(err, os.RemoveAll(s.dir))
		} else {
			err = errors.Join(err, s.Save())
		}
		s.closed = err
	})
	return s.closed
}

// URL returns the base address, with the context path and without a trailing slash.
func (s *Server) URL() string { return s.base }

// Version returns the simulated version, such as "9.4.0".
func (s *Server) Version() string { return s.opt.Version }

// CACertificate returns the PEM of the authority that signed the server's certificate.
func (s *Server) CACertificate() []byte { return s.ca.pem() }

// CAFile returns the path of a file that holds CACertificate, for GIT_SSL_CAINFO and the like. It lives as long as the
// data directory.
func (s *Server) CAFile() string { return filepath.Join(s.dir, caFile) }

// Client returns an HTTP client that trusts this server's authority only. Where the listener is one that can dial
// itself, such as a Pipe, the client connects there whatever the host.
func (s *Server) Client() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CACertificate())
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	if d, ok := s.ln.(interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	}); ok {
		t.DialContext = d.DialContext
	}
	return &http.Client{Transport: t}
}

func (s *Server) now() time.Time { return s.opt.Now() }

// chance reports true with probability p.
func (s *Server) chance(p float64) bool {
	if p <= 0 {
		return false
	}
	s.rndMu.Lock()
	defer s.rndMu.Unlock()
	return s.rnd.Float64() < p
}
