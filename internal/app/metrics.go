package app

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func newMetrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// metricsHandler serves the metrics. Unless they have an address of their own, only this machine may read them: a
// request that a reverse proxy passes on comes from this machine too, but says on whose behalf.
func (a *App) metricsHandler(public bool) http.Handler {
	handler := promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarded := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
		if public && (!loopback(r.RemoteAddr) || forwarded) {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
