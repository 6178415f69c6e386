package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/alert"
	"magpie/internal/config"
	"magpie/internal/detect"
	"magpie/internal/guard"
	"magpie/internal/incident"
	"magpie/internal/insight"
	"magpie/internal/mail"
	"magpie/internal/notify"
	"magpie/internal/perimeter"
	"magpie/internal/queue"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/verify"
	"magpie/rules"
)

// App is all of Magpie, open but not yet serving.
type App struct {
	Config    config.Config
	Log       *slog.Logger
	DB        *store.DB
	Keys      *seal.Keys
	Engine    *detect.Engine
	Guard     *guard.Guard
	Mail      *mail.Sender   // nil if no server is configured
	Notify    *notify.Sender // nil if there is no webhook or chat
	Jobs      *queue.Engine
	Access    *access.Service
	Alerts    *alert.Service
	Incidents *incident.Service
	Scans     *scan.Service
	Perimeter *perimeter.Service
	Insights  *insight.Service

	metrics  *prometheus.Registry
	instance string
	closers  []func() error // in the order of opening
}

// apiTimeout bounds one request to an outside HTTP API, answer included. Packs have no such bound; see smarthttp.Limits.
const apiTimeout = time.Minute

// Open opens the database and wires everything. The caller closes the App. It fails if another process works on the
// same data folder.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	a := &App{Config: cfg, Log: log, metrics: newMetrics(), instance: instanceName()}
	for _, open := range []func(context.Context) error{
		a.openFolders, a.openDatabase, a.openKeys, a.openOutgoing, a.openDetectors, a.openStages, a.openJobs,
	} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

// Close closes everything, last opened first. It may be called more than once.
func (a *App) Close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *App) openFolders(context.Context) error {
	for _, dir := range []string{a.Config.DataDir, a.Config.TempDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return magpie.Errorf(magpie.KindInvalid, "making the folder %s: %w", dir, err)
		}
	}
	unlock, err := lockFolder(a.Config.DataDir)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, unlock)
	return nil
}

func (a *App) openDatabase(ctx context.Context) error {
	db, err := store.Open(ctx, a.Config.Database)
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	a.DB = db
	a.metrics.MustRegister(db.Collectors()...)
	a.closers = append(a.closers, db.Close)
	return nil
}

// openKeys opens the data key with the master key, making each on the first start.
func (a *App) openKeys(ctx context.Context) error {
	master, created, err := seal.LoadOrCreateMaster(a.Config.MasterKeyFile)
	if err != nil {
		return err
	}
	if created {
		a.Log.Info("a new master key was made; keep a copy of it apart from the backups", "file", a.Config.MasterKeyFile)
	}
	return a.DB.Write(ctx, func(tx *store.Tx) error {
		id, wrapped, err := tx.DataKey(ctx)
		if err != nil {
			return err
		}
		if id == 0 {
			if wrapped, err = master.NewDataKey(); err != nil {
				return err
			}
			if err := tx.PutDataKey(ctx, 1, wrapped, time.Now().UnixMicro()); err != nil {
				return err
			}
			if _, wrapped, err = tx.DataKey(ctx); err != nil { // another instance may have been first
				return err
			}
		}
		a.Keys, err = master.Open(wrapped)
		return err
	})
}

func (a *App) openOutgoing(context.Context) error {
	roots, err := guard.LoadRoots(a.Config.CAFile...)
	if err != nil {
		return err
	}
	allow, err := guard.ParseAllow(a.Config.OutgoingAllow...)
	if err != nil {
		return err
	}
	a.Guard = guard.New(guard.Options{RootCAs: roots, AllowPrivate: allow, Proxy: a.Config.OutgoingProxy})
	a.closers = append(a.closers, func() error { a.Guard.CloseIdle(); return nil })
	if n := a.Config.Notify; n.URL != "" {
		a.Notify, err = notify.New(notify.Options{HTTP: a.Guard.Client(0), Kind: notify.Kind(n.Kind), URL: n.URL, Secret: n.Secret})
		if err != nil {
			return err
		}
	}
	m := a.Config.Mail
	if m.Host == "" {
		return nil
	}
	a.Mail, err = mail.New(mail.Options{
		Host: m.Host, Port: m.Port, Username: m.Username, Password: m.Password, TLS: mail.TLSMode(m.TLS), RootCAs: roots, From: m.From,
	})
	return err
}

func (a *App) openDetectors(context.Context) error {
	all, err := rules.All()
	if err != nil {
		return fmt.Errorf("loading the built-in detectors: %w", err)
	}
	a.Engine, err = detect.New(all, detect.Options{KeepIgnored: !a.Config.IgnoreComments})
	return err
}

