package perimeter

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/queue"
	"magpie/internal/seal"
	"magpie/internal/store"
)

const (
	hookName  = "Magpie"
	hookIDLen = 24 // digits of base 62: 142 bits
	secretLen = 43 // digits of base 62: 256 bits
	maxTries  = 10 // within one run, when what is wanted keeps changing
	// A hook that was neither checked nor heard of for checkEvery is looked at again, as far as the share of one sync
	// reaches: it is such that each gets its turn within checkWithin.
	checkEvery  = time.Hour
	checkWithin = 4 * time.Hour
	checkLeast  = 200
	checkMost   = 2000
	// inFlight is for how long a webhook that we asked for may still come into being, whatever became of the answer.
	inFlight = 5 * time.Minute
	// waitMost is for how long a webhook that was refused is left alone at the most, unless syncs are rarer.
	waitMost = 24 * time.Hour
)

// hookPrefix is the address of our hooks up to their id.
func (s *Service) hookPrefix() string { return s.opts.PublicURL + "/hooks/bitbucket/" }

// repo returns a repository with its integration.
func (s *Service) repo(ctx context.Context, id magpie.RepoID) (r magpie.Repo, i magpie.Integration, err error) {
	err = s.opts.DB.Read(ctx, func(tx *store.Tx) error {
		if r, err = tx.Repo(ctx, id); err != nil {
			return err
		}
		i, err = tx.Integration(ctx, r.IntegrationID)
		return err
	})
	return r, i, err
}

// errChanged says that what was wanted changed while a hook was settled.
var errChanged = errors.New("what is wanted of the repository's webhook changed meanwhile")

// workSettle makes a repository's hook at Bitbucket be what its row wants, again and again until that did not change while
// it was at it.
func (s *Service) workSettle(ctx context.Context, run *queue.Run[settleJob]) error {
	for range maxTries {
		repo, i, err := s.repo(ctx, run.Args.RepoID)
		if magpie.KindOf(err) == magpie.KindNotFound {
			return complete(ctx, s.opts.DB, run)
		}
		if err != nil {
			return err
		}
		if err = s.settle(ctx, run, repo, i); !errors.Is(err, errChanged) {
			return err
		}
	}
	return errChanged
}

func (s *Service) settle(ctx context.Context, run *queue.Run[settleJob], repo magpie.Repo, i magpie.Integration) error {
	if i.State.Waits() || !askable(repo) {
		return complete(ctx, s.opts.DB, run) // the sync that sees this change adds a new job
	}
	if i.Removing && repo.Monitored {
		return complete(ctx, s.opts.DB, run) // taken in at the moment of the removal, which deletes it
	}
	t := task{Service: s, run: run, repo: repo, i: i}
	if repo.Monitored && repo.State == magpie.RepoArchived {
		if repo.Hook != magpie.HookPending {
			return complete(ctx, s.opts.DB, run)
		}
		// Nobody can push to it, so it needs no webhook, only the look at what it holds.
		return t.store(ctx, magpie.HookNone, func(tx *store.Tx) error { return t.firstLook(ctx, tx) })
	}
	c, err := s.client(ctx, i)
	if err != nil {
		return err
	}
	act := t.install
	if !repo.Monitored {
		act = t.remove
	}
	if err := act(ctx, c); err != nil {
		return t.failed(ctx, err)
	}
	return nil
}

// askable reports whether it makes sense to ask Bitbucket for a repository's webhooks. Where only its contents can't be had,
// a webhook can still be taken away.
func askable(r magpie.Repo) bool {
	if r.State == magpie.RepoUnavailable {
		return !r.Monitored && !strings.HasPrefix(r.StateReason, outOfReach)
	}
	return r.State != magpie.RepoDeleted
}

// task is one attempt at one hook.
type task struct {
	*Service
	run  *queue.Run[settleJob]
	repo magpie.Repo
	i    magpie.Integration
}

// store ends the job with the hook's state and whatever more belongs to it, unless something else is wanted by now.
func (t task) store(ctx context.Context, state magpie.HookState, more func(*store.Tx) error) error {
	return t.storeBecause(ctx, state, "", more)
}

