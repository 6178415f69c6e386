package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"magpie"
	"magpie/internal/app"
	"magpie/internal/bitbucketsim"
	"magpie/internal/config"
	"magpie/internal/demo"
	"magpie/internal/mail/mailcatcher"
	"magpie/internal/port"
)

// demoCommand shows the product at work: the real server, as a process of its own on fresh data, connected over TLS to
// a simulated Bitbucket, with its mail caught.
type demoCommand struct {
	Exit     bool   `help:"Play the story once, check that every planted secret and nothing else became an incident with its mail, and exit."`
	Kill     bool   `help:"Kill the server three times in the middle of the story: during the set-up of webhooks, a history scan, and right after an acknowledged push."`
	Pushes   int    `placeholder:"N" help:"With --exit: then push N secrets, one at a time, and print how long incident and mail took."`
	Dir      string `type:"path" placeholder:"DIR" help:"Keep everything in this empty folder. Default: a temporary one, removed at the end."`
	Listen   string `placeholder:"ADDR" help:"Address of the web app. Default: 127.0.0.1:8080, or any free port if that is taken."`
	Database string `placeholder:"URL" help:"Run on this empty PostgreSQL database instead of SQLite."`
	Seed     uint64 `default:"1" help:"Another number makes other histories and secrets."`
}

// The Owner's account of the demo.
const (
	demoOwner    = "owner@example.com"
	demoPassword = 20 // characters
)

// errUntrue is returned by a story that did not come out as planted; what was wrong has been printed.
var errUntrue = errors.New("the story did not come out as planted")

// Run shows the demo.
func (c *demoCommand) Run(p *process) error {
	d := &demoStage{command: c, process: p, password: magpie.NewSecret(rand.Text()[:demoPassword]), started: time.Now()}
	err := errors.Join(d.play(), d.close())
	if err != nil && d.dir != "" && c.Dir != "" {
		fmt.Fprintf(p.stderr, "magpie: the server's log is %s\n", d.path("server.log"))
	}
	return err
}

// demoStage is all that runs during a demo.
type demoStage struct {
	command  *demoCommand
	process  *process
	started  time.Time
	dir      string
	password magpie.Secret
	world    *demo.World
	mails    *mailcatcher.Catcher
	inbox    string // address of the caught mail
	server   *demoServer
	story    *demo.Story
	closers  []func() error // in the order of opening

	mu sync.Mutex // guards printing
}

func (d *demoStage) path(name string) string { return filepath.Join(d.dir, name) }