// openStages makes the stages, from the end of the flow to its start, since each knows the next.
func (a *App) openStages(context.Context) error {
	var err error
	if a.Access, err = access.New(access.Options{DB: a.DB, Log: a.Log}); err != nil {
		return err
	}
	alerts := alert.Options{DB: a.DB, Notify: a.Notify, PublicURL: a.Config.PublicURL, Log: a.Log}
	if a.Mail != nil {
		alerts.Mail = a.Mail
	}
	a.Alerts = alert.New(alerts)
	incidents := incident.Options{
		DB: a.DB, Keys: a.Keys, Alerts: a.Alerts, Log: a.Log,
		OnChanged: func(ctx context.Context, tx *store.Tx, id magpie.IncidentID) error {
			return a.Insights.IncidentChanged(ctx, tx, id)
		},
	}
	if a.Config.Verify {
		hosts, allowed := verify.Hosts(a.Config.VerifyHosts, a.Engine.Rules())
		incidents.Verify = verify.New(verify.Options{HTTP: a.Guard.Client(apiTimeout), Hosts: hosts, Allowed: allowed, Log: a.Log})
		incidents.Rule = a.Engine.Rule
	}
	a.Incidents = incident.New(incidents)
	a.Scans = scan.New(scan.Options{
		DB: a.DB, Keys: a.Keys, Engine: a.Engine, Incidents: a.Incidents, TempDir: a.Config.TempDir,
		Reserve:     reserve(a.Config.TempReserve),
		Concurrency: scanWorkers(a.Config.ScanWorkers), Log: a.Log,
		// The stages know only the next one, so what flows back is wired here.
		OnTokenRefused: func(ctx context.Context, id magpie.IntegrationID) error { return a.Perimeter.TokenRefused(ctx, id) },
		GitHTTP: func(ctx context.Context, id magpie.IntegrationID) (*http.Client, error) {
			return a.Perimeter.GitClient(ctx, id)
		},
		OnScanned: func(ctx context.Context, tx *store.Tx, repo magpie.Repo, tips []magpie.Tip) error {
			return a.Insights.Scanned(ctx, tx, repo, tips)
		},
	})
	a.Perimeter = perimeter.New(perimeter.Options{
		DB: a.DB, Keys: a.Keys, HTTP: a.Guard.Client(apiTimeout), GitHTTP: a.Guard.Client(0), PublicURL: a.Config.PublicURL,
		Scans:          a.Scans,
		OnTokenInvalid: a.Alerts.TokenInvalid, SyncEvery: a.Config.SyncEvery, SweepEvery: a.Config.SweepEvery, Log: a.Log,
		TokenGrace: a.Config.TokenGrace, OnTokenExpires: a.Alerts.TokenExpires,
	})
	a.Insights = insight.New(insight.Options{
		DB: a.DB, Keys: a.Keys, Engine: a.Engine, Client: a.Perimeter.Client, PublicURL: a.Config.PublicURL, LookEvery: a.Config.SyncEvery, Log: a.Log,
	})
	return nil
}

func (a *App) openJobs(ctx context.Context) error {
	a.Jobs = queue.New(queue.Options{Database: a.DB.Native(), Reader: a.DB.NativeReader(), Instance: a.instance, Log: a.Log})
	a.Alerts.Register(a.Jobs)
	a.Incidents.Register(a.Jobs)
	a.Scans.Register(a.Jobs)
	a.Perimeter.Register(a.Jobs)
	a.Insights.Register(a.Jobs)
	if err := a.Jobs.Open(ctx); err != nil {
		return err
	}
	a.DB.SetEnqueuer(a.Jobs)
	return nil
}

// scanWorkers is how many history scans run at once: as configured, or half the processors.
func scanWorkers(configured int) int {
	if configured > 0 {
		return configured
	}
	return max(runtime.GOMAXPROCS(0)/2, 1)
}

// reserve is what stays free where packs are spooled, in bytes, as the scan stage wants it: negative for none.
func reserve(mib int) int64 {
	if mib == 0 {
		return -1
	}
	return int64(mib) << 20
}

// instanceName tells this process from all others that share its database, and from its own earlier lives.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + store.NewID[string]()
}

// secure reports whether people reach the server over TLS.
func secure(publicURL string) bool { return strings.HasPrefix(publicURL, "https://") }

// loopback reports whether a remote address is of this machine.
func loopback(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
