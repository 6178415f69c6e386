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

// metricsHandler serves the metrics. Unless they have an address of their own, only this machine may read them, and with an
// https address for the public nobody: then a reverse proxy is in front, every request comes from it, and not all of
// them say on whose behalf.
func (a *App) metricsHandler(public bool) http.Handler {
	behindProxy := secure(a.Config.PublicURL)
	handler := promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarded := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
		if public && (behindProxy || !loopback(r.RemoteAddr) || forwarded) {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
