package smarthttp

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"magpie"
	"magpie/internal/git"
)

// Options says how to reach one repository. Zero limits stand for their defaults.
type Options struct {
	// HTTP makes the requests. Its redirect policy, time limit and cookies are not used; its transport is, and with it
	// whatever the caller decided about certificates, proxies and addresses. Required.
	HTTP *http.Client
	// URL is the repository's address, such as https://bitbucket.example.com/scm/prj/repo.git. Plain http is refused unless
	// AllowHTTP is set. Credentials in it are refused.
	URL string
	// Token is sent as bearer token; empty sends none.
	Token magpie.Secret
	// UserAgent names us; default "magpie".
	UserAgent string
	// AllowHTTP permits an unencrypted address, over which the token would travel readable.
	AllowHTTP bool
	Limits    Limits
	// Known remembers which servers speak the protocol, for all clients that share it, so that a listing costs one request
	// instead of two. Nil remembers nothing beyond a client.
	Known *Servers
}

// Limits bounds what a server may make us read. In each field zero stands for the default.
type Limits struct {
	MaxRefs       int           // refs listed; default 1,000,000
	MaxRefName    int           // bytes of one name; longer ones are skipped and reported; default 4096
	MaxRefBytes   int64         // bytes of a whole listing; default 512 MiB
	MaxPackBytes  int64         // bytes of a pack; default 64 GiB
	MaxHaves      int           // known ids sent, the first ones given; default 10,000
	HeaderTimeout time.Duration // until an answer starts; default 2 minutes, for servers may count for long
	IdleTimeout   time.Duration // without a byte in the middle of an answer; default 2 minutes
}

// withDefaults fills in the defaults.
func (l Limits) withDefaults() Limits {
	l.MaxRefs = orDefault(l.MaxRefs, 1_000_000)
	l.MaxRefName = orDefault(l.MaxRefName, 4096)
	l.MaxRefBytes = orDefault(l.MaxRefBytes, 512<<20)
	l.MaxPackBytes = orDefault(l.MaxPackBytes, 64<<30)
	l.MaxHaves = orDefault(l.MaxHaves, 10_000)
	l.HeaderTimeout = orDefault(l.HeaderTimeout, 2*time.Minute)
	l.IdleTimeout = orDefault(l.IdleTimeout, 2*time.Minute)
	return l
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Client talks to one repository. It is safe for concurrent use and needs no closing.
type Client struct {
	http   *http.Client
	base   *url.URL
	token  magpie.Secret
	agent  string
	limits Limits
	known  *Servers

	mu    sync.Mutex
	found *server // nil until the server was asked once
}

// New returns a client for a repository. No request is made yet.
func New(opts Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(opts.URL, "/"))
	if err != nil {
		// The parse error repeats the address, which may hold a password.
		return nil, &magpie.Error{Kind: magpie.KindInvalid, Field: "url", Message: "the repository's address can't be read"}
	}
	if err := checkBase(base, opts.AllowHTTP); err != nil {
		return nil, err
	}
	if opts.HTTP == nil {
		return nil, errors.New("smarthttp: no HTTP client given")
	}
	c := &Client{base: base, token: opts.Token, agent: opts.UserAgent, limits: opts.Limits.withDefaults(), known: opts.Known}
	if c.agent == "" {
		c.agent = "magpie"
	}
	c.http = &http.Client{Transport: opts.HTTP.Transport, CheckRedirect: c.checkRedirect}
	return c, nil
}

// checkBase refuses addresses that can't be asked safely.
func checkBase(base *url.URL, allowHTTP bool) error {
	bad := func(format string, args ...any) error {
		e := magpie.Errorf(magpie.KindInvalid, format, args...)
		e.Field = "url"
		return e
	}
	switch {
	case base.Scheme != "https" && (base.Scheme != "http" || !allowHTTP):
		return bad("the repository's address must start with https://")
	case base.Host == "":
		return bad("the repository's address has no host")
	case base.User != nil:
		return bad("the repository's address must not hold credentials")
	case base.RawQuery != "" || base.Fragment != "":
		return bad("the repository's address must have neither query nor fragment")
	}
	return nil
}

// Ref is one ref of a repository.
type Ref struct {
	Name   string      // full, such as "refs/heads/main", or "HEAD"
	Hash   magpie.Hash // of a commit, or of a tag object
	Peeled magpie.Hash // what an annotated tag finally names; empty for all else
	Target string      // the ref that a symbolic ref such as HEAD names; empty for all else
}

// Listing is what a repository told about its refs.
type Listing struct {
	Refs   []Ref  // in the server's order
	Head   string // the default branch, a full ref name, whatever was asked for; empty in an empty repository
	Format git.Format
	// Skipped holds refs that were left out because their names are not ones Git allows, quoted and shortened, each
	// with the reason; at most 100.
	Skipped []string
	// SkippedCount is how many those are in all.
	SkippedCount int
}

// Request says what to fetch.
type Request struct {
	Wants []magpie.Hash // objects to have, with everything they reach
	// Haves are objects already known: nothing they reach is sent. Ids unknown to the server do no harm. Only the first
	// Limits.MaxHaves are sent, so the newest should come first.
	Haves []magpie.Hash
	// Format is the repository's object format, as its listing says.
	Format git.Format
	// Shallow are commits that are taken to have no parents: they are sent, with all their files, and nothing that is
	// behind them. Ids unknown to the server do no harm. It needs Features.Shallow.
	Shallow []magpie.Hash
	// Depth, if it is not 0, is how many commits in a row are sent from each wanted one, itself included. Where that ends
	// is in Pack.Edge. It needs Features.Shallow, and Shallow must be empty.
	Depth int
	// CommitsOnly leaves out all trees and files. It needs Features.Filter.
	CommitsOnly bool
	// Progress is told what the server says about its work, during reads of the pack and before. Nil asks it to be quiet.
	Progress func(Progress)
}
