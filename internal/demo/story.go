package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"magpie/internal/bitbucketsim"
	"magpie/internal/mail/mailcatcher"
)

// Story is the play: a Bitbucket is connected, its past is scanned, and secrets are pushed while Magpie watches.
type Story struct {
	World     *World
	Mails     *mailcatcher.Catcher
	Client    *Client
	Recipient string // who gets the mail
	// Kill ends the server without warning and starts it again on the same data. It is called during the set-up of the
	// webhooks, during a history scan, and right after the server has acknowledged a push. Nil lets it live.
	Kill func(moment string) error
	// Say tells about a step.
	Say func(format string, args ...any)
}

// stepTime bounds every step; the whole story takes seconds.
const stepTime = 60 * time.Second

// Begin connects the Bitbucket and waits until all of its past is scanned.
func (s *Story) Begin(ctx context.Context) error {
	started := time.Now()
	if s.Kill != nil {
		s.obstruct()
	}
	var made integration
	err := s.Client.call(ctx, http.MethodPost, "/integrations",
		map[string]string{"mode": "instance", "url": s.World.Sim.URL(), "token": string(s.World.Token.Reveal())}, &made)
	if err != nil {
		return fmt.Errorf("connecting the Bitbucket: %w", err)
	}
	s.Say("connected to %s (Bitbucket %s) in %s", s.World.Sim.URL(), s.World.Sim.Version(), since(started))
	if err := s.killDuringHooks(ctx); err != nil {
		return err
	}
	total := len(s.World.Repos())
	err = s.until(ctx, "the webhooks to be installed", func(ctx context.Context) (bool, string, error) {
		i, err := s.integration(ctx, made.ID)
		return i.Coverage.HooksInstalled == total, fmt.Sprintf("%d of %d", i.Coverage.HooksInstalled, total), err
	})
	if err != nil {
		return err
	}
	s.Say("hooks installed %d of %d after %s", total, total, since(started))
	if err := s.killDuringHistory(ctx); err != nil {
		return err
	}
	err = s.until(ctx, "the histories to be scanned", func(ctx context.Context) (bool, string, error) {
		i, err := s.integration(ctx, made.ID)
		return i.Coverage.HistoryDone == total, fmt.Sprintf("%d of %d, %d failed", i.Coverage.HistoryDone, total, i.Coverage.HistoryFailed), err
	})
	if err != nil {
		return err
	}
	return s.sayHistories(ctx, started)
}

func (s *Story) integration(ctx context.Context, id string) (integration, error) {
	var i integration
	err := s.Client.call(ctx, http.MethodGet, "/integrations/"+id, nil, &i)
	return i, err
}

func (s *Story) sayHistories(ctx context.Context, started time.Time) error {
	scans, err := list[scanned](ctx, s.Client, "/scans", url.Values{"kind": {"history"}, "limit": {"100"}})
	if err != nil {
		return err
	}
	var bytes, objects int64
	finished := 0
	for _, v := range scans {
		if v.State == "finished" {
			finished++
			bytes, objects = bytes+v.BytesReceived, objects+v.Objects
		}
	}
	s.Say("histories scanned %d of %d (%d commits) after %s: %d bytes, %d objects", finished, len(s.World.Repos()), s.World.Commits(), since(started), bytes, objects)
	return nil
}

// The requests that obstruct holds back, so that the kills of the story really come in between.
const (
	heldHooks   = "/projects/SHOP/repos/"
	heldHistory = "/scm/ops/infrastructure.git/git-upload-pack"
)

func (s *Story) obstruct() {
	s.World.Sim.SetFailures(
		bitbucketsim.Failure{Share: 1, Path: heldHooks + "storefront/webhooks"},
		bitbucketsim.Failure{Share: 1, Path: heldHooks + "search-api/webhooks"},
		bitbucketsim.Failure{Share: 1, Path: heldHistory},
	)
}

