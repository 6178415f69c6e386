package perimeter

import (
	"context"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

const (
	expirySchedule = "perimeter.expiry"
	expiryEvery    = time.Hour // between looks at which tokens are about to expire
	day            = 24 * time.Hour
)

// expiryDays are how many days ahead the end of a token is announced, the nearest first.
var expiryDays = []int{3, 14}

// SetTokenExpiry stores when a person says that an integration's token expires; zero means never, or not known. What
// Bitbucket itself tells takes its place with the next sync.
func (s *Service) SetTokenExpiry(ctx context.Context, actor magpie.User, id magpie.IntegrationID, expires time.Time) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := liveIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.Audit(ctx, actor, "integration.token_expiry", i.BaseURL, expiryText(expires)); err != nil {
			return err
		}
		return s.setExpiry(ctx, tx, i, expires)
	})
}

func expiryText(expires time.Time) string {
	if expires.IsZero() {
		return "the token does not expire, or it is not known when"
	}
	return "the token expires on " + moment(expires)
}

// setExpiry stores when a token expires and announces that if it is near.
func (s *Service) setExpiry(ctx context.Context, tx *store.Tx, i magpie.Integration, expires time.Time) error {
	if err := tx.SetTokenExpiry(ctx, i.ID, expires); err != nil {
		return err
	}
	i.TokenExpiresAt = expires
	return s.announceExpiry(ctx, tx, i, s.opts.Now())
}

// tokenExpiry asks Bitbucket when the token expires; zero and known is never. Not getting an answer is no trouble, since
// nothing but an announcement depends on it.
func (s *Service) tokenExpiry(ctx context.Context, c *bitbucket.Client) (expires time.Time, known bool) {
	expires, known, err := c.TokenExpiry(ctx)
	if err != nil {
		s.opts.Log.Debug("asking when a token expires", "url", c.BaseURL(), "error", err)
		return time.Time{}, false
	}
	return expires.Truncate(time.Microsecond), known
}

// learnExpiry stores when Bitbucket says that an integration's token expires, if it says so.
func (s *Service) learnExpiry(ctx context.Context, i magpie.Integration, c *bitbucket.Client, sealed []byte) error {
	expires, known := s.tokenExpiry(ctx, c)
	if !known || expires.Equal(i.TokenExpiresAt) {
		return nil
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if same, err := sameToken(ctx, tx, i.ID, sealed); err != nil || !same {
			return err
		}
		return s.setExpiry(ctx, tx, i, expires)
	})
}

// announceExpiries announces each token that expires soon, whenever that became so.
func (s *Service) announceExpiries(ctx context.Context, tx *store.Tx, now time.Time) error {
	claimed, err := tx.ClaimSchedule(ctx, expirySchedule, now, now.Add(expiryEvery))
	if err != nil || !claimed {
		return err
	}
	all, err := tx.Integrations(ctx)
	if err != nil {
		return err
	}
	for _, i := range all {
		if err := s.announceExpiry(ctx, tx, i, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) announceExpiry(ctx context.Context, tx *store.Tx, i magpie.Integration, now time.Time) error {
	days := expiryDue(i.TokenExpiresAt, now)
	if days == 0 || i.Removing || i.State == magpie.IntegrationTokenInvalid || s.opts.OnTokenExpires == nil {
		return nil
	}
	return s.opts.OnTokenExpires(ctx, tx, i, days)
}

// expiryDue returns the announcement that is due for a token: the nearest number of days within which it expires, or 0.
func expiryDue(expires, now time.Time) int {
	if expires.IsZero() || !now.Before(expires) {
		return 0
	}
	for _, days := range expiryDays {
		if expires.Sub(now) <= time.Duration(days)*day {
			return days
		}
	}
	return 0
}