func (t task) storeBecause(ctx context.Context, state magpie.HookState, why string, more func(*store.Tx) error) error {
	return t.opts.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := tx.Repo(ctx, t.repo.ID)
		if err != nil && magpie.KindOf(err) != magpie.KindNotFound {
			return err
		}
		if now.Hook == magpie.HookPending && t.repo.Hook != magpie.HookPending {
			return errChanged // deselected and selected again meanwhile, so that it needs another first look
		}
		still, err := tx.SetRepoHook(ctx, t.repo.ID, t.repo.Monitored, state, why)
		if err != nil {
			return err
		}
		if !still {
			return errChanged
		}
		if more != nil {
			if err := more(tx); err != nil {
				return err
			}
		}
		return t.run.Complete(ctx, tx.Native())
	})
}

// install makes the repository have exactly one webhook of ours. Its row, with id and secret, is stored first: should we
// crash after it was created, the next attempt finds it by its address. An address that was just made up can't be there
// yet, so the first attempt costs one request; a later one, or a check, lists first.
func (t task) install(ctx context.Context, c *bitbucket.Client) error {
	hook, spec, isNew, err := t.hook(ctx)
	if err != nil {
		return err
	}
	var ours []bitbucket.Webhook
	if !isNew {
		if ours, err = t.ours(ctx, c, hook, spec.URL); err != nil {
			return err
		}
	}
	fresh := true
	var have bitbucket.Webhook
	switch keep, rest := pick(ours, hook.RemoteID); {
	case len(ours) == 0:
		have, err = t.create(ctx, c, hook, spec, isNew)
	case hook.RemoteID == keep.ID && !hook.CheckedAt.IsZero() && asSpecified(keep, spec):
		have, fresh = keep, false
		err = t.drop(ctx, c, rest)
	default:
		if err = t.drop(ctx, c, rest); err == nil {
			have, err = c.UpdateWebhook(ctx, t.repo.ProjectKey, t.repo.Slug, keep.ID, spec)
		}
	}
	if err != nil {
		return err
	}
	return t.store(ctx, magpie.HookInstalled, func(tx *store.Tx) error {
		if err := tx.SetHookChecked(ctx, hook.ID, spec.URL, have.ID, t.opts.Now()); err != nil {
			return err
		}
		if !fresh && t.repo.Hook == magpie.HookInstalled {
			return nil
		}
		return t.firstLook(ctx, tx)
	})
}

// create puts a webhook on the repository. Where its name is not fresh, or a webhook is not where it was, it first makes
// sure that the name still leads to this repository.
func (t task) create(ctx context.Context, c *bitbucket.Client, hook store.Hook, spec bitbucket.HookSpec, isNew bool) (have bitbucket.Webhook, err error) {
	sure := false
	if hook.RemoteID == 0 {
		if sure, err = t.nameIsFresh(ctx); err != nil {
			return have, err
		}
	}
	if !sure {
		if err := t.sameRepo(ctx, c); err != nil {
			return have, err
		}
	}
	if !isNew {
		err := t.opts.DB.Write(ctx, func(tx *store.Tx) error { return tx.SetHookAsked(ctx, hook.ID, t.opts.Now()) })
		if err != nil {
			return have, err
		}
	}
	return c.CreateWebhook(ctx, t.repo.ProjectKey, t.repo.Slug, spec)
}

// nameIsFresh reports whether a sync saw the repository under its name not long ago.
func (t task) nameIsFresh(ctx context.Context) (bool, error) {
	seen, err := store.Query(ctx, t.opts.DB, func(tx *store.Tx) (string, error) { return tx.RepoSeen(ctx, t.repo.ID) })
	if err != nil {
		return false, err
	}
	id, err := uuid.Parse(seen)
	if err != nil {
		return false, nil
	}
	return t.opts.Now().Sub(time.Unix(id.Time().UnixTime())) < 2*t.opts.SyncEvery, nil
}

// sameRepo returns an error if the repository's name leads to no repository, or to another one.
func (t task) sameRepo(ctx context.Context, c *bitbucket.Client) error {
	return sameRepo(ctx, c, t.repo)
}

