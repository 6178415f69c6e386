package perimeter

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// Examined is what one part of an examination came to.
type Examined struct {
	Part string // such as "certificate"
	Fine string // what was found, if nothing is wrong
	Err  error  // what is wrong and, in its hint, what to do; nil if nothing is
}

const (
	certificateSoon = 21 * 24 * time.Hour // before its end a certificate or token is complained about
	sampledHooks    = 5                   // webhooks whose last delivery is looked at
)

// Examine looks at a connected integration from the outside in: network and certificate, version and token, permissions,
// webhooks, the way back from Bitbucket to us, how fast events come, and what of it is not covered. It asks Bitbucket to
// send a ping and changes nothing. What can't be found out because of earlier trouble is left out.
func (s *Service) Examine(ctx context.Context, id magpie.IntegrationID) ([]Examined, error) {
	i, err := s.integration(ctx, id)
	if err != nil {
		return nil, err
	}
	x := &examination{Service: s, i: i}
	x.certificate(ctx)
	if x.access(ctx) {
		x.hooks(ctx)
		x.wayBack(ctx)
	}
	x.speed(ctx)
	x.coverage(ctx)
	return x.found, nil
}

// examination collects what is found about one integration.
type examination struct {
	*Service
	i     magpie.Integration
	found []Examined
}

func (x *examination) add(part string, err error, fine string, args ...any) {
	x.found = append(x.found, Examined{Part: part, Fine: fmt.Sprintf(fine, args...), Err: err})
}

// certificate looks at how long the server's certificate is still good; whether it is at all, access tells.
func (x *examination) certificate(ctx context.Context) {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, x.i.BaseURL+"/", nil)
	if err != nil {
		return
	}
	response, err := x.opts.HTTP.Do(r)
	if err != nil || response.TLS == nil || len(response.TLS.PeerCertificates) == 0 {
		if err == nil {
			_ = response.Body.Close()
		}
		return
	}
	_ = response.Body.Close()
	end := response.TLS.PeerCertificates[0].NotAfter
	if left := end.Sub(x.opts.Now()); left < certificateSoon {
		x.add("certificate", &magpie.Error{
			Kind: magpie.KindInvalid, Message: fmt.Sprintf("the certificate of %s ends on %s", x.i.BaseURL, end.UTC().Format(time.DateOnly)),
			Hint: "let it be renewed; from that day on nothing can be read or monitored there",
		}, "")
		return
	}
	x.add("certificate", nil, "is trusted, and good until %s", end.UTC().Format(time.DateOnly))
}

// access asks what connecting anew would ask, and reports whether the token works.
func (x *examination) access(ctx context.Context) bool {
	probe, err := x.Recheck(ctx, x.i.ID)
	if err != nil {
		x.add("access", err, "")
		kind := magpie.KindOf(err)
		return kind == magpie.KindForbidden
	}
	x.add("access", nil, "Bitbucket %s knows the token of %s", probe.Version, probe.TokenUser)
	switch {
	case probe.TokenExpires.IsZero():
		x.add("token", nil, "no expiry is known")
	case probe.TokenExpires.Sub(x.opts.Now()) < certificateSoon:
		x.add("token", &magpie.Error{
			Kind: magpie.KindInvalid, Message: "the access token expires on " + probe.TokenExpires.UTC().Format(time.DateOnly),
			Hint: "create one without expiry, and replace it in the Bitbucket settings",
		}, "")
	default:
		x.add("token", nil, "expires on %s", probe.TokenExpires.UTC().Format(time.DateOnly))
	}
	if lacking := probe.Repos - probe.ReposAdmin - probe.Archived; lacking > 0 && len(probe.NoAdmin) > 0 && x.i.Mode == magpie.ModeInstance {
		x.add("permissions", &magpie.Error{
			Kind:    magpie.KindForbidden,
			Message: fmt.Sprintf("the token administers %d of the %d repositories that it sees; not %s", probe.ReposAdmin, probe.Repos, strings.Join(probe.NoAdmin, ", ")),
			Hint:    "give its user the permission Admin there; until then pushes to them are found by comparing refs only",
		}, "")
		return true
	}
	x.add("permissions", nil, "it administers %d of the %d repositories that it sees", probe.ReposAdmin, probe.Repos)
	return true
}

// hooks looks at how many webhooks stand, and at what Bitbucket says about its last deliveries to some of them.
func (x *examination) hooks(ctx context.Context) {
	c, err := store.Query(ctx, x.opts.DB, func(tx *store.Tx) (store.Coverage, error) { return tx.Coverage(ctx, x.i.ID) })
	if err != nil {
		x.add("webhooks", err, "")
		return
	}
	if c.HooksFailed > 0 {
		x.add("webhooks", &magpie.Error{
			Kind: magpie.KindConflict, Message: fmt.Sprintf("%d of %d webhooks could not be set", c.HooksFailed, c.Monitored),
			Hint: "the perimeter page says for each repository why; they are tried again by themselves",
		}, "")
	} else {
		x.add("webhooks", nil, "%d of %d are installed", c.HooksInstalled, c.Monitored)
	}
	x.lastDeliveries(ctx)
}

