package perimeter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// maxLeft is how many webhooks that could not be deleted the audit row names.
const maxLeft = 100

// Remove ends an integration: from now on nothing of it is monitored, and a job takes its webhooks away and then deletes
// it. Incidents stay. It works with a dead token too; then the audit row lists the webhooks that are left behind.
func (s *Service) Remove(ctx context.Context, actor magpie.User, id magpie.IntegrationID) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := liveIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.SetIntegrationRemoving(ctx, id); err != nil {
			return err
		}
		if err := tx.UnmonitorAll(ctx, id); err != nil {
			return err
		}
		if err := tx.DropAllQueued(ctx, id, "the integration was removed", s.opts.Now()); err != nil {
			return err
		}
		if err := tx.DeleteSchedule(ctx, syncSchedule(id)); err != nil {
			return err
		}
		if err := tx.Audit(ctx, actor, "integration.removing", i.BaseURL, "its webhooks are being deleted"); err != nil {
			return err
		}
		return tx.Enqueue(ctx, removeJob{IntegrationID: id}, magpie.JobOptions{Once: true})
	})
}

// workRemove deletes hook by hook, forgetting each as it goes, so that a later attempt does not repeat it.
func (s *Service) workRemove(ctx context.Context, run *queue.Run[removeJob]) error {
	id := run.Args.IntegrationID
	i, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) (magpie.Integration, error) { return tx.Integration(ctx, id) })
	if magpie.KindOf(err) == magpie.KindNotFound {
		return complete(ctx, s.opts.DB, run)
	}
	if err != nil {
		return err
	}
	c, err := s.client(ctx, i)
	if err != nil {
		return err
	}
	// With a dead token, or one whose user may not come in, the rest stays behind, like what Bitbucket refuses for good; other
	// trouble is worth a day of attempts.
	err = s.removeHooks(ctx, c, id)
	kind := magpie.KindOf(err)
	if final := kind == magpie.KindTokenInvalid || kind == magpie.KindNoLicence || refusedForGood(err); err != nil && !final && (ctx.Err() != nil || !run.Last) {
		return err
	}
	left, err := s.hooksLeft(ctx, id)
	if err != nil {
		return err
	}
	err = s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.Audit(ctx, magpie.User{}, "integration.removed", i.BaseURL, describeLeft(left)); err != nil {
			return err
		}
		if err := tx.DeleteIntegration(ctx, id); err != nil {
			return err
		}
		return run.Complete(ctx, tx.Native())
	})
	if err == nil {
		s.forgetClient(id)
	}
	return err
}

// refusedForGood reports whether asking Bitbucket the same again would lead to the same answer. The job engine would give
// the job up for most of these, and the integration would never be gone.
func refusedForGood(err error) bool {
	switch magpie.KindOf(err) {
	case magpie.KindForbidden, magpie.KindInvalid, magpie.KindNotFound, magpie.KindConflict, magpie.KindTooLarge:
		return true
	}
	return false
}

// removeHooks deletes the webhooks of an integration. Those it can't delete it passes over; it stops where going on makes
// no sense.
func (s *Service) removeHooks(ctx context.Context, c *bitbucket.Client, id magpie.IntegrationID) error {
	var coming error
	after := magpie.RepoID("")
	for {
		hooks, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]store.Hook, error) { return tx.Hooks(ctx, id, after, settleBatch) })
		if err != nil {
			return err
		}
		if len(hooks) == 0 {
			return coming
		}
		for _, h := range hooks {
			switch err := s.removeHook(ctx, c, h); {
			case errors.Is(err, errInFlight):
				coming = err // the job comes back for it
			case err != nil && !refusedForGood(err):
				return err
			}
		}
		after = hooks[len(hooks)-1].RepoID
	}
}

func (s *Service) removeHook(ctx context.Context, c *bitbucket.Client, h store.Hook) error {
	repo, _, err := s.repo(ctx, h.RepoID)
	if err != nil {
		return err
	}
	if repo.State != magpie.RepoDeleted {
		err := s.dropOurs(ctx, c, repo, h)
		if magpie.KindOf(err) == magpie.KindNotFound {
			// Gone with its webhooks, unless another repository has its name now.
			if _, err = c.Repo(ctx, repo.ProjectKey, repo.Slug); err == nil {
				return magpie.Errorf(magpie.KindConflict, "%s is the name of another repository by now", repo.FullName())
			}
			if magpie.KindOf(err) == magpie.KindNotFound {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error { return tx.DeleteHook(ctx, h.ID) })
}

// hooksLeft names the webhooks that are still at Bitbucket as far as we know.
func (s *Service) hooksLeft(ctx context.Context, id magpie.IntegrationID) (left []string, err error) {
	err = s.opts.DB.Read(ctx, func(tx *store.Tx) error {
		left = nil
		for after := magpie.RepoID(""); ; {
			hooks, err := tx.Hooks(ctx, id, after, settleBatch)
			if err != nil || len(hooks) == 0 {
				return err
			}
			for _, h := range hooks {
				name, _, err := tx.RepoName(ctx, h.RepoID)
				if err != nil {
					return err
				}
				left = append(left, name)
			}
			after = hooks[len(hooks)-1].RepoID
		}
	})
	return left, err
}

func describeLeft(left []string) string {
	if len(left) == 0 {
		return "all its webhooks were deleted"
	}
	more := ""
	if n := len(left); n > maxLeft {
		left, more = left[:maxLeft], fmt.Sprintf(" and %d more", n-maxLeft)
	}
	return fmt.Sprintf("webhooks named %s could not be deleted and are left on %s%s; their events are refused", hookName, strings.Join(left, ", "), more)
}
