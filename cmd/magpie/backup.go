package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"magpie"
	"magpie/internal/app"
	"magpie/internal/config"
	"magpie/internal/store"
)

// backupCommand copies the database.
type backupCommand struct {
	settings
	Target string `arg:"" type:"path" help:"File to write, which must not exist, or a folder, in which one named after the time is made."`
}

// sqlitePath returns the file of the database, or why there is none.
func sqlitePath(cfg config.Config, instead string) (string, error) {
	path, embedded := strings.CutPrefix(cfg.Database, "sqlite:")
	if embedded {
		return path, nil
	}
	return "", &magpie.Error{
		Kind: magpie.KindInvalid, Message: "the database is PostgreSQL, which has tools of its own for this", Hint: instead,
	}
}

// Run writes the copy.
func (c *backupCommand) Run(p *process) error {
	cfg, _, err := c.load(p)
	if err != nil {
		return err
	}
	path, err := sqlitePath(cfg, "use pg_dump --format=custom, and keep a copy of "+cfg.MasterKeyFile+" apart from it")
	if err != nil {
		return err
	}
	target := c.Target
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		target = filepath.Join(target, "magpie-"+time.Now().UTC().Format("20060102-150405")+".db")
	}
	if err := store.CopySQLite(p.ctx, path, target); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "the database was copied to %s\nThe copy can be read only with the master key %s: keep a copy of that too, at another place.\n",
		target, cfg.MasterKeyFile)
	return err
}

// restoreCommand puts a backup in place of the database.
type restoreCommand struct {
	settings
	File    string `arg:"" type:"existingfile" help:"File that magpie backup wrote."`
	Replace bool   `help:"Put it in place of an existing database, which is kept beside it under another name."`
}

// Run checks the backup and copies it into place while no server runs.
func (c *restoreCommand) Run(p *process) error {
	cfg, _, err := c.load(p)
	if err != nil {
		return err
	}
	path, err := sqlitePath(cfg, "use pg_restore")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return magpie.Errorf(magpie.KindInvalid, "making the folder %s: %w", cfg.DataDir, err)
	}
	unlock, err := app.LockData(cfg)
	if err != nil {
		return err
	}
	kept, err := c.replace(p, path)
	if err := errors.Join(err, unlock()); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s was put in place as %s\nall sessions and API tokens in it were ended: sign in again, and make new tokens\n", c.File, path)
	if kept != "" {
		fmt.Fprintf(p.stdout, "the database before it is kept as %s\n", kept)
	}
	if _, err := os.Stat(cfg.MasterKeyFile); err != nil {
		fmt.Fprintf(p.stdout, "now restore the master key too, as %s: without it the sealed values can't be opened\n", cfg.MasterKeyFile)
	}
	return nil
}

// replace puts the backup at path and returns where the database before it is kept, if there was one.
func (c *restoreCommand) replace(p *process, path string) (kept string, err error) {
	if err := store.CheckSQLite(p.ctx, c.File); err != nil {
		return "", err
	}
	next := path + ".restoring"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("removing what an earlier attempt left: %w", err)
	}
	if err := store.CopySQLite(p.ctx, c.File, next); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(next))
		}
	}()
	// Before it is in place, so that none works for a moment.
	if err := store.EndLogins(p.ctx, next); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		if !c.Replace {
			return "", &magpie.Error{
				Kind: magpie.KindConflict, Message: "there is a database at " + path, Hint: "say --replace to put the backup in its place",
			}
		}
		kept = path + ".before-" + time.Now().UTC().Format("20060102-150405")
		// The write-ahead log belongs to the old file: under the new one's name it would damage that.
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Rename(path+suffix, kept+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return "", fmt.Errorf("keeping the database before: %w", err)
			}
		}
	}
	if err := os.Rename(next, path); err != nil {
		return kept, fmt.Errorf("putting the backup in place: %w", err)
	}
	return kept, nil
}
