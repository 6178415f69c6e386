package perimeter

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/queue"
	"magpie/internal/store"
)

const (
	takeBatch   = 100 // repositories stored in one transaction, so that the perimeter fills while a sync runs
	settleBatch = 200
)

// workSync syncs an integration until nobody asked for another sync meanwhile.
func (s *Service) workSync(ctx context.Context, run *queue.Run[syncJob]) error {
	id := run.Args.IntegrationID
	for {
		i, err := s.integration(ctx, id)
		switch kind := magpie.KindOf(err); {
		case kind == magpie.KindNotFound || kind == magpie.KindConflict:
			return complete(ctx, s.opts.DB, run) // gone, or about to be
		case err != nil:
			return err
		}
		var wanted time.Time
		var sealed []byte
		err = s.opts.DB.Read(ctx, func(tx *store.Tx) (err error) {
			if wanted, err = tx.SyncWanted(ctx, id); err != nil {
				return err
			}
			sealed, err = tx.IntegrationToken(ctx, id)
			return err
		})
		if err != nil {
			return err
		}
		from, err := s.resume(ctx, id, sealed)
		if err != nil {
			return err
		}
		if from.Began.Before(wanted) {
			wanted = from.Began // what was asked for since needs another pass
		}
		trouble := s.sync(ctx, i, from)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		done := false
		err = s.opts.DB.Write(ctx, func(tx *store.Tx) (err error) {
			if done, err = s.finishSync(ctx, tx, i, wanted, sealed, trouble); err != nil || !done {
				return err
			}
			return run.Complete(ctx, tx.Native())
		})
		if err != nil || done {
			return err
		}
	}
}

// finishSync stores how a sync ended, and reports whether that was the last one wanted. After trouble the next one is due
// sooner, and whatever was asked for meanwhile waits for it: repeated at once it would most likely fail again. Trouble with
// a token that was replaced since the sync began says nothing about the integration.
func (s *Service) finishSync(ctx context.Context, tx *store.Tx, i magpie.Integration, wanted time.Time, sealed []byte, trouble error) (bool, error) {
	_, err := liveIntegration(ctx, tx, i.ID)
	if kind := magpie.KindOf(err); kind == magpie.KindNotFound || kind == magpie.KindConflict {
		return true, nil // it was removed meanwhile, which is why the sync ended
	}
	if err != nil {
		return false, err
	}
	text := ""
	if trouble != nil {
		text = magpie.Explain(trouble)
		s.opts.Log.Warn("the sync with a Bitbucket did not complete", "integration", i.ID, "url", i.BaseURL, "error", trouble)
	}
	if trouble == nil {
		if err := tx.SetSyncPlace(ctx, i.ID, ""); err != nil {
			return false, err
		}
	}
	same := false
	if trouble != nil {
		if same, err = sameToken(ctx, tx, i.ID, sealed); err != nil {
			return false, err
		}
	}
	if same {
		if wanted, err = tx.SyncWanted(ctx, i.ID); err != nil {
			return false, err
		}
	}
	done, err := tx.FinishSync(ctx, i.ID, wanted, s.opts.Now(), text)
	if err != nil || !same {
		return done, err
	}
	retry, err := s.setTrouble(ctx, tx, i.ID, trouble)
	if err != nil || retry == 0 {
		return done, err
	}
	return done, tx.SetSchedule(ctx, syncSchedule(i.ID), s.opts.Now().Add(retry))
}

// sync goes through everything that the integration's Bitbucket has, from a place on.
func (s *Service) sync(ctx context.Context, i magpie.Integration, from place) error {
	c, err := s.client(ctx, i)
	if err != nil {
		return err
	}
	if err := s.admit(ctx, i, c); err != nil {
		return err
	}
	pass := pass{Service: s, i: i, c: c, id: from.Pass}
	list := pass.instance
	if i.Mode == magpie.ModeProject {
		list = pass.projects
	}
	if !from.Repos {
		if err := list(ctx, from); err != nil {
			return err
		}
	}
	if err := pass.missed(ctx); err != nil {
		return err
	}
	if err := s.opts.DB.Write(ctx, func(tx *store.Tx) error { return tx.DeleteProjectsMissed(ctx, i.ID, pass.id) }); err != nil {
		return err
	}
	return s.settleAll(ctx, i.ID)
}

// pass is one sync of one integration.
type pass struct {
	*Service
	i  magpie.Integration
	c  *bitbucket.Client
	id string // a UUIDv7, so the passes of an integration sort by time
}

// write runs fn in a transaction unless the integration is being removed by now: what a removal ended must not be taken in
// again by a sync that began before.
func (p *pass) write(ctx context.Context, fn func(*store.Tx) error) error {
	return p.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := liveIntegration(ctx, tx, p.i.ID); err != nil {
			return err
		}
		return fn(tx)
	})
}

