package perimeter

import (
	"context"

	"magpie"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Recheck does what Check does for a connected integration, with the token that is stored. It changes nothing.
func (s *Service) Recheck(ctx context.Context, id magpie.IntegrationID) (Probe, error) {
	i, err := s.integration(ctx, id)
	if err != nil {
		return Probe{}, err
	}
	sealed, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(ctx, id) })
	if err != nil {
		return Probe{}, err
	}
	token, err := s.opts.Keys.Open(seal.Credentials, tokenPlace(id), sealed)
	if err != nil {
		return Probe{}, err
	}
	return s.Check(ctx, i.Mode, i.BaseURL, token)
}
