package perimeter

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"magpie"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// ReplaceToken checks a new token for an integration as Connect would, stores it, and resumes work at once: everything
// that was pushed meanwhile is looked at. It may be another user's, and see less than the old one, which the audit row says
// then. expires is what the person says about it, as in ConnectInput.
func (s *Service) ReplaceToken(ctx context.Context, actor magpie.User, id magpie.IntegrationID, token magpie.Secret, expires time.Time) error {
	i, err := s.integration(ctx, id)
	if err != nil {
		return err
	}
	probe, err := s.Check(ctx, i.Mode, i.BaseURL, token)
	if err != nil {
		return err
	}
	sealed, err := s.sealToken(id, token)
	if err != nil {
		return err
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		detail, err := replacedText(ctx, tx, id, probe)
		if err != nil {
			return err
		}
		if err := tx.SetIntegrationToken(ctx, id, sealed); err != nil {
			return err
		}
		if err := tx.SetIntegrationIdentity(ctx, id, probe.Version, probe.TokenUser); err != nil {
			return err
		}
		if err := tx.ForgetRefusals(ctx, id); err != nil {
			return err
		}
		if err := tx.ForgetHookWaits(ctx, id); err != nil { // it may be allowed what the old one was not
			return err
		}
		if _, err := tx.SetIntegrationState(ctx, id, magpie.IntegrationActive, "", s.opts.Now()); err != nil {
			return err
		}
		i.State, i.TokenUser = magpie.IntegrationActive, probe.TokenUser
		if err := s.setExpiry(ctx, tx, i, probe.expiry(expires)); err != nil {
			return err
		}
		if err := tx.Audit(ctx, actor, "integration.token_replaced", i.BaseURL, detail); err != nil {
			return err
		}
		if err := s.sweepAfterToken(ctx, tx); err != nil {
			return err
		}
		return s.wantSync(ctx, tx, id)
	})
}

// replacedText says whose the new token is and what it can do, above all which of the monitored repositories it can't
// administer although the work needs that.
func replacedText(ctx context.Context, tx *store.Tx, id magpie.IntegrationID, p Probe) (string, error) {
	monitored, err := tx.MonitoredRemoteIDs(ctx, id)
	if err != nil {
		return "", err
	}
	detail := fmt.Sprintf("as %s; administers %d of %d repositories", p.TokenUser, p.ReposAdmin, p.Repos)
	if n := len(slices.DeleteFunc(monitored, func(remote int64) bool { return p.admin[remote] })); n > 0 {
		detail += fmt.Sprintf(", but not %d of those that are monitored", n)
	}
	return detail, nil
}

// SameToken reports whether a token is the one that an integration works with, without asking Bitbucket, so that a token
// that is kept elsewhere is sent again only after it changed.
func (s *Service) SameToken(ctx context.Context, id magpie.IntegrationID, token magpie.Secret) (bool, error) {
	if _, err := s.integration(ctx, id); err != nil {
		return false, err
	}
	sealed, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(ctx, id) })
	if err != nil {
		return false, err
	}
	stored, err := s.opts.Keys.Open(seal.Credentials, tokenPlace(id), sealed)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(stored.Reveal(), bytes.TrimSpace(token.Reveal())) == 1, nil
}
