package bitbucket

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"magpie"
)

// Invocation is what Bitbucket remembers of its last attempt to deliver an event through a webhook.
type Invocation struct {
	Event    string
	Outcome  string // OutcomeSuccess, OutcomeFailure (answered, but not with 2xx) or OutcomeError (no answer)
	Result   string // in Bitbucket's words
	At       time.Time
	Duration time.Duration // from request to answer, as Bitbucket saw it
}

// The outcomes of an invocation.
const (
	OutcomeSuccess = "SUCCESS"
	OutcomeFailure = "FAILURE"
	OutcomeError   = "ERROR"
)

// LastInvocation returns the last attempt of a webhook; false if there was none since Bitbucket started.
func (c *Client) LastInvocation(ctx context.Context, key, slug string, hook int64) (Invocation, bool, error) {
	var wire struct {
		Event    text    `json:"event"`
		Start    instant `json:"start"`
		Duration number  `json:"duration"` // milliseconds
		Result   struct {
			Outcome     text `json:"outcome"`
			Description text `json:"description"`
		} `json:"result"`
	}
	ans, err := c.call(ctx, http.MethodGet, hookPath(key, slug, hook)+"/latest", nil, nil, &wire)
	if err != nil || ans.status == http.StatusNoContent {
		return Invocation{}, false, err
	}
	return Invocation{
		Event: oneLine(string(wire.Event)), Outcome: string(wire.Result.Outcome), Result: oneLine(string(wire.Result.Description)), At: wire.Start.Time,
		Duration: time.Duration(wire.Duration) * time.Millisecond,
	}, true, nil
}

// TestWebhook lets Bitbucket send a ping to an address and returns the status that it was answered with. That Bitbucket
// can't reach the address is an error of KindUnavailable in Bitbucket's own words.
func (c *Client) TestWebhook(ctx context.Context, key, slug, address string) (status int, err error) {
	query := url.Values{"url": {address}, "sslVerificationRequired": {"true"}}
	var wire struct {
		Message  text `json:"message"`
		Error    text `json:"error"`
		Response struct {
			Status number `json:"status"`
		} `json:"response"`
	}
	if _, err := c.call(ctx, http.MethodPost, repoPath(key, slug, "/webhooks/test"), query, struct{}{}, &wire); err != nil {
		return 0, err
	}
	if wire.Response.Status == 0 {
		said := orElse(oneLine(string(wire.Error)), orElse(oneLine(string(wire.Message)), "there was no answer"))
		return 0, magpie.Errorf(magpie.KindUnavailable, "Bitbucket says about %s: %s", address, said)
	}
	return int(wire.Response.Status), nil
}