func sameRepo(ctx context.Context, c *bitbucket.Client, r magpie.Repo) error {
	info, err := c.Repo(ctx, r.ProjectKey, r.Slug)
	if err != nil {
		return err
	}
	if info.Repo.RemoteID != r.RemoteID {
		return magpie.Errorf(magpie.KindNotFound, "%s is the name of another repository by now", r.FullName())
	}
	return nil
}

// firstLook begins the watch, or resumes it after events may have been lost.
func (t task) firstLook(ctx context.Context, tx *store.Tx) error {
	if err := tx.SetRepoLooked(ctx, t.repo.ID, t.opts.Now()); err != nil {
		return err
	}
	return t.opts.Scans.FirstLook(ctx, tx, t.repo.ID, t.i.Autoscan)
}

// hook returns the repository's hook row, made if there is none, and what it shall be at Bitbucket.
func (t task) hook(ctx context.Context) (h store.Hook, spec bitbucket.HookSpec, isNew bool, err error) {
	err = t.opts.DB.Write(ctx, func(tx *store.Tx) error {
		isNew = false
		h, err = tx.HookOf(ctx, t.repo.ID)
		if magpie.KindOf(err) != magpie.KindNotFound {
			return err
		}
		isNew = true
		h = store.Hook{ID: magpie.HookID(randomText(hookIDLen)), RepoID: t.repo.ID, AskedAt: t.opts.Now()}
		h.URL = t.hookPrefix() + string(h.ID)
		if h.SecretSealed, err = t.opts.Keys.Seal(seal.Credentials, secretPlace(h.ID), magpie.NewSecret(randomText(secretLen))); err != nil {
			return err
		}
		return tx.InsertHook(ctx, h)
	})
	if err != nil {
		return h, spec, false, err
	}
	secret, err := t.opts.Keys.Open(seal.Credentials, secretPlace(h.ID), h.SecretSealed)
	return h, bitbucket.HookSpec{Name: hookName, URL: t.hookPrefix() + string(h.ID), Secret: secret}, isNew, err
}

// ours returns the webhooks with our address, or the one it had before ours changed. Everything else is other people's.
func (t task) ours(ctx context.Context, c *bitbucket.Client, hook store.Hook, url string) ([]bitbucket.Webhook, error) {
	return ourHooks(ctx, c, t.repo, hook.URL, url)
}

func ourHooks(ctx context.Context, c *bitbucket.Client, repo magpie.Repo, urls ...string) ([]bitbucket.Webhook, error) {
	var ours []bitbucket.Webhook
	for w, err := range c.Webhooks(ctx, repo.ProjectKey, repo.Slug) {
		if err != nil {
			return nil, err
		}
		if slices.Contains(urls, w.URL) {
			ours = append(ours, w)
		}
	}
	return ours, nil
}

func (t task) drop(ctx context.Context, c *bitbucket.Client, hooks []bitbucket.Webhook) error {
	for _, w := range hooks {
		if err := c.DeleteWebhook(ctx, t.repo.ProjectKey, t.repo.Slug, w.ID); err != nil {
			return err
		}
	}
	return nil
}

// pick chooses which of several copies stays: the one we know, or else the first.
func pick(ours []bitbucket.Webhook, id int64) (keep bitbucket.Webhook, rest []bitbucket.Webhook) {
	if len(ours) == 0 {
		return keep, nil
	}
	at := max(slices.IndexFunc(ours, func(w bitbucket.Webhook) bool { return w.ID == id }), 0)
	return ours[at], slices.Delete(slices.Clone(ours), at, at+1)
}

func asSpecified(w bitbucket.Webhook, spec bitbucket.HookSpec) bool {
	got, want := slices.Clone(w.Events), slices.Clone(bitbucket.HookEvents)
	slices.Sort(got)
	slices.Sort(want)
	return spec.Ours(w) && w.Active && slices.Equal(got, want)
}

// remove takes our webhook away and forgets it. One that can't be is kept in mind and tried again with the next sync, and
// so is one that may still come into being; their events are refused in any case.
func (t task) remove(ctx context.Context, c *bitbucket.Client) error {
	hook, err := store.Query(ctx, t.opts.DB, func(tx *store.Tx) (store.Hook, error) { return tx.HookOf(ctx, t.repo.ID) })
	if magpie.KindOf(err) == magpie.KindNotFound {
		return t.store(ctx, magpie.HookNone, nil)
	}
	if err != nil {
		return err
	}
	if err := t.dropOurs(ctx, c, t.repo, hook); errors.Is(err, errInFlight) {
		return t.store(ctx, magpie.HookNone, nil)
	} else if err != nil {
		return err
	}
	return t.store(ctx, magpie.HookNone, func(tx *store.Tx) error { return tx.DeleteHook(ctx, hook.ID) })
}

