// Package verify asks the vendor of a found secret whether it is alive.
//
// The idea: the question is data. A rule names one request that only reads, and the answers that mean "accepted" and
// "refused" (rule.Probe); this package makes the request and compares. It claims only what the vendor said in so many words:
// a status and a body that the rule names. Everything else, such as a captive portal's page, a redirect, a proxy's refusal,
// "forbidden" or "slow down", is Unknown or Failed and never Valid, since a person acts on the difference.
//
// A value is sent to the host that its rule names, over verified TLS, in a header or the body, never in an address; it is
// never sent anywhere because of what an answer says. Neither value nor answer appears in a result, an error or the log.
// Each host is asked slowly. Results are not kept here, and nothing decides here who may ask.
package verify

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"magpie"
	"magpie/internal/rule"
)

const (
	// defaultRate is how many secrets a second one host is asked about.
	defaultRate = rate.Limit(2)
	// checkTimeout bounds one request, answer included; waiting for the host's turn comes before.
	checkTimeout = 20 * time.Second
	// maxAnswer is how much of an answer is read, in bytes. What is longer can't be judged by its body.
	maxAnswer = 1 << 20
)

// Options says how a Verifier asks.
type Options struct {
	// HTTP makes the requests; it must guard what it connects to, as package guard's does.
	HTTP *http.Client
	// Rate is how many requests a second one host gets from this process; 0 means 2.
	Rate rate.Limit
	// Hosts replaces the hosts that rules name: "gitlab.com" → "gitlab.example.com". One replaced by "" is never asked.
	Hosts map[string]string
	// Allowed are the hosts, as rules name them, that may be asked; nil allows all. A rule that somebody adds must not be able
	// to have secrets sent to a host of its own.
	Allowed []string
	// Timeout bounds one request; 0 means 20 seconds.
	Timeout time.Duration
	Log     *slog.Logger
}

// Verifier asks vendors. It is safe for concurrent use.
type Verifier struct {
	http    *http.Client
	rate    rate.Limit
	hosts   map[string]string
	allowed map[string]bool // nil allows all
	timeout time.Duration
	log     *slog.Logger

	mu     sync.Mutex
	limits map[string]*rate.Limiter // by host
}

// New returns a Verifier.
func New(o Options) *Verifier {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	if o.Timeout == 0 {
		o.Timeout = checkTimeout
	}
	client := *o.HTTP
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var allowed map[string]bool
	if o.Allowed != nil {
		allowed = make(map[string]bool, len(o.Allowed))
		for _, host := range o.Allowed {
			allowed[host] = true
		}
	}
	return &Verifier{http: &client, rate: o.Rate, hosts: o.Hosts, allowed: allowed, timeout: o.Timeout, log: o.Log, limits: map[string]*rate.Limiter{}}
}

// Result is what came of asking.
type Result struct {
	Validity  magpie.Validity
	CheckedAt time.Time // zero if nobody was asked
	Why       string    // for people: who was asked and what that says; without the value
}

// Check asks the vendor of a rule about a secret. It waits for the host's turn; ctx bounds all of it. A Failed result may
// become another one later, all others are the vendor's word.
func (v *Verifier) Check(ctx context.Context, r *rule.Rule, secret magpie.Secret) Result {
	if r == nil || r.Probe == nil {
		return Result{Validity: magpie.ValidityNoChecker, Why: "its detector does not say how to ask the vendor"}
	}
	if !r.Probe.Covers(secret.Reveal()) {
		return Result{Validity: magpie.ValidityNoChecker, Why: "its detector does not say how to ask the vendor about this kind of value"}
	}
	host := r.Probe.Host()
	if v.allowed != nil && !v.allowed[host] {
		return Result{Validity: magpie.ValidityNoChecker, Why: host + " is not among the hosts that may be asked"}
	}
	if to, ok := v.hosts[host]; ok {
		host = to
	}
	if host == "" {
		return Result{Validity: magpie.ValidityNoChecker, Why: r.Probe.Host() + " is not asked, by configuration"}
	}
	result := v.ask(ctx, r.Probe, host, secret)
	result.CheckedAt = time.Now()
	v.log.Info("asked whether a secret is alive", "rule", r.ID, "host", host, "validity", result.Validity, "why", result.Why)
	return result
}

func (v *Verifier) ask(ctx context.Context, p *rule.Probe, host string, secret magpie.Secret) Result {
	if !printable(secret) {
		return Result{Validity: magpie.ValidityUnknown, Why: "the value can't be sent in a request as it stands"}
	}
	if err := v.turn(ctx, host); err != nil {
		return Result{Validity: magpie.ValidityFailed, Why: "too many secrets wait for an answer of " + host}
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	req, err := newRequest(ctx, p, host, secret)
	if err != nil {
		return Result{Validity: magpie.ValidityFailed, Why: "the request to " + host + " could not be made"}
	}
	resp, err := v.http.Do(req)
	if err != nil {
		return Result{Validity: magpie.ValidityFailed, Why: trouble(host, err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return Result{Validity: magpie.ValidityFailed, Why: trouble(host, err)}
	}
	return judge(p, host, answer{status: resp.StatusCode, header: resp.Header, body: body})
}

// printable reports whether a secret can stand in a header: any line break or control character would make it another one.
func printable(secret magpie.Secret) bool {
	for _, b := range secret.Reveal() {
		if b < ' ' || b >= 0x7f {
			return false
		}
	}
	return secret.Len() > 0
}

// turn waits until the host may be asked again.
func (v *Verifier) turn(ctx context.Context, host string) error {
	v.mu.Lock()
	limit := v.limits[host]
	if limit == nil {
		limit = rate.NewLimiter(v.rate, 1)
		v.limits[host] = limit
	}
	v.mu.Unlock()
	return limit.Wait(ctx)
}

func newRequest(ctx context.Context, p *rule.Probe, host string, secret magpie.Secret) (*http.Request, error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the address of a probe: %w", err)
	}
	u.Host = host
	value := string(secret.Reveal())
	var body io.Reader
	if p.Body != "" {
		body = strings.NewReader(strings.ReplaceAll(p.Body, rule.SecretMark, escape(value, p.Headers["Content-Type"])))
	}
	req, err := http.NewRequestWithContext(ctx, p.Method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("making a request to %s: %w", host, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Magpie")
	for name, text := range p.Headers {
		req.Header.Set(name, strings.ReplaceAll(text, rule.SecretMark, value))
	}
	if p.Basic != "" {
		login := strings.ReplaceAll(p.Basic, rule.SecretMark, value)
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(login)))
	}
	return req, nil
}

// trouble says for people why there was no answer. What the library says could quote the request.
func trouble(host string, err error) string {
	if known, ok := errors.AsType[*magpie.Error](err); ok {
		return known.Message
	}
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	if ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return host + " did not answer in time"
	}
	return "the connection to " + host + " broke"
}
