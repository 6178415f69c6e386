package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"magpie"
	"magpie/internal/store"
)

// statuses is the one table from kinds of error to HTTP statuses.
var statuses = map[magpie.Kind]int{
	magpie.KindInternal:     http.StatusInternalServerError,
	magpie.KindInvalid:      http.StatusUnprocessableEntity,
	magpie.KindUnauthorized: http.StatusUnauthorized,
	magpie.KindForbidden:    http.StatusForbidden,
	magpie.KindNotFound:     http.StatusNotFound,
	magpie.KindConflict:     http.StatusConflict,
	magpie.KindTooLarge:     http.StatusRequestEntityTooLarge,
	magpie.KindRateLimited:  http.StatusTooManyRequests,
	magpie.KindUnavailable:  http.StatusBadGateway,
	magpie.KindTokenInvalid: http.StatusUnprocessableEntity, // Bitbucket refused its token; the caller's is fine
	magpie.KindNoLicence:    http.StatusUnprocessableEntity, // likewise
}

// problem turns an error into a problem document. What is no *magpie.Error is logged under an id and told as that.
func (s *server) problem(ctx context.Context, err error) *huma.ErrorModel {
	status := statuses[magpie.KindOf(err)]
	m := &huma.ErrorModel{Status: status, Title: http.StatusText(status)}
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok || e.Kind == magpie.KindInternal {
		id := store.NewID[string]()
		s.Log.ErrorContext(ctx, "an API call failed", "id", id, "error", err)
		m.Detail, m.Instance = "internal error, see the log of the server", "urn:uuid:"+id
		return m
	}
	m.Detail = e.Message
	if e.Hint != "" {
		m.Detail += "; " + e.Hint
	}
	if e.Field != "" {
		m.Errors = []*huma.ErrorDetail{{Location: e.Field, Message: e.Message}}
	}
	return m
}

// write answers with a problem outside of an operation's own way.
func (s *server) write(hc huma.Context, m *huma.ErrorModel) {
	body, err := json.Marshal(m)
	if err != nil {
		s.Log.Error("writing a problem document", "error", err)
	}
	hc.SetHeader("Content-Type", "application/problem+json")
	hc.SetStatus(m.Status)
	_, _ = hc.BodyWriter().Write(body) // the caller has gone; nothing to do
}

// withoutValues takes the values that a caller sent out of the complaints about them: one could be a token.
func withoutValues(_ huma.Context, _ string, body any) (any, error) {
	if m, ok := body.(*huma.ErrorModel); ok {
		for _, detail := range m.Errors {
			detail.Value = nil
		}
	}
	return body, nil
}