// instance takes in everything that the token can see. What it can see but not administer is taken in too: it is scanned by
// the sweep, and its missing webhook says why.
func (p *pass) instance(ctx context.Context, at place) error {
	if !at.Listed {
		for batch, err := range batches(p.c.Projects(ctx)) {
			if err != nil {
				return err
			}
			if err := p.write(ctx, func(tx *store.Tx) error { _, err := p.takeProjects(ctx, tx, batch); return err }); err != nil {
				return err
			}
		}
		at.Listed = true
	}
	for page, err := range p.c.RepoPages(ctx, bitbucket.ScopeVisible, at.Next) {
		if err != nil {
			return p.lostPlace(ctx, at, err)
		}
		at.Next, at.Repos = page.Next, page.Next == 0
		if err := p.take(ctx, page.Repos, func(tx *store.Tx) error { return p.reach(ctx, tx, at) }); err != nil {
			return err
		}
	}
	return nil
}

// lostPlace forgets the place of a page that Bitbucket does not know, so that the next attempt begins anew.
func (p *pass) lostPlace(ctx context.Context, at place, trouble error) error {
	if kind := magpie.KindOf(trouble); at.Next == 0 || kind != magpie.KindInvalid && kind != magpie.KindNotFound {
		return trouble
	}
	return errors.Join(trouble, p.write(ctx, func(tx *store.Tx) error { return tx.SetSyncPlace(ctx, p.i.ID, "") }))
}

// projects refreshes what can be installed and takes in what is.
func (p *pass) projects(ctx context.Context, at place) error {
	if !at.Listed {
		offered, err := installable(ctx, p.c, map[int64]bool{})
		if err != nil {
			return err
		}
		at.Listed = true
		err = p.write(ctx, func(tx *store.Tx) (err error) {
			if err = storeInstallable(ctx, tx, p.i, offered, p.id); err != nil {
				return err
			}
			return p.reach(ctx, tx, at)
		})
		if err != nil {
			return err
		}
	}
	known, err := store.Query(ctx, p.opts.DB, func(tx *store.Tx) ([]magpie.Project, error) { return tx.Projects(ctx, p.i.ID) })
	if err != nil {
		return err
	}
	slices.SortFunc(known, func(a, b magpie.Project) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, project := range known {
		if !project.Installed || project.ID <= at.Project {
			continue
		}
		at.Project = project.ID
		if err := p.project(ctx, project, at); err != nil {
			return err
		}
	}
	at.Repos = true
	return p.write(ctx, func(tx *store.Tx) error { return p.reach(ctx, tx, at) })
}

// project takes in one project's repositories.
func (p *pass) project(ctx context.Context, project magpie.Project, at place) error {
	var infos []bitbucket.RepoInfo
	for info, err := range p.c.ProjectRepos(ctx, project.Key) {
		if kind := magpie.KindOf(err); kind == magpie.KindNotFound || kind == magpie.KindForbidden {
			return nil // gone or out of reach: missed asks for each of its repositories
		}
		if err != nil {
			return err
		}
		infos = append(infos, info)
	}
	return p.take(ctx, infos, func(tx *store.Tx) error {
		if err := tx.SetProjectSynced(ctx, project.ID, p.opts.Now()); err != nil {
			return err
		}
		return p.reach(ctx, tx, at)
	})
}

// missed asks for each repository that the lists did not hold: it may be gone, out of reach, or have slipped from one page
// to another while they were read. One that stays out of reach is not asked for every time.
func (p *pass) missed(ctx context.Context) error {
	after := magpie.RepoID("")
	for {
		repos, err := store.Query(ctx, p.opts.DB, func(tx *store.Tx) ([]magpie.Repo, error) {
			return tx.ReposMissed(ctx, p.i.ID, p.id, after, settleBatch)
		})
		if err != nil || len(repos) == 0 {
			return err
		}
		for _, r := range repos {
			if strings.HasPrefix(r.StateReason, outOfReach) {
				continue
			}
			if err := p.resolve(ctx, r); err != nil {
				return err
			}
		}
		after = repos[len(repos)-1].ID
	}
}

// outOfReach begins the reason of a repository that exists but may not be read.
const outOfReach = "out of the token's reach"

// resolve finds out about one repository by the name that it had.
func (p *pass) resolve(ctx context.Context, r magpie.Repo) error {
	info, err := p.c.Repo(ctx, r.ProjectKey, r.Slug)
	kind := magpie.KindOf(err)
	state, why := magpie.RepoDeleted, "no longer at Bitbucket"
	switch {
	case err == nil && info.Repo.RemoteID == r.RemoteID:
		return p.write(ctx, func(tx *store.Tx) error { return p.takeOne(ctx, tx, info) })
	case err == nil: // another one has its name now
	case kind == magpie.KindForbidden:
		state, why = magpie.RepoUnavailable, outOfReach+": let it have Repository admin permission there again"
	case kind != magpie.KindNotFound:
		return err
	}
	return p.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.SetRepoState(ctx, r.ID, state, why); err != nil || state != magpie.RepoDeleted {
			return err
		}
		return tx.DropQueued(ctx, r.ID, "the repository is no longer at Bitbucket", p.opts.Now())
	})
}

