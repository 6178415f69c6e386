package perimeter

import (
	"context"
	"time"

	"magpie"
	"magpie/internal/store"
)

// SetTokenExpiry stores when a person says that an integration's token expires; zero means never, or not known.
func (s *Service) SetTokenExpiry(ctx context.Context, actor magpie.User, id magpie.IntegrationID, expires time.Time) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := liveIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.SetTokenExpiry(ctx, id, expires); err != nil {
			return err
		}
		return tx.Audit(ctx, actor, "integration.token_expiry", i.BaseURL, expiryText(expires))
	})
}

func expiryText(expires time.Time) string {
	if expires.IsZero() {
		return "the token does not expire, or it is not known when"
	}
	return "the token expires on " + expires.UTC().Format("2006-01-02 15:04 UTC")
}
