package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/web/api"
	"magpie/internal/web/hook"
	"magpie/internal/web/ui"
)

// stopPatience is how long running jobs and requests may take to finish when the server is told to stop.
const stopPatience = 20 * time.Second

// Run serves until ctx ends and then stops in order: no new requests, running jobs to their end or their next safe
// point, schedules. ready is called with the address once requests are answered; it may be nil.
func (a *App) Run(ctx context.Context, version string, ready func(net.Addr)) error {
	handler, err := a.handler(version)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", a.Config.Listen)
	if err != nil {
		return &magpie.Error{Kind: magpie.KindInvalid, Message: "can't listen on " + a.Config.Listen, Hint: "choose another address with MAGPIE_LISTEN", Err: err}
	}
	// Jobs outlive ctx by the time that Stop gives them.
	if err := a.Jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := a.Alerts.Resume(ctx); err != nil {
		a.Log.Error("taking up alerts that could not be sent earlier", "error", err)
	}
	servers := []*http.Server{a.newServer(handler)}
	listeners := []net.Listener{listener}
	if a.Config.MetricsListen != "" {
		l, err := net.Listen("tcp", a.Config.MetricsListen)
		if err != nil {
			return errors.Join(fmt.Errorf("listening for metrics on %s: %w", a.Config.MetricsListen, err), listener.Close(), a.stopJobs(ctx))
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", a.metricsHandler(false))
		servers, listeners = append(servers, a.newServer(mux)), append(listeners, l)
	}
	work, workCtx := errgroup.WithContext(ctx)
	for i := range servers {
		work.Go(func() error {
			if err := servers[i].Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving on %s: %w", listeners[i].Addr(), err)
			}
			return nil
		})
	}
	work.Go(func() error { return a.Perimeter.Run(workCtx) })
	work.Go(func() error { return a.Insights.Run(workCtx) })
	work.Go(func() error {
		<-workCtx.Done()
		return a.stop(ctx, servers)
	})
	if ready != nil {
		ready(listener.Addr())
	}
	return work.Wait()
}

func (a *App) stop(ctx context.Context, servers []*http.Server) error {
	a.Log.Info("stopping")
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	var errs []error
	for _, s := range servers {
		if err := s.Shutdown(patience); err != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, a.stopJobs(ctx))...)
}

func (a *App) stopJobs(ctx context.Context) error {
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	return a.Jobs.Stop(patience)
}

// newServer returns an HTTP server with limits against clients that are slow on purpose. Handlers that read a body
// set their own, shorter limits.
func (a *App) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
}

// handler is every way in.
func (a *App) handler(version string) (http.Handler, error) {
	pages, err := ui.New(ui.Options{
		DB: a.DB, Access: a.Access, Incidents: a.Incidents, Perimeter: a.Perimeter, Scans: a.Scans,
		SyncEvery: a.Config.SyncEvery, SweepEvery: a.Config.SweepEvery, InsightKey: a.Insights.Key(),
		Rule: a.ruleInfo, LineURL: bitbucket.LineURL, PublicURL: a.Config.PublicURL, Secure: secure(a.Config.PublicURL),
		Version: version, Mail: a.Mail != nil, ClientAddr: clientAddr(a.Config.TrustedProxies), Log: a.Log,
	})
	if err != nil {
		return nil, err
	}
	calls, err := api.New(api.Options{
		DB: a.DB, Access: a.Access, Incidents: a.Incidents, Perimeter: a.Perimeter, Scans: a.Scans,
		PublicURL: a.Config.PublicURL, InsightKey: a.Insights.Key(), Version: version, Log: a.Log,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(hook.Path, hook.New(hook.Options{Perimeter: a.Perimeter, Accept: a.Scans.Accept, Metrics: a.metrics, Log: a.Log}))
	mux.Handle("/api/v1/", calls)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.serveReady)
	if a.Config.MetricsListen == "" {
		mux.Handle("GET /metrics", a.metricsHandler(true))
	}
	mux.Handle("/", pages)
	return mux, nil
}

// serveReady says whether requests can be served: the database answers.
func (a *App) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := a.DB.Ping(ctx); err != nil {
		a.Log.Error("the database does not answer", "error", err)
		answer(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	answer(w, http.StatusOK, "ok")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

func (a *App) ruleInfo(id magpie.RuleID) (ui.RuleInfo, bool) {
	r := a.Engine.Rule(id)
	if r == nil {
		return ui.RuleInfo{}, false
	}
	return ui.RuleInfo{Description: r.Description, Remediation: r.Remediation, References: r.References}, true
}
