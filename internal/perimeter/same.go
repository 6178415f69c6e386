package perimeter

import (
	"bytes"
	"context"
	"crypto/subtle"

	"magpie"
	"magpie/internal/seal"
	"magpie/internal/store"
)

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