// settleAll adds a job for each hook that is not known to be as it should, unless it waits after a refusal, and for some of
// those that were not checked for long, since people delete and change webhooks. Each transaction is short, so that events
// need not wait to be stored.
func (s *Service) settleAll(ctx context.Context, id magpie.IntegrationID) error {
	for after := magpie.RepoID(""); ; {
		ids, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]magpie.RepoID, error) {
			return tx.ReposToSettle(ctx, id, s.hookPrefix(), after, settleBatch, s.opts.Now())
		})
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		if err := s.settleDue(ctx, id, after, len(ids)); err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
	old, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]magpie.RepoID, error) {
		hooks, err := tx.CountHooks(ctx, id)
		if err != nil {
			return nil, err
		}
		return tx.ReposToCheck(ctx, id, s.opts.Now().Add(-checkEvery), s.checkShare(hooks))
	})
	if err != nil {
		return err
	}
	return s.settleEach(ctx, old)
}

// settleDue adds a job for each of some hooks, those after one. It looks for them once more while nobody can change them: the
// job of one that was just taken in may have ended since they were listed, and one that was refused at this moment shall
// not be tried again at once, and wait twice as long for that.
func (s *Service) settleDue(ctx context.Context, id magpie.IntegrationID, after magpie.RepoID, limit int) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		due, err := tx.HoldReposToSettle(ctx, id, s.hookPrefix(), after, limit, s.opts.Now())
		if err != nil {
			return err
		}
		for _, repo := range due {
			if err := enqueueSettle(ctx, tx, repo); err != nil {
				return err
			}
		}
		return nil
	})
}

// settleEach adds a job for each of some hooks.
func (s *Service) settleEach(ctx context.Context, ids []magpie.RepoID) error {
	for batch := range slices.Chunk(ids, settleBatch) {
		err := s.opts.DB.Write(ctx, func(tx *store.Tx) error {
			for _, repo := range batch {
				if err := enqueueSettle(ctx, tx, repo); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkShare returns how many of so many webhooks one sync checks, so that each is checked within checkWithin.
func (s *Service) checkShare(hooks int) int {
	return min(max(int(int64(hooks)*int64(s.opts.SyncEvery)/int64(checkWithin))+1, checkLeast), checkMost)
}

// workRefresh takes over the present name of a repository that is said to have changed. When the old name leads nowhere
// a full sync finds it.
func (s *Service) workRefresh(ctx context.Context, run *queue.Run[refreshJob]) error {
	repo, i, err := s.repo(ctx, run.Args.RepoID)
	if magpie.KindOf(err) == magpie.KindNotFound || err == nil && (i.Removing || i.State.Waits()) {
		return complete(ctx, s.opts.DB, run)
	}
	if err != nil {
		return err
	}
	c, err := s.client(ctx, i)
	if err != nil {
		return err
	}
	info, trouble := c.Repo(ctx, repo.ProjectKey, repo.Slug)
	if kind := magpie.KindOf(trouble); trouble != nil && (ctx.Err() != nil || kind == magpie.KindRateLimited || kind == magpie.KindUnavailable) {
		return trouble
	}
	p := pass{Service: s, i: i, c: c} // without an id: this is no sync, and the next one sees for itself
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := liveIntegration(ctx, tx, i.ID)
		if kind := magpie.KindOf(err); kind == magpie.KindNotFound || kind == magpie.KindConflict {
			return run.Complete(ctx, tx.Native())
		}
		if err != nil {
			return err
		}
		if trouble != nil || info.Repo.RemoteID != repo.RemoteID {
			if err := s.wantSync(ctx, tx, i.ID); err != nil {
				return err
			}
			return run.Complete(ctx, tx.Native())
		}
		if err := p.takeOne(ctx, tx, info); err != nil {
			return err
		}
		return run.Complete(ctx, tx.Native())
	})
}

// batches groups what a list yields. An error ends it, after what came before.
func batches[T any](seq iter.Seq2[T, error]) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var batch []T
		for v, err := range seq {
			if err != nil {
				if len(batch) > 0 && !yield(batch, nil) {
					return
				}
				yield(nil, err)
				return
			}
			if batch = append(batch, v); len(batch) == takeBatch {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}
