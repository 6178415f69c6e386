package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"magpie/internal/config"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Inspect opens what is needed to look at an installation and to ask its Bitbuckets and its mail server, beside a
// running server. Unlike Open it takes no lock, makes no key, and can run no jobs. The database must exist.
func Inspect(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	a := &App{Config: cfg, Log: log, metrics: newMetrics(), instance: instanceName()}
	for _, open := range []func(context.Context) error{a.openDatabase, a.readKeys, a.openOutgoing, a.openStages} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

// readKeys opens the data key with the master key that there is. Without a data key nothing is sealed yet.
func (a *App) readKeys(ctx context.Context) error {
	var wrapped []byte
	var id int64
	err := a.DB.Read(ctx, func(tx *store.Tx) (err error) {
		id, wrapped, err = tx.DataKey(ctx)
		return err
	})
	if err != nil || id == 0 {
		return err
	}
	master, err := seal.LoadMaster(a.Config.MasterKeyFile)
	if err != nil {
		return fmt.Errorf("the database holds sealed values: %w", err)
	}
	a.Keys, err = master.Open(wrapped)
	return err
}

// LockData keeps every other magpie process away from the data folder until unlock is called.
func LockData(cfg config.Config) (unlock func() error, err error) { return lockFolder(cfg.DataDir) }