func (d *demoStage) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.process.stdout, "%7.2fs  %s\n", time.Since(d.started).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demoStage) close() error {
	var errs []error
	for _, c := range slices.Backward(d.closers) {
		errs = append(errs, c())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// play opens the stage and plays on it.
func (d *demoStage) play() error {
	for _, open := range []func() error{d.openDir, d.openWorld, d.openMail, d.openServer} {
		if err := open(); err != nil {
			return err
		}
	}
	fmt.Fprintf(d.process.stdout, "\n  web app      %s\n  login        %s  %s\n  caught mail  %s\n  Bitbucket    %s (simulated)\n\n",
		d.server.url, demoOwner, d.password.Reveal(), d.inbox, d.world.Sim.URL())
	ctx := d.process.ctx
	err := d.story.Begin(ctx)
	if err == nil {
		err = d.story.Continue(ctx)
	}
	if err == nil {
		err = d.check(ctx)
	}
	switch {
	case err != nil || d.command.Exit:
		return err
	case ctx.Err() != nil:
		return nil
	}
	return d.stay(ctx)
}

func (d *demoStage) openDir() error {
	if dir := d.command.Dir; dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return magpie.Errorf(magpie.KindInvalid, "making the folder %s: %w", dir, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			return &magpie.Error{Kind: magpie.KindInvalid, Message: fmt.Sprintf("the folder %s is not empty", dir), Hint: "the demo starts with nothing; name an empty or new folder"}
		}
		d.dir = dir
		return nil
	}
	dir, err := os.MkdirTemp("", "magpie-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	d.dir = dir
	d.closers = append(d.closers, func() error { return os.RemoveAll(dir) })
	return nil
}

func (d *demoStage) openWorld() error {
	world, err := demo.New(bitbucketsim.Options{DataDir: d.path("bitbucket")}, d.command.Seed)
	if err != nil {
		return err
	}
	d.world = world
	d.closers = append(d.closers, world.Close)
	d.say("a simulated Bitbucket %s with %d repositories and %d commits", world.Sim.Version(), len(world.Repos()), world.Commits())
	return nil
}

// openMail starts the mail server, with STARTTLS by a certificate of the Bitbucket's authority, and its inbox.
func (d *demoStage) openMail() error {
	certificate, err := d.world.Sim.IssueCertificate("127.0.0.1", "localhost")
	if err != nil {
		return err
	}
	d.mails = mailcatcher.New(mailcatcher.Options{Certificate: &certificate})
	smtp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for mail: %w", err)
	}
	go d.mails.Serve(smtp)
	pages, err := listenNear("127.0.0.1:8025")
	if err != nil {
		return fmt.Errorf("listening for the inbox: %w", err)
	}
	inbox := &http.Server{Handler: d.mails.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go inbox.Serve(pages)
	d.inbox = "http://" + pages.Addr().String()
	d.closers = append(d.closers, d.keepMails, d.mails.Close, inbox.Close)
	return d.configure(smtp.Addr().(*net.TCPAddr).Port)
}

// keepMails writes what was caught beside everything else, where that is kept.
func (d *demoStage) keepMails() error {
	if d.command.Dir == "" {
		return nil
	}
	var raw []byte
	for _, m := range d.mails.Messages() {
		raw = append(raw, m.Raw+"\n"...)
	}
	return os.WriteFile(d.path("mails.eml"), raw, 0o600)
}

// configure decides with which settings the server will run.
func (d *demoStage) configure(smtpPort int) error {
	listen := d.command.Listen
	if listen == "" {
		held, err := port.Near(8080) // to the end, since the server may be started more than once
		if err != nil {
			return fmt.Errorf("finding a port for the web app: %w", err)
		}
		d.closers = append(d.closers, held.Close)
		listen = held.Address()
	}
	set := map[string]string{
		"MAGPIE_LISTEN": listen, "MAGPIE_PUBLIC_URL": "http://" + listen, "MAGPIE_DATA_DIR": d.path("data"),
		"MAGPIE_CA_FILE": d.world.Sim.CAFile(), "MAGPIE_OUTGOING_ALLOW": "127.0.0.0/8", "MAGPIE_MAIL_HOST": "127.0.0.1",
		"MAGPIE_MAIL_PORT": fmt.Sprint(smtpPort), "MAGPIE_MAIL_FROM": "Magpie <magpie@example.com>", "MAGPIE_LOG_FORMAT": "json",
	}
	if d.command.Database != "" {
		set["MAGPIE_DATABASE"] = d.command.Database
	}
	// The settings of whoever starts the demo must not lead it to their data.
	environ := slices.DeleteFunc(slices.Clone(d.process.environ), func(e string) bool { return strings.HasPrefix(e, "MAGPIE_") })
	for name, value := range set {
		environ = append(environ, name+"="+value)
	}
	d.server = &demoServer{url: "http://" + listen, environ: environ, logPath: d.path("server.log"), say: d.say}
	return nil
}

// openServer makes the Owner and a token by the same code as magpie user, then starts magpie serve.
func (d *demoStage) openServer() error {
	token, err := d.account()
	if err != nil {
		return fmt.Errorf("making the Owner's account: %w", err)
	}
	if err := d.server.start(d.process.ctx); err != nil {
		return err
	}
	d.closers = append(d.closers, d.server.stop)
	d.story = &demo.Story{
		World: d.world, Mails: d.mails, Recipient: demoOwner, Say: d.say,
		Client: &demo.Client{Base: d.server.url, Token: token, HTTP: &http.Client{Timeout: 30 * time.Second}},
	}
	if d.command.Kill {
		d.story.Kill = d.server.kill
	}
	return nil
}

func (d *demoStage) account() (magpie.Secret, error) {
	cfg, err := config.Load("", d.server.environ)
	if err != nil {
		return magpie.Secret{}, err
	}
	a, err := app.Open(d.process.ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return magpie.Secret{}, err
	}
	token := magpie.Secret{}
	if _, err = addUser(d.process.ctx, a.Access, demoOwner, "Owner", magpie.RoleOwner, d.password); err == nil {
		token, err = makeToken(d.process.ctx, a.Access, demoOwner, "demo", 24*time.Hour)
	}
	return token, errors.Join(err, a.Close())
}

// check compares incidents and mails with what was planted, and with --pushes measures first.
func (d *demoStage) check(ctx context.Context) error {
	if err := d.measure(ctx); err != nil {
		return err
	}
	report, err := d.story.Finish(ctx)
	if err != nil {
		return err
	}
	d.say("%d secrets were planted at %d places; there are %d incidents with %d occurrences, and %d mails",
		report.Planted, report.Places, report.Incidents, report.Occurrences, report.Mails)
	if report.Redelivered > 0 {
		d.say("%d of the mails came twice under the same Message-ID, because the server was killed before it could note that they had left", report.Redelivered)
	}
	if len(report.Problems) == 0 {
		d.say("every planted secret, and nothing else, became an incident with one mail")
		return nil
	}
	for _, problem := range report.Problems {
		d.say("wrong: %s", problem)
	}
	return errUntrue
}

// measure pushes one secret after the other and prints how long incidents and mails took.
func (d *demoStage) measure(ctx context.Context) error {
	var incidents, mails []time.Duration
	repos := d.world.Repos()
	for n := range d.command.Pushes {
		l, err := d.story.MeasurePush(ctx, repos[n%len(repos)], "", "github", false)
		if err != nil {
			return err
		}
		incidents, mails = append(incidents, l.Incident), append(mails, l.Mail)
	}
	for name, times := range map[string][]time.Duration{"incident": incidents, "mail": mails} {
		if len(times) > 0 {
			slices.Sort(times)
			d.say("push → %s, %d times: least %s, median %s, most %s", name, len(times), times[0].Round(time.Millisecond),
				times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
		}
	}
	return nil
}

// stay lets developers push until the demo is stopped.
func (d *demoStage) stay(ctx context.Context) error {
	d.say("developers keep pushing; stop with Ctrl-C")
	repos := d.world.Repos()
	leaks := []string{"github", "slack", "gitlab", "stripe", "sendgrid", "npm", "google"}
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(3 * time.Second):
		}
		repo := repos[(n*7)%len(repos)]
		if n%5 != 0 {
			if _, err := d.world.PushChange(repo); err != nil {
				return err
			}
			d.say("somebody pushes to %s", repo)
			continue
		}
		pushed, err := d.world.PushSecret(repo, "", leaks[n/5%len(leaks)], "")
		if err != nil {
			return err
		}
		d.say("somebody pushes to %s, and it holds a secret (%s)", repo, pushed.Secret.Rule)
	}
}

// listenNear listens at an address, or at any free port of this machine if that is taken.
func listenNear(address string) (net.Listener, error) {
	if l, err := net.Listen("tcp", address); err == nil {
		return l, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}
