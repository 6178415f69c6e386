package apply

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"magpie"
)

func fakeServer(t *testing.T, status int, body string) *Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return &Client{Base: srv.URL, Token: magpie.NewSecret("made-up"), HTTP: srv.Client()}
}

func TestListThatDoesNotEnd(t *testing.T) {
	_, err := fakeServer(t, 200, `{"items":[],"next":"again"}`).integrations(context.Background())
	if magpie.KindOf(err) != magpie.KindUnavailable || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("got %v, want that the list does not end", err)
	}
}

func TestReasonsFitForTerminals(t *testing.T) {
	_, err := fakeServer(t, 422, `{"detail":"no \u001b[2J\nmagpie: all is well"}`).integrations(context.Background())
	if want := "no \uFFFD[2J\uFFFDmagpie: all is well"; err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