// sample returns monitored repositories with a webhook, those pushed to last first.
func (x *examination) sample(ctx context.Context) ([]magpie.Repo, []store.Hook, error) {
	var repos []magpie.Repo
	var hooks []store.Hook
	err := x.opts.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if repos, err = tx.ReposPushedLast(ctx, x.i.ID, sampledHooks); err != nil {
			return err
		}
		for _, r := range repos {
			h, err := tx.HookOf(ctx, r.ID)
			if err != nil {
				return err
			}
			hooks = append(hooks, h)
		}
		return nil
	})
	return repos, hooks, err
}

func (x *examination) lastDeliveries(ctx context.Context) {
	c, err := x.client(ctx, x.i)
	if err != nil {
		x.add("deliveries", err, "")
		return
	}
	repos, hooks, err := x.sample(ctx)
	if err != nil {
		x.add("deliveries", err, "")
		return
	}
	asked := 0
	for n, r := range repos {
		last, any, err := c.LastInvocation(ctx, r.ProjectKey, r.Slug, hooks[n].RemoteID)
		switch {
		case err != nil:
			x.add("deliveries", err, "")
			return
		case !any:
			continue
		case last.Outcome != bitbucket.OutcomeSuccess:
			x.add("deliveries", &magpie.Error{
				Kind: magpie.KindUnavailable, Message: fmt.Sprintf("the last event about %s, at %s, could not be delivered: %s", r.FullName(), last.At.UTC().Format(time.RFC3339), last.Result),
				Hint: "after five failures in a row Bitbucket sends nothing for 10 seconds up to 10 hours; what was pushed meanwhile is found by comparing refs",
			}, "")
			return
		}
		asked++
	}
	x.add("deliveries", nil, "Bitbucket's last attempts for %d repositories succeeded", asked)
}

// wayBack lets Bitbucket send a ping to the address of our webhooks.
func (x *examination) wayBack(ctx context.Context) {
	repos, hooks, err := x.sample(ctx)
	if err == nil && len(repos) == 0 {
		x.add("way back", nil, "there is no webhook yet to try it with")
		return
	}
	var c *bitbucket.Client
	if err == nil {
		c, err = x.client(ctx, x.i)
	}
	status := 0
	if err == nil {
		status, err = c.TestWebhook(ctx, repos[0].ProjectKey, repos[0].Slug, x.hookPrefix()+string(hooks[0].ID))
	}
	if err == nil && status/100 != 2 {
		err = magpie.Errorf(magpie.KindUnavailable, "a ping of Bitbucket to %s is answered with status %d", x.opts.PublicURL, status)
	}
	if e := asPublic(err); e != nil && e.Kind == magpie.KindUnavailable {
		err = &magpie.Error{
			Kind: e.Kind, Message: e.Message, Err: e,
			Hint: "let " + x.opts.PublicURL + " (MAGPIE_PUBLIC_URL) be reachable from Bitbucket's host, with a certificate that its Java trusts",
		}
	}
	x.add("way back", err, "a ping of Bitbucket reaches %s", x.opts.PublicURL)
}

func (x *examination) speed(ctx context.Context) {
	t, err := x.Tuning(ctx, x.i.ID)
	if err == nil && t.Slow {
		message, hint, _ := strings.Cut(t.Advice, ". ")
		err = &magpie.Error{Kind: magpie.KindConflict, Message: message, Hint: strings.TrimSuffix(hint, ".")}
	}
	x.add("delay of events", err, "%s", strings.TrimSuffix(t.Advice, "."))
}

func (x *examination) coverage(ctx context.Context) {
	c, err := store.Query(ctx, x.opts.DB, func(tx *store.Tx) (store.CoverageSums, error) { return tx.CoverageSums(ctx, x.i.ID) })
	switch {
	case err != nil:
	case c.Waiting > 0 && x.opts.Now().Sub(c.OldestWaiting) > time.Hour:
		err = &magpie.Error{
			Kind: magpie.KindConflict, Message: fmt.Sprintf("a push waits to be scanned since %s", c.OldestWaiting.UTC().Format(time.RFC3339)),
			Hint: "the page of scans says what is going on",
		}
	case c.NeverCompared > 0 && x.opts.Now().Sub(x.i.CreatedAt) > 24*time.Hour:
		err = &magpie.Error{
			Kind: magpie.KindConflict, Message: fmt.Sprintf("%d of %d monitored repositories were never looked at", c.NeverCompared, c.Monitored),
			Hint: "the coverage page says which and why",
		}
	}
	x.add("coverage", err, "%d of %d monitored repositories are scanned up to their refs", c.Current, c.Monitored)
}