func (s *Story) killDuringHooks(ctx context.Context) error {
	if s.Kill == nil {
		return nil
	}
	err := s.until(ctx, "some webhooks", func(context.Context) (bool, string, error) {
		n := len(s.World.Sim.Webhooks())
		return n >= 2, fmt.Sprint(n), nil
	})
	if err != nil {
		return err
	}
	n := len(s.World.Sim.Webhooks())
	if err := s.Kill(fmt.Sprintf("during the set-up of webhooks, %d of %d are there", n, len(s.World.Repos()))); err != nil {
		return err
	}
	s.World.Sim.SetFailures(bitbucketsim.Failure{Share: 1, Path: heldHistory})
	s.World.Sim.ReleaseHung()
	return nil
}

func (s *Story) killDuringHistory(ctx context.Context) error {
	if s.Kill == nil {
		return nil
	}
	err := s.until(ctx, "a running history scan", func(ctx context.Context) (bool, string, error) {
		running, err := list[scanned](ctx, s.Client, "/scans", url.Values{"kind": {"history"}, "state": {"running"}})
		return len(running) > 0, "none", err
	})
	if err != nil {
		return err
	}
	if err := s.Kill("during a history scan"); err != nil {
		return err
	}
	s.World.Sim.SetFailures()
	s.World.Sim.ReleaseHung()
	return nil
}

// Continue pushes secrets while Magpie watches: a new one, one that is taken back within the second, and one that is
// known already.
func (s *Story) Continue(ctx context.Context) error {
	took, err := s.MeasurePush(ctx, "PAY/checkout-service", "", "stripe", s.Kill != nil)
	if err != nil {
		return err
	}
	s.Say("push → incident in %s, push → mail in %s (a key in a commit on main)", round(took.Incident), round(took.Mail))

	pushed, err := s.World.PushSecret("SHOP/product-data", "hotfix", "gitlab", "")
	if err != nil {
		return err
	}
	if err := s.World.ForcePushAway("SHOP/product-data", "hotfix"); err != nil {
		return err
	}
	away := time.Since(pushed.At)
	found, err := s.incidentOf(ctx, *pushed.Secret)
	if err != nil {
		return err
	}
	s.Say("pushed and force-pushed away within %s: incident %d in %s", round(away), found.Number, round(time.Since(pushed.At)))

	pushed, err = s.World.PushSecret("~ALEX/experiments", "", "slack", "build-bot")
	if err != nil {
		return err
	}
	want := len(s.placesOf(*pushed.Secret))
	err = s.until(ctx, "a known secret to get one more place", func(ctx context.Context) (bool, string, error) {
		i, err := s.incidentOf(ctx, *pushed.Secret)
		return i.Occurrences == want, fmt.Sprintf("%d of %d", i.Occurrences, want), err
	})
	if err != nil {
		return err
	}
	s.Say("a known secret in one more repository: the same incident, now with %d occurrences", want)
	return nil
}

// placesOf returns what the world knows of a secret by now.
func (s *Story) placesOf(secret Secret) []Place {
	for _, known := range s.World.Secrets() {
		if known.Rule == secret.Rule && known.Value.Masked() == secret.Value.Masked() {
			return known.Places
		}
	}
	return nil
}

// Latency is how long after the start of a push something was there.
type Latency struct{ Incident, Mail time.Duration }

// MeasurePush pushes one new secret and waits for its incident and mail. With kill the server is killed as soon as it
// has acknowledged the push.
func (s *Story) MeasurePush(ctx context.Context, repo, branch, kindName string, kill bool) (Latency, error) {
	seen := len(s.World.Sim.Deliveries())
	pushed, err := s.World.PushSecret(repo, branch, kindName, "")
	if err != nil {
		return Latency{}, err
	}
	if kill {
		if err := s.killAfterAcknowledgement(ctx, seen); err != nil {
			return Latency{}, err
		}
	}
	i, err := s.incidentOf(ctx, *pushed.Secret)
	if err != nil {
		return Latency{}, err
	}
	l := Latency{Incident: time.Since(pushed.At)}
	waiting, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	m, err := s.Mails.Wait(waiting, func(m mailcatcher.Message) bool { return about(m, i) })
	l.Mail = m.Received.Sub(pushed.At)
	return l, err
}

