package perimeter

import (
	"context"
	"time"

	"magpie"
	"magpie/internal/store"
)

// ReplaceToken checks a new token for an integration as Connect would, stores it, and resumes work at once: everything
// that was pushed meanwhile is looked at.
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
		if err := tx.SetIntegrationToken(ctx, id, sealed); err != nil {
			return err
		}
		if err := tx.SetTokenExpiry(ctx, id, expires); err != nil {
			return err
		}
		if err := tx.SetIntegrationIdentity(ctx, id, probe.Version, probe.TokenUser); err != nil {
			return err
		}
		if _, err := tx.SetIntegrationState(ctx, id, magpie.IntegrationActive, "", s.opts.Now()); err != nil {
			return err
		}
		if err := tx.Audit(ctx, actor, "integration.token_replaced", i.BaseURL, "as "+probe.TokenUser); err != nil {
			return err
		}
		if err := tx.SetSchedule(ctx, sweepSchedule, s.opts.Now()); err != nil {
			return err
		}
		return s.wantSync(ctx, tx, id)
	})
}
