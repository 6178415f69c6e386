package bitbucketsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The outcomes of a delivery. The first three are the server's own words.
const (
	Success  = "SUCCESS"  // answered with 2xx
	Failed   = "FAILURE"  // answered with another status
	Errored  = "ERROR"    // not answered
	Broken   = "BROKEN"   // skipped: the webhook's breaker is open
	Overflow = "OVERFLOW" // skipped: too many in flight
	Full     = "FULL"     // lost: the dispatch queue had no place in time
	Dropped  = "DROPPED"  // lost, as SetDeliveries asked
)

// Delivery is one entry of the delivery log.
type Delivery struct {
	ID        string // X-Request-Id
	Number    int    // place in the log since the start, from 1
	Hook      int    // webhook id
	Repo      int    // repository id
	Event     string
	URL       string
	Signed    bool
	Signature string // X-Hub-Signature as sent, or ""
	Outcome   string
	Status    int    // answered, or 0
	Err       string // why there was no answer
	Start     time.Time
	Duration  time.Duration
	Body      []byte // as sent
	Response  []byte // the first 16 KiB of the answer
}

// DeliveryMode is trouble on the way of webhooks.
type DeliveryMode struct {
	Drop      float64       // share that is lost
	Duplicate float64       // share that is sent twice
	Delay     time.Duration // each waits that long before it is sent
	Reorder   int           // hold back until that many are there, then send them last to first, one worker a delivery
}

// message is a delivery on its way.
type message struct {
	Delivery
	header   http.Header
	answered http.Header
	verify   bool
}

// engine delivers webhooks: at most once, by a few workers, with a circuit breaker for each webhook.
type engine struct {
	s        *Server
	verified *http.Client
	trusting *http.Client // for webhooks with sslVerificationRequired false
	ctx      context.Context
	cancel   context.CancelFunc
	workers  sync.WaitGroup

	mu       sync.Mutex
	wake     *sync.Cond
	stopped  bool
	timers   map[*message]*time.Timer // of delayed deliveries and of those outside the queue
	mode     DeliveryMode
	queue    []*message
	held     []*message
	pending  int        // queued, delayed or being sent; not those held
	outside  []*message // waiting for a place in the queue
	breakers map[int]*breaker
	history  map[int][]invocation // the newest deliveries of each webhook that were tried
	log      []Delivery
	finished int           // entries ever logged
	changed  chan struct{} // closed and replaced when pending or finished change
}

func newEngine(s *Server) (*engine, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(s.ca.pem())
	if s.opt.WebhookRoots != nil && !roots.AppendCertsFromPEM(s.opt.WebhookRoots) {
		return nil, errors.New("Options.WebhookRoots holds no PEM certificate")
	}
	e := &engine{s: s, breakers: map[int]*breaker{}, timers: map[*message]*time.Timer{}, history: map[int][]invocation{}, changed: make(chan struct{})}
	e.wake = sync.NewCond(&e.mu)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.verified = e.client(&tls.Config{RootCAs: roots})
	e.trusting = e.client(&tls.Config{InsecureSkipVerify: true})
	return e, nil
}