// errInFlight says that a webhook is not at Bitbucket, but was asked for so lately that it may yet come.
var errInFlight = magpie.Errorf(magpie.KindRateLimited, "a webhook may still be on its way to Bitbucket")

// dropOurs deletes a repository's webhook, and copies of it. Where there is none although there should be, it makes sure
// that it looked at the right repository.
func (s *Service) dropOurs(ctx context.Context, c *bitbucket.Client, repo magpie.Repo, hook store.Hook) error {
	ours, err := ourHooks(ctx, c, repo, hook.URL, s.hookPrefix()+string(hook.ID))
	if err != nil {
		return err
	}
	for _, w := range ours {
		if err := c.DeleteWebhook(ctx, repo.ProjectKey, repo.Slug, w.ID); err != nil {
			return err
		}
	}
	switch {
	case len(ours) > 0:
		return nil
	case hook.RemoteID == 0 && s.opts.Now().Sub(hook.AskedAt) < inFlight:
		return errInFlight
	case hook.RemoteID == 0:
		return nil
	}
	return sameRepo(ctx, c, repo)
}

// failed stores why a hook could not be settled and decides what happens next: trouble that passes is retried by the job
// engine, anything else by a sync, the more rarely the longer it lasts.
func (t task) failed(ctx context.Context, trouble error) error {
	kind := magpie.KindOf(trouble)
	if errors.Is(trouble, errChanged) || kind == magpie.KindInternal || ctx.Err() != nil {
		return trouble
	}
	state, why := magpie.HookFailed, magpie.Explain(trouble)
	if !t.repo.Monitored {
		state = magpie.HookNone
	}
	switch kind {
	case magpie.KindRateLimited:
		return trouble
	case magpie.KindUnavailable:
		err := t.opts.DB.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.SetRepoHook(ctx, t.repo.ID, t.repo.Monitored, state, why)
			return err
		})
		return errors.Join(trouble, err)
	case magpie.KindTokenInvalid, magpie.KindNoLicence:
		return t.storeBecause(ctx, t.repo.Hook, t.repo.HookReason, func(tx *store.Tx) error { return t.wantSync(ctx, tx, t.i.ID) })
	}
	return t.storeBecause(ctx, state, why, func(tx *store.Tx) error {
		// Renamed or deleted; but if a sync that looked for it changed nothing, another one at once would not either.
		if kind == magpie.KindNotFound && why != t.repo.HookReason {
			return t.wantSync(ctx, tx, t.i.ID)
		}
		if err := t.waitLonger(ctx, tx); err != nil || kind == magpie.KindNotFound {
			return err
		}
		looked, err := tx.RepoLooked(ctx, t.repo.ID)
		if err != nil || !t.repo.Monitored || looked && t.repo.Hook != magpie.HookPending {
			return err
		}
		return t.firstLook(ctx, tx) // it can be read, so it is swept even without events
	})
}

// waitLonger makes syncs leave the hook alone for twice as long as after the last refusal, since ten thousand that are refused
// with every sync would use up what Bitbucket lets us ask.
func (t task) waitLonger(ctx context.Context, tx *store.Tx) error {
	wait, err := tx.HookWait(ctx, t.repo.ID)
	if err != nil {
		return err
	}
	return tx.SetHookWait(ctx, t.repo.ID, nextWait(wait, t.opts.SyncEvery), t.opts.Now())
}

// nextWait returns the wait that follows another one: first a sync's interval, then doubled up to waitMost.
func nextWait(last, syncEvery time.Duration) time.Duration {
	return max(min(2*last, waitMost), syncEvery)
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// randomText returns n random digits of base 62, which need no escaping anywhere.
func randomText(n int) string {
	text := make([]byte, n)
	for i := range text {
		d, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		text[i] = base62[d.Int64()]
	}
	return string(text)
}
