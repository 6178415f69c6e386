package perimeter

import (
	"context"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// reached stores that a Bitbucket answered and knows the token. After trouble, everything is looked at again.
func (s *Service) reached(ctx context.Context, i magpie.Integration, instance bitbucket.Instance) error {
	if i.State == magpie.IntegrationActive && i.Version == instance.Version && i.TokenUser == instance.Username {
		return nil
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.SetIntegrationIdentity(ctx, i.ID, instance.Version, instance.Username); err != nil {
			return err
		}
		changed, err := tx.SetIntegrationState(ctx, i.ID, magpie.IntegrationActive, "", s.opts.Now())
		if err != nil || !changed {
			return err
		}
		if i.State == magpie.IntegrationTokenInvalid {
			if err := tx.Audit(ctx, magpie.User{}, "integration.token_valid", i.BaseURL, "the token works again"); err != nil {
				return err
			}
		}
		return tx.SetSchedule(ctx, sweepSchedule, s.opts.Now())
	})
}

// setTrouble stores why an integration can't work. A dead token is announced once each time that it dies; an integration
// whose token is dead stays in that state when it can't be reached either, or its death would be announced again.
func (s *Service) setTrouble(ctx context.Context, tx *store.Tx, id magpie.IntegrationID, trouble error) error {
	i, err := tx.Integration(ctx, id)
	if err != nil {
		return err
	}
	switch kind := magpie.KindOf(trouble); {
	case kind == magpie.KindInternal:
		return nil // ours, which says nothing about Bitbucket
	case kind != magpie.KindTokenInvalid:
		if i.State == magpie.IntegrationTokenInvalid {
			return nil
		}
		_, err := tx.SetIntegrationState(ctx, id, magpie.IntegrationUnreachable, magpie.Explain(trouble), s.opts.Now())
		return err
	}
	i.State, i.StateReason = magpie.IntegrationTokenInvalid, magpie.Explain(trouble)
	changed, err := tx.SetIntegrationState(ctx, id, i.State, i.StateReason, s.opts.Now())
	if err != nil || !changed {
		return err
	}
	if err := tx.Audit(ctx, magpie.User{}, "integration.token_invalid", i.BaseURL, i.StateReason); err != nil {
		return err
	}
	if s.opts.OnTokenInvalid == nil {
		return nil
	}
	return s.opts.OnTokenInvalid(ctx, tx, i)
}

// TokenRefused is for other stages that met a refused token: the integration is checked soon, and its state follows from
// that check alone.
func (s *Service) TokenRefused(ctx context.Context, id magpie.IntegrationID) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error { return s.wantSync(ctx, tx, id) })
}
