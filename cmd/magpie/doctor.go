package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"magpie"
	"magpie/internal/app"
	"magpie/internal/config"
	"magpie/internal/store"
)

// doctorCommand looks at an installation and says what to fix. It changes nothing and can run beside the server.
type doctorCommand struct {
	settings
}

// errUnhealthy is returned when something is broken; what it is has been printed.
var errUnhealthy = errors.New("something needs to be fixed")

// examination is one run of the doctor.
type examination struct {
	process *process
	cfg     config.Config
	broken  int
}

// patience bounds every question to an outside system.
const patience = 30 * time.Second

// integrationPatience bounds the examination of one Bitbucket, which may have ten thousand repositories to count.
const integrationPatience = 5 * time.Minute

// Run checks everything that can be checked, the first trouble notwithstanding.
func (c *doctorCommand) Run(p *process) error {
	x := &examination{process: p}
	cfg, log, err := c.load(p)
	if err != nil {
		x.report("settings", err, "")
		return errUnhealthy
	}
	x.cfg = cfg
	x.report("settings", nil, "all are well formed")
	for _, name := range config.UnknownEnvironment(p.environ) {
		fmt.Fprintf(p.stdout, "note     %s is no setting of Magpie\n", name)
	}
	x.report("data folder", x.folder(cfg.DataDir), cfg.DataDir)
	if x.exists() {
		x.data(func() (*app.App, error) { return app.Inspect(p.ctx, cfg, log) })
	} else {
		fmt.Fprintf(p.stdout, "note     there is no database yet; the first start of the server makes it\n")
	}
	if x.broken > 0 {
		return errUnhealthy
	}
	return nil
}

// report prints one line about a part, and what to do if there is trouble.
func (x *examination) report(part string, err error, fine string) {
	if err == nil {
		x.line("ok       %s: %s", part, fine)
		return
	}
	x.broken++
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, problem := range problems {
			x.line("BROKEN   %s: %s: %s", part, problem.Field, problem.Message)
			x.hint(problem)
		}
		return
	}
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok || e.Kind == magpie.KindInternal {
		x.line("BROKEN   %s: %v", part, err)
		return
	}
	x.line("BROKEN   %s: %s", part, e.Message)
	x.hint(e)
}

func (x *examination) hint(e *magpie.Error) {
	if e.Hint != "" {
		x.line("         → %s", e.Hint)
	}
}

// line prints one line. Names and reasons in it come from outside, so it must be none that steers a terminal.
func (x *examination) line(format string, args ...any) {
	fmt.Fprintln(x.process.stdout, magpie.Printable(fmt.Sprintf(format, args...)))
}

// exists reports whether there is a database to look at. One on a server is always looked at.
func (x *examination) exists() bool {
	path, embedded := strings.CutPrefix(x.cfg.Database, "sqlite:")
	_, err := os.Stat(path)
	return !embedded || err == nil
}

// folder checks that a folder is there for us alone and can be written to.
func (x *examination) folder(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // the server makes it
	case err != nil:
		return magpie.Errorf(magpie.KindInvalid, "%s can't be read: %w", dir, err)
	case !info.IsDir():
		return magpie.Errorf(magpie.KindInvalid, "%s is not a folder", dir)
	case info.Mode().Perm()&0o077 != 0:
		return &magpie.Error{
			Kind: magpie.KindInvalid, Message: fmt.Sprintf("%s is open to others (mode %04o)", dir, info.Mode().Perm()), Hint: "chmod 700 " + dir,
		}
	}
	probe, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		return &magpie.Error{Kind: magpie.KindInvalid, Message: dir + " can't be written to", Hint: "run the doctor as the user that the server runs as", Err: err}
	}
	return errors.Join(probe.Close(), os.Remove(filepath.Join(dir, filepath.Base(probe.Name()))))
}

// data checks database, key, mail server and integrations.
func (x *examination) data(open func() (*app.App, error)) {
	a, err := open()
	if err != nil {
		x.report("database and keys", err, "")
		return
	}
	defer a.Close()
	kind := "PostgreSQL"
	if a.DB.Embedded() {
		kind = "SQLite"
	}
	x.report("database", a.DB.Ping(x.process.ctx), kind+", it answers")
	if a.Keys != nil {
		x.report("master key", nil, "it opens what is sealed")
	}
	x.mail(a)
	x.integrations(a)
}

func (x *examination) mail(a *app.App) {
	if a.Mail == nil {
		fmt.Fprintf(x.process.stdout, "note     no mail server is configured, so nobody is told about incidents\n")
		return
	}
	ctx, cancel := context.WithTimeout(x.process.ctx, patience)
	defer cancel()
	x.report("mail server", a.Mail.Check(ctx), x.cfg.Mail.Host+" answers")
}

func (x *examination) integrations(a *app.App) {
	ctx := x.process.ctx
	all, err := store.Query(ctx, a.DB, func(tx *store.Tx) ([]magpie.Integration, error) { return tx.Integrations(ctx) })
	if err != nil {
		x.report("integrations", err, "")
		return
	}
	if len(all) == 0 {
		fmt.Fprintf(x.process.stdout, "note     no Bitbucket is connected yet\n")
	}
	for _, i := range all {
		x.integration(a, i)
	}
}

// integration looks at one connected Bitbucket from the outside in.
func (x *examination) integration(a *app.App, i magpie.Integration) {
	asking, cancel := context.WithTimeout(x.process.ctx, integrationPatience)
	defer cancel()
	found, err := a.Perimeter.Examine(asking, i.ID)
	if err != nil {
		x.report("Bitbucket "+i.BaseURL, err, "")
	}
	for _, part := range found {
		x.report("Bitbucket "+i.BaseURL+", "+part.Part, part.Err, part.Fine)
	}
}