func (s *Story) killAfterAcknowledgement(ctx context.Context, seen int) error {
	err := s.until(ctx, "a push to be acknowledged", func(context.Context) (bool, string, error) {
		for _, d := range s.World.Sim.Deliveries()[seen:] {
			if d.Outcome == bitbucketsim.Success {
				return true, "", nil
			}
		}
		return false, "not yet", nil
	})
	if err != nil {
		return err
	}
	return s.Kill("right after it acknowledged a push")
}

// incidentOf waits for the incident of a secret.
func (s *Story) incidentOf(ctx context.Context, secret Secret) (incident, error) {
	var found incident
	err := s.until(ctx, "the incident of a pushed "+secret.Rule, func(ctx context.Context) (bool, string, error) {
		recent, err := list[incident](ctx, s.Client, "/incidents", url.Values{"rule": {secret.Rule}, "limit": {"100"}})
		i := slices.IndexFunc(recent, func(i incident) bool { return i.Masked == secret.Value.Masked() })
		if i >= 0 {
			found = recent[i]
		}
		return i >= 0, "none", err
	})
	return found, err
}

// Finish waits until incidents and mails are exactly what was planted and stay so for a moment, and returns the last
// comparison.
func (s *Story) Finish(ctx context.Context) (Report, error) {
	var report Report
	same := 0
	err := s.until(ctx, "incidents and mails to be as planted", func(ctx context.Context) (bool, string, error) {
		busy, err := s.busy(ctx)
		if err != nil {
			return false, "", err
		}
		if report, err = s.Verify(ctx); err != nil {
			return false, "", err
		}
		same++
		if busy || len(report.Problems) > 0 {
			same = 0
		}
		return same >= settled, strings.Join(report.Problems, "; "), nil
	})
	if errors.Is(err, errWaited) && len(report.Problems) > 0 {
		return report, nil // the problems say more
	}
	report.Problems = append(report.Problems, s.hookProblems()...)
	return report, err
}

// settled is how many times in a row, some ten milliseconds apart, everything has to be right: a second mail or
// incident would come that soon.
const settled = 50

func (s *Story) busy(ctx context.Context) (bool, error) {
	for _, state := range []string{"queued", "running"} {
		active, err := list[scanned](ctx, s.Client, "/scans", url.Values{"state": {state}})
		if err != nil || len(active) > 0 {
			return true, err
		}
	}
	return false, nil
}

// hookProblems wants exactly one webhook a repository.
func (s *Story) hookProblems() []string {
	count := map[int]int{}
	for _, h := range s.World.Sim.Webhooks() {
		count[h.Repo]++
	}
	var problems []string
	for _, r := range s.World.Sim.Repos() {
		if count[r.ID] != 1 {
			problems = append(problems, fmt.Sprintf("webhooks: %d on %s/%s, want 1", count[r.ID], r.Project, r.Slug))
		}
	}
	return problems
}

var errWaited = errors.New("waited too long")

// until polls until done says so, for at most stepTime. The text says how far it is, for the error.
func (s *Story) until(ctx context.Context, what string, done func(context.Context) (bool, string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	state := "nothing yet"
	for {
		ok, text, err := done(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("waiting for %s: %w", what, err)
		case err == nil && ok:
			return nil
		case err == nil:
			state = text
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%w for %s, at last: %s", errWaited, what, state)
		}
	}
}

func since(t time.Time) time.Duration { return round(time.Since(t)) }

func round(d time.Duration) time.Duration {
	if d > 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
