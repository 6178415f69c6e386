package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"magpie/internal/app"
	"magpie/internal/config"
)

// settings is the flag of every command that works with the server's settings.
type settings struct {
	Config string `type:"path" placeholder:"FILE" help:"TOML file with settings; see docs/config.md. MAGPIE_* variables win."`
}

// load reads the settings and makes the log.
func (s settings) load(p *process) (config.Config, *slog.Logger, error) {
	cfg, err := config.Load(s.Config, p.environ)
	if err != nil {
		return config.Config{}, nil, err
	}
	return cfg, newLog(p.stderr, cfg), nil
}

// open opens the whole product on the configured data, which no other process may be using.
func (s settings) open(p *process) (*app.App, error) {
	cfg, log, err := s.load(p)
	if err != nil {
		return nil, err
	}
	return app.Open(p.ctx, cfg, log)
}

func newLog(w io.Writer, cfg config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // the settings were checked, so this can't happen
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// serveCommand runs the server.
type serveCommand struct {
	settings
}

// Run serves until the process is told to stop.
func (c *serveCommand) Run(p *process) error {
	cfg, log, err := c.load(p)
	if err != nil {
		return err
	}
	for _, name := range config.UnknownEnvironment(p.environ) {
		log.Warn("this environment variable is no setting of Magpie", "name", name)
	}
	a, err := app.Open(p.ctx, cfg, log)
	if err != nil {
		return err
	}
	needed, err := a.Access.SetupNeeded(p.ctx)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	ready := func(addr net.Addr) {
		hint := ""
		if needed {
			hint = "; open it to create the Owner's account"
		}
		fmt.Fprintf(p.stdout, "magpie listens on %s, reached as %s%s\n", addr, cfg.PublicURL, hint)
	}
	return errors.Join(a.Run(p.ctx, version(), ready), a.Close())
}
