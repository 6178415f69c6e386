package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Who waits for SQLite's one writer.
const (
	writesEvent    = "event"  // WriteEvent
	writesTogether = "shared" // WriteTogether
	writesAlone    = "alone"  // Write
)

// metrics tell whether the one writer of SQLite is the bottleneck. On PostgreSQL they stay empty.
type metrics struct {
	wait *prometheus.HistogramVec
	held prometheus.Histogram
}

func newMetrics() metrics {
	buckets := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := metrics{
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "magpie_database_write_wait_seconds", Help: "How long changes waited for SQLite's one writer, by who writes.", Buckets: buckets,
		}, []string{"kind"}),
		held: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "magpie_database_write_seconds", Help: "How long SQLite transactions took; changes that waited together share one.", Buckets: buckets,
		}),
	}
	for _, kind := range []string{writesEvent, writesTogether, writesAlone} {
		m.wait.WithLabelValues(kind) // so that zeros are there before anything happens
	}
	return m
}

func (m metrics) waited(kind string, d time.Duration) {
	m.wait.WithLabelValues(kind).Observe(d.Seconds())
}

func (m metrics) wrote(began time.Time) { m.held.Observe(time.Since(began).Seconds()) }

// Collectors returns what a server shows about its database.
func (db *DB) Collectors() []prometheus.Collector {
	return []prometheus.Collector{db.metrics.wait, db.metrics.held}
}
