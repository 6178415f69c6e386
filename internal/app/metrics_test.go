package app

import (
	"net/http/httptest"
	"testing"

	"magpie/internal/config"
)

func TestWhoMayReadMetrics(t *testing.T) {
	for _, tt := range []struct {
		name, publicURL, remote, forwarded string
		public                             bool
		want                               int
	}{
		{"this machine", "http://127.0.0.1:8080", "127.0.0.1:1234", "", true, 200},
		{"another machine", "http://127.0.0.1:8080", "203.0.113.9:1234", "", true, 404},
		{"a proxy on this machine", "http://127.0.0.1:8080", "127.0.0.1:1234", "203.0.113.9", true, 404},
		{"a proxy that tells nothing", "https://magpie.example", "127.0.0.1:1234", "", true, 404},
		{"an address of its own", "https://magpie.example", "203.0.113.9:1234", "", false, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &App{Config: config.Config{PublicURL: tt.publicURL}, metrics: newMetrics()}
			r, rec := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
			r.RemoteAddr = tt.remote
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			if a.metricsHandler(tt.public).ServeHTTP(rec, r); rec.Code != tt.want {
				t.Errorf("answered with %d, want %d", rec.Code, tt.want)
			}
		})
	}
}
