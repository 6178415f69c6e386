package bitbucketsim

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"

	"github.com/google/uuid"
)

// RawDelivery is a request to a webhook receiver that need not be one the server would make: forged, compressed, signed
// with a wrong secret, or not signed at all.
type RawDelivery struct {
	URL       string
	Event     string // X-Event-Key; default repo:refs_changed
	Body      []byte
	Secret    string      // signs the body as the server does; empty for no signature
	Signature string      // X-Hub-Signature as it is, in place of one made with Secret
	Gzip      bool        // compress the body, which the server never does
	Header    http.Header // more headers, also in place of the usual ones
}

// SendRaw makes such a request once, past queue, breaker and log, and returns what was answered (up to 64 KiB of it).
// It trusts what webhooks with verification trust.
func (s *Server) SendRaw(ctx context.Context, d RawDelivery) (status int, answer []byte, err error) {
	setDefault(&d.Event, "repo:refs_changed")
	body := d.Body
	if d.Gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		w.Write(body) // a buffer takes everything
		w.Close()
		body = packed.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("making a delivery: %w", err)
	}
	h := req.Header
	h.Set("X-Event-Key", d.Event)
	h.Set("X-Request-Id", uuid.NewString())
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("User-Agent", s.hooks.userAgent())
	if d.Gzip {
		h.Set("Content-Encoding", "gzip")
	}
	if d.Secret != "" {
		h.Set("X-Hub-Signature", signHook(d.Secret, d.Body))
	}
	if d.Signature != "" {
		h.Set("X-Hub-Signature", d.Signature)
	}
	maps.Copy(h, d.Header)
	resp, err := s.hooks.verified.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("sending a delivery: %w", err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, answer, err
}