// client follows no redirect and asks for no compression.
func (e *engine) client(conf *tls.Config) *http.Client {
	n := e.s.opt.WebhookConnections
	return &http.Client{
		Timeout: e.s.opt.WebhookTimeout,
		Transport: &http.Transport{
			TLSClientConfig: conf, MaxConnsPerHost: n, MaxIdleConnsPerHost: n, DialContext: e.s.opt.WebhookDial, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (e *engine) start() {
	for range e.s.opt.WebhookThreads {
		e.workers.Go(e.work)
	}
}

func (e *engine) stop() {
	e.mu.Lock()
	e.stopped = true
	for _, t := range e.timers {
		t.Stop()
	}
	e.wake.Broadcast()
	e.mu.Unlock()
	e.cancel()
	e.workers.Wait()
	e.verified.CloseIdleConnections()
	e.trusting.CloseIdleConnections()
}

// target is what the engine needs of a webhook, copied under the server's lock.
type target struct {
	hook   webhook
	repoID int
}

// targets lists the webhooks that want an event of a repository: its own and its project's, one delivery each.
func (s *Server) targets(r *repo, event string) []target {
	s.mu.RLock()
	defer s.mu.RUnlock()
	scopes := []scope{{"repository", r.ID}}
	if s.ver.projectWebhooks() {
		scopes = append(scopes, scope{"project", r.ProjectID})
	}
	var found []target
	for _, at := range scopes {
		for _, h := range s.index.hooksOf[at] {
			if h.Active && slices.Contains(h.Events, event) {
				found = append(found, target{*h, r.ID})
			}
		}
	}
	return found
}

// fire delivers an event to everybody who wants it. The body is only made when somebody does.
func (s *Server) fire(r *repo, event string, body func() (any, error)) error {
	to := s.targets(r, event)
	if len(to) == 0 {
		return nil
	}
	v, err := body()
	if err != nil {
		return fmt.Errorf("making a %s event for repository %d: %w", event, r.ID, err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing a %s event for repository %d: %w", event, r.ID, err)
	}
	for _, t := range to {
		s.hooks.submit(t, event, data)
	}
	return nil
}

func (e *engine) message(t target, event string, body []byte) *message {
	id := uuid.NewString()
	h := http.Header{
		"X-Event-Key": {event}, "X-Request-Id": {id}, "Content-Type": {"application/json; charset=utf-8"}, "User-Agent": {e.userAgent()},
	}
	if t.hook.Secret != "" {
		h.Set("X-Hub-Signature", signHook(t.hook.Secret, body))
	}
	if t.hook.Username != "" {
		r := http.Request{Header: h}
		r.SetBasicAuth(t.hook.Username, t.hook.Password)
	}
	d := Delivery{ID: id, Hook: t.hook.ID, Repo: t.repoID, Event: event, URL: t.hook.URL, Signed: t.hook.Secret != "", Body: body}
	d.Signature = h.Get("X-Hub-Signature")
	return &message{Delivery: d, header: h, verify: t.hook.Verify}
}

// signHook makes the X-Hub-Signature over the raw body.
func signHook(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (e *engine) userAgent() string {
	return fmt.Sprintf("Atlassian HttpClient 4.2.0 / Bitbucket-%s (%s) / Default", e.s.ver, e.s.ver.build())
}

// submit takes a delivery in, loses it, doubles it or holds it back, as the mode says.
func (e *engine) submit(t target, event string, body []byte) {
	m := e.message(t, event, body)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.s.chance(e.mode.Drop) {
		e.finish(m, Dropped)
		return
	}
	copies := 1
	if e.s.chance(e.mode.Duplicate) {
		copies = 2
	}
	for range copies {
		twin := *m // each copy has an outcome of its own
		if e.mode.Reorder > 1 {
			e.hold(&twin)
		} else {
			e.enqueue(&twin)
		}
	}
}

func (e *engine) hold(m *message) {
	e.held = append(e.held, m)
	if len(e.held) >= e.mode.Reorder {
		e.releaseHeld()
	}
}

// releaseHeld sends what is held back, last first.
func (e *engine) releaseHeld() {
	for _, m := range slices.Backward(e.held) {
		e.enqueue(m)
	}
	e.held = nil
}

func (e *engine) enqueue(m *message) {
	if e.pending >= e.s.opt.WebhookInFlight {
		e.finish(m, Overflow)
		return
	}
	e.pending++
	if e.mode.Delay <= 0 {
		e.push(m)
		return
	}
	e.timers[m] = time.AfterFunc(e.mode.Delay, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.timers, m)
		if !e.stopped {
			e.push(m)
		}
	})
}

func (e *engine) push(m *message) {
	if size := e.s.opt.WebhookQueue; size > 0 && len(e.queue) >= size {
		e.waitOutside(m)
		return
	}
	e.queue = append(e.queue, m)
	e.wake.Signal()
}

// waitOutside keeps a delivery until the queue has a place, or drops it.
func (e *engine) waitOutside(m *message) {
	e.outside = append(e.outside, m)
	e.timers[m] = time.AfterFunc(e.s.opt.WebhookQueueWait, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.timers, m)
		if i := slices.Index(e.outside, m); i >= 0 && !e.stopped {
			e.outside = slices.Delete(e.outside, i, i+1)
			e.pending--
			e.finish(m, Full)
		}
	})
}

// admit moves deliveries from outside into the places that became free.
func (e *engine) admit() {
	for len(e.outside) > 0 && len(e.queue) < e.s.opt.WebhookQueue {
		m := e.outside[0]
		e.outside = e.outside[1:]
		e.timers[m].Stop()
		delete(e.timers, m)
		e.push(m)
	}
}

// work is one delivery thread.
func (e *engine) work() {
	for {
		m := e.next()
		if m == nil {
			return
		}
		if !e.allowed(m.Hook) {
			e.done(m, Broken)
			continue
		}
		outcome := e.send(m)
		e.done(m, outcome)
	}
}

func (e *engine) next() *message {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) == 0 && !e.stopped {
		e.wake.Wait()
	}
	if e.stopped {
		return nil
	}
	m := e.queue[0]
	e.queue = e.queue[1:]
	e.admit()
	return m
}

