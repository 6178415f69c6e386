package bitbucketsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"
)

// What tests and the demo see and steer of the delivery engine.

// SetDeliveries chooses the trouble on the way of webhooks from now on, and sends what an earlier mode held back.
func (s *Server) SetDeliveries(m DeliveryMode) {
	e := s.hooks
	e.mu.Lock()
	defer e.mu.Unlock()
	e.releaseHeld()
	e.mode = m
}

// Deliveries returns the delivery log, oldest first.
func (s *Server) Deliveries() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	return slices.Clone(s.hooks.log)
}

// WaitDelivered waits until no delivery is queued, delayed or running. Held back ones do not count.
func (s *Server) WaitDelivered(ctx context.Context) error {
	return s.hooks.wait(ctx, func(e *engine) bool { return e.pending == 0 })
}

// WaitDeliveries waits until n deliveries have ever been finished, whatever the outcome.
func (s *Server) WaitDeliveries(ctx context.Context, n int) error {
	return s.hooks.wait(ctx, func(e *engine) bool { return e.finished >= n })
}

func (e *engine) wait(ctx context.Context, ready func(*engine) bool) error {
	for {
		e.mu.Lock()
		ok, changed, pending, finished := ready(e), e.changed, e.pending, e.finished
		e.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for deliveries (%d pending, %d finished): %w", pending, finished, ctx.Err())
		}
	}
}

// Redeliver sends the logged delivery with the given id again, with its old id and signature, as a replay would.
func (s *Server) Redeliver(id string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.hooks
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.log, func(d Delivery) bool { return d.ID == id })
	if i < 0 {
		return fmt.Errorf("no delivery %s in the log", id)
	}
	d := e.log[i]
	k := slices.IndexFunc(s.st.Hooks, func(h *webhook) bool { return h.ID == d.Hook })
	if k < 0 {
		return fmt.Errorf("the webhook of delivery %s is gone", id)
	}
	m := e.message(target{*s.st.Hooks[k], d.Repo}, d.Event, d.Body)
	m.ID, m.Signature = d.ID, d.Signature
	m.header.Set("X-Request-Id", d.ID)
	if m.header.Del("X-Hub-Signature"); d.Signature != "" {
		m.header.Set("X-Hub-Signature", d.Signature)
	}
	e.enqueue(m)
	return nil
}

type pingResult struct {
	Request  pingRequest   `json:"request"`
	Response *pingResponse `json:"response,omitempty"`
	Error    string        `json:"error,omitempty"`
}

type pingRequest struct {
	URL     string              `json:"url"`
	Method  string              `json:"method"`
	Headers map[string][]string `json:"headers"`
	Body    string              `json:"body"`
}

type pingResponse struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// ping posts a diagnostics:ping, which is never signed, and tells what came back.
func (e *engine) ping(url string, verify bool) pingResult {
	body, _ := json.Marshal(map[string]bool{"test": true})
	m := &message{verify: verify, Delivery: Delivery{ID: uuid.NewString(), Event: "diagnostics:ping", URL: url, Body: body}}
	m.header = http.Header{
		"X-Event-Key": {m.Event}, "X-Request-Id": {m.ID}, "Content-Type": {"application/json; charset=UTF-8"}, "User-Agent": {e.userAgent()},
	}
	outcome := e.send(m)
	e.mu.Lock()
	e.finish(m, outcome)
	e.mu.Unlock()
	res := pingResult{Request: pingRequest{url, http.MethodPost, m.header, string(body)}, Error: m.Err}
	if m.Status != 0 {
		res.Response = &pingResponse{m.Status, map[string]string{}, string(m.Response)}
		for name := range m.answered {
			res.Response.Headers[name] = m.answered.Get(name)
		}
	}
	return res
}
