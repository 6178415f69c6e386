// Package hook receives the webhooks of Bitbucket at POST /hooks/bitbucket/{hook}.
//
// The idea: nothing is believed before its signature is checked over the raw bytes, and nothing is acknowledged before it is
// stored. So a body is read only for a hook that exists and with a signature to check, and at most 8 MiB of it; the
// HMAC-SHA256 in X-Hub-Signature is compared in constant time with the one under the hook's own secret, and only then the
// body is parsed. A good event is handed on, which stores it durably together
// with the job that acts on it, and then answered with 200 within milliseconds; Bitbucket never sends an event twice and
// stops sending after five failures. Everything else leaves no trace but a counter. An unknown hook, a missing signature
// and a wrong one get the same answer. Who times it can tell whether a hook exists, but has to guess its id of 142 random
// bits for that, and learns nothing that helps to sign.
//
// diagnostics:ping, which "Test connection" sends, is never signed: it is answered unread, and trusted with nothing. The
// package keeps no state and reads no repository.
package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/perimeter"
)

// Path is where the receiver stands; the id of a hook follows.
const Path = "/hooks/bitbucket/"

const (
	defaultReadTimeout = 10 * time.Second
	maxIDLength        = 64
	maxRequestID       = 100
)

// Options configures a receiver.
type Options struct {
	Perimeter *perimeter.Service
	// Accept stores an event and its job durably; a nil error lets it be acknowledged. It is scan.Service.Accept.
	Accept      func(context.Context, magpie.RepoID, magpie.Push) error
	ReadTimeout time.Duration         // for the whole body; 0 means 10 seconds
	Metrics     prometheus.Registerer // nil means none
	Log         *slog.Logger
}

type receiver struct {
	Options
	results *prometheus.CounterVec
	seconds prometheus.Histogram
}

// New returns the receiver. It serves all addresses below Path.
func New(o Options) http.Handler {
	if o.ReadTimeout == 0 {
		o.ReadTimeout = defaultReadTimeout
	}
	rc := &receiver{
		Options: o,
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "magpie_hook_requests_total", Help: "Requests to the webhook receiver by what became of them.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "magpie_hook_answer_seconds", Help: "Time from the last byte of a signed event to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	for _, v := range outcomes {
		rc.results.WithLabelValues(v.name) // so that zeros are there before anything happens
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(rc.results, rc.seconds)
	}
	return rc
}

// outcome is what can become of a request: its name in the counter, and the answer.
type outcome struct {
	name   string
	status int
	text   string
}

const refusedText = "no such webhook, or the signature is missing or wrong"

var (
	accepted    = outcome{"accepted", http.StatusOK, "ok"}
	modified    = outcome{"modified", http.StatusOK, "ok"}
	ping        = outcome{"ping", http.StatusOK, "ok"}
	ignored     = outcome{"ignored", http.StatusOK, "ok"}   // signed, of no use
	malformed   = outcome{"malformed", http.StatusOK, "ok"} // signed and not understood, but still a hint to look
	unknownHook = outcome{"unknown_hook", http.StatusUnauthorized, refusedText}
	unsigned    = outcome{"unsigned", http.StatusUnauthorized, refusedText}
	wrongSigned = outcome{"wrong_signature", http.StatusUnauthorized, refusedText}
	wrongRepo   = outcome{"wrong_repository", http.StatusForbidden, "this webhook belongs to another repository"}
	wrongMethod = outcome{"method", http.StatusMethodNotAllowed, "only POST is understood here"}
	encoded     = outcome{"encoded", http.StatusUnsupportedMediaType, "encoded bodies are not read"}
	tooLarge    = outcome{"too_large", http.StatusRequestEntityTooLarge, "the event is larger than 8 MiB"}
	tooSlow     = outcome{"too_slow", http.StatusRequestTimeout, "the body took too long"}
	broken      = outcome{"broken", http.StatusBadRequest, "the body ended early"}
	unavailable = outcome{"unavailable", http.StatusServiceUnavailable, "the event could not be stored"}

	outcomes = []outcome{
		accepted, modified, ping, ignored, malformed, unknownHook, unsigned, wrongSigned, wrongRepo, wrongMethod, encoded,
		tooLarge, tooSlow, broken, unavailable,
	}
)

// ServeHTTP implements http.Handler.
func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := rc.receive(w, r)
	rc.results.WithLabelValues(out.name).Inc()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	switch out.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusUnauthorized, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		h.Set("Connection", "close") // what is left of the body is not read
	}
	if out == ping {
		h.Set("Connection", "close") // nor is this one's
	}
	h.Set("Content-Length", strconv.Itoa(len(out.text)+1))
	w.WriteHeader(out.status)
	_, _ = io.WriteString(w, out.text+"\n")
}