// send posts a message once and notes the answer in it.
func (e *engine) send(m *message) string {
	m.Start = time.Now()
	defer func() { m.Duration = time.Since(m.Start) }()
	req, err := http.NewRequestWithContext(e.ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		m.Err = err.Error()
		return Errored
	}
	req.Header = m.header.Clone()
	client := e.verified
	if !m.verify {
		client = e.trusting
	}
	resp, err := client.Do(req)
	if err != nil {
		m.Err = err.Error()
		return Errored
	}
	defer resp.Body.Close()
	m.Status, m.answered = resp.StatusCode, resp.Header
	m.Response, _ = io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode/100 != 2 {
		return Failed
	}
	return Success
}

func (e *engine) done(m *message, outcome string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending--
	if outcome != Broken {
		e.breaker(m.Hook).record(outcome == Success, e.s.now())
	}
	e.finish(m, outcome)
}

// finish logs a delivery; e.mu must be held.
func (e *engine) finish(m *message, outcome string) {
	d := m.Delivery
	d.Outcome = outcome
	if d.Start.IsZero() {
		d.Start = time.Now()
	}
	e.finished++
	d.Number = e.finished
	e.log = append(e.log, d)
	e.remember(&d)
	if over := len(e.log) - e.s.opt.DeliveryLog; over > e.s.opt.DeliveryLog/4 {
		e.log = slices.Clone(e.log[over:])
	}
	close(e.changed)
	e.changed = make(chan struct{})
}

// historyLength is how many deliveries the statistics of a webhook reach back.
const historyLength = 250

func (e *engine) remember(d *Delivery) {
	if d.Hook == 0 || d.Outcome != Success && d.Outcome != Failed && d.Outcome != Errored {
		return
	}
	past := append(e.history[d.Hook], d.invocation())
	if over := len(past) - historyLength; over > historyLength/4 {
		past = slices.Clone(past[over:])
	}
	e.history[d.Hook] = past
}

func (d *Delivery) invocation() invocation {
	desc := d.Err
	if d.Status != 0 {
		desc = strconv.Itoa(d.Status)
	}
	return invocation{
		ID: int64(d.Number), Event: d.Event, Scope: eventScope{strconv.Itoa(d.Repo), "repository"},
		Start: millis(d.Start), Finish: millis(d.Start.Add(d.Duration)), Duration: d.Duration.Milliseconds(),
		Request: &invocationRequest{d.URL, http.MethodPost}, Result: &invocationResult{desc, d.Outcome},
	}
}
