package api

import (
	"context"
	"time"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/perimeter"
)

// tuning adds the operation about how fast events come.
func (s *server) tuning() {
	add(s, operation{
		id: "get-tuning", method: "GET", path: "/integrations/{id}/tuning", need: access.ViewPerimeter, tag: "integrations",
		summary: "Get how late Bitbucket delivers its events, and which of its properties to change",
	}, s.getTuning)
}

type tuningView struct {
	Deliveries  int        `json:"deliveries" doc:"Events of the last seven days that were measured."`
	Since       *time.Time `json:"since,omitempty" doc:"When the oldest of them came."`
	Median      float64    `json:"median_seconds"`
	P95         float64    `json:"p95_seconds" doc:"95 of 100 events came within that time."`
	Longest     float64    `json:"longest_seconds"`
	Peak        float64    `json:"peak_per_second" doc:"Events a second in the busiest ten seconds."`
	Slow        bool       `json:"slow" doc:"Something should be changed."`
	Threads     int        `json:"io_threads" doc:"What plugin.webhooks.io.threads should be."`
	Connections int        `json:"host_connections" doc:"What plugin.webhooks.http.connection.host.max should be."`
	Advice      string     `json:"advice"`
}

func (s *server) getTuning(ctx context.Context, _ magpie.User, in *IntegrationPath) (tuningView, error) {
	t, err := s.Perimeter.Tuning(ctx, in.id())
	return viewTuning(t), err
}

func viewTuning(t perimeter.Tuning) tuningView {
	return tuningView{
		Deliveries: t.Deliveries, Since: when(t.Since), Median: t.Median.Seconds(), P95: t.P95.Seconds(), Longest: t.Longest.Seconds(),
		Peak: t.Peak, Slow: t.Slow, Threads: t.Threads, Connections: t.Connections, Advice: t.Advice,
	}
}