func (rc *receiver) receive(w http.ResponseWriter, r *http.Request) outcome {
	if r.Method != http.MethodPost {
		return wrongMethod
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return encoded
	}
	// Taken back only when a whole body was read: after a refusal the server would wait for the rest of it.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(rc.ReadTimeout)) // not every writer in a test can
	if r.Header.Get("X-Event-Key") == bitbucket.EventPing {
		return ping
	}
	signature := r.Header.Get("X-Hub-Signature")
	if signature == "" {
		return unsigned
	}
	repo, secret, out := rc.lookUp(r)
	if out != accepted {
		return out
	}
	body, out := rc.read(w, r)
	if out != accepted {
		return out
	}
	began := time.Now()
	defer func() { rc.seconds.Observe(time.Since(began).Seconds()) }()
	if !bitbucket.VerifySignature(secret, signature, body) {
		return wrongSigned
	}
	return rc.handle(r, repo, body)
}

// read reads the body within the limits of size and of the time that receive set, as it was sent.
func (rc *receiver) read(w http.ResponseWriter, r *http.Request) ([]byte, outcome) {
	if r.ContentLength > bitbucket.MaxEventBytes {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bitbucket.MaxEventBytes))
	switch {
	case err == nil:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return body, accepted
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, tooSlow
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge
	}
	return nil, broken
}

// lookUp finds the repository and the secret of the hook that is addressed, if it is live.
func (rc *receiver) lookUp(r *http.Request) (magpie.Repo, magpie.Secret, outcome) {
	id := strings.TrimPrefix(r.URL.Path, Path)
	if !wellFormed(id) {
		return magpie.Repo{}, magpie.Secret{}, unknownHook
	}
	repo, secret, err := rc.Perimeter.Hook(r.Context(), magpie.HookID(id))
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
		return magpie.Repo{}, magpie.Secret{}, unknownHook
	case err != nil:
		rc.failed(r, "a webhook could not be looked up", err)
		return magpie.Repo{}, magpie.Secret{}, unavailable
	}
	return repo, secret, accepted
}

func wellFormed(id string) bool {
	if id == "" || len(id) > maxIDLength {
		return false
	}
	for _, b := range []byte(id) {
		if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z') {
			return false
		}
	}
	return true
}

// handle acts on a signed event.
func (rc *receiver) handle(r *http.Request, repo magpie.Repo, body []byte) outcome {
	key, id := r.Header.Get("X-Event-Key"), requestID(r, body)
	push, err := bitbucket.ParseEvent(key, id, body)
	out := accepted
	switch {
	case errors.Is(err, bitbucket.ErrIgnored):
		return ignored
	case err != nil:
		// It came from Bitbucket, about this repository; so it is a reason to look there, whatever it says.
		rc.Log.Warn("a signed event was not understood", "repository", repo.ID, "event", key, "error", err)
		push, out = magpie.Push{RemoteRepoID: repo.RemoteID, RequestID: id, EventKey: key}, malformed
	case push.RemoteRepoID != repo.RemoteID:
		// Ours got there while another repository had the name that we knew.
		rc.Log.Warn("a signed event is about another repository than its webhook", "repository", repo.ID, "event", key)
		if err := rc.Perimeter.HookStrayed(r.Context(), repo.ID, push.RemoteRepoID); err != nil {
			rc.failed(r, "a stray webhook could not be noted", err)
			return unavailable
		}
		return wrongRepo
	}
	if key == bitbucket.EventModified {
		if out == accepted {
			out = modified
		}
		err = rc.Perimeter.RepositoryModified(r.Context(), repo.ID)
	} else {
		err = rc.Accept(r.Context(), repo.ID, push)
	}
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound: // deselected since it was looked up
		return unknownHook
	case err != nil:
		rc.failed(r, "an event could not be stored", err)
		return unavailable
	}
	return out
}

// requestID returns what tells a delivery from its replay: the id that Bitbucket gives each or, should that be missing, the
// event itself.
func requestID(r *http.Request, body []byte) string {
	id := r.Header.Get("X-Request-Id")
	if id != "" && len(id) <= maxRequestID {
		return id
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (rc *receiver) failed(r *http.Request, what string, err error) {
	if r.Context().Err() == nil {
		rc.Log.Error(what, "error", err)
	}
}
