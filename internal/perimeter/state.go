package perimeter

import (
	"context"
	"fmt"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// licenceEvery is the time between tries while the token's user has no licence, which comes back without anybody telling us.
const licenceEvery = 5 * time.Minute

// admit asks a Bitbucket who the token's user is and whether it may still do its work, and stores the answer. An error means
// that there is no point in going on; a token that lost some permission does what it still can.
func (s *Service) admit(ctx context.Context, i magpie.Integration, c *bitbucket.Client) error {
	sealed, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(ctx, i.ID) })
	if err != nil {
		return err
	}
	instance, err := c.Probe(ctx)
	if err != nil {
		return err
	}
	lost, err := s.lostPermission(ctx, i, c)
	switch {
	case err != nil:
		return err
	case lost != nil && lost.blind:
		return lost
	case lost != nil:
		err = s.limp(ctx, i, instance, sealed, lost)
	default:
		err = s.reached(ctx, i, instance)
	}
	if err != nil {
		return err
	}
	return s.learnExpiry(ctx, i, c, sealed)
}

// reached stores that a Bitbucket answered and that the token can work. After trouble, everything is looked at again.
func (s *Service) reached(ctx context.Context, i magpie.Integration, instance bitbucket.Instance) error {
	if i.State == magpie.IntegrationActive && i.StateReason == "" && i.AuthFailingSince.IsZero() &&
		i.Version == instance.Version && i.TokenUser == instance.Username {
		return nil
	}
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		before, err := tx.Integration(ctx, i.ID)
		if err != nil {
			return err
		}
		if err := tx.SetIntegrationIdentity(ctx, i.ID, instance.Version, instance.Username); err != nil {
			return err
		}
		if err := tx.ForgetRefusals(ctx, i.ID); err != nil {
			return err
		}
		changed, err := tx.SetIntegrationState(ctx, i.ID, magpie.IntegrationActive, "", s.opts.Now())
		if err != nil || !changed {
			return err
		}
		if text := recovered[before.State]; text != "" {
			if err := tx.Audit(ctx, magpie.User{}, "integration.token_valid", i.BaseURL, text); err != nil {
				return err
			}
		}
		return s.sweepAfterToken(ctx, tx)
	})
}

// recovered says what is well again when an integration leaves a state.
var recovered = map[magpie.IntegrationState]string{
	magpie.IntegrationTokenInvalid: "the token works again",
	magpie.IntegrationNoLicence:    "the token's user has a licence again",
	magpie.IntegrationNoPermission: "the token has its permissions again",
}

// sweepAfterToken makes everything be compared that may have been missed.
func (s *Service) sweepAfterToken(ctx context.Context, tx *store.Tx) error {
	return s.wantSweep(ctx, tx, sweepToken)
}

// limp stores that a Bitbucket answered, but that the token lost a permission without which part of the work is undone.
func (s *Service) limp(ctx context.Context, i magpie.Integration, instance bitbucket.Instance, sealed []byte, lost *lostPermission) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := liveIntegration(ctx, tx, i.ID); err != nil {
			return err // it shall not get a schedule again
		}
		if same, err := sameToken(ctx, tx, i.ID, sealed); err != nil || !same {
			return err
		}
		if err := tx.SetIntegrationIdentity(ctx, i.ID, instance.Version, instance.Username); err != nil {
			return err
		}
		retry, err := s.setTrouble(ctx, tx, i.ID, lost)
		if err != nil || retry == 0 {
			return err
		}
		return tx.SetSchedule(ctx, syncSchedule(i.ID), s.opts.Now().Add(retry))
	})
}

// setTrouble stores why an integration can't work, and returns how soon to ask again; 0 leaves that to the schedule.
//
// A refusal of the token counts only when it lasted for the grace period. Until then the integration stays active, with the
// reason, and is asked again and again. Then it gets into the state that says what is wrong, which is announced once
// for each time that the token stopped working. Trouble on the way says nothing about the token: it neither adds to the
// grace period nor begins it anew, and an integration that was given up stays so, or that would be announced again.
func (s *Service) setTrouble(ctx context.Context, tx *store.Tx, id magpie.IntegrationID, trouble error) (retry time.Duration, err error) {
	soon := min(retryEvery, s.opts.SyncEvery)
	i, err := tx.Integration(ctx, id)
	if err != nil {
		return 0, err
	}
	state, refused := refusedState(trouble)
	switch {
	case refused:
		return s.setRefused(ctx, tx, i, state, trouble)
	case magpie.KindOf(trouble) == magpie.KindInternal:
		return soon, nil // ours, which says nothing about Bitbucket
	}
	if err := tx.NoteSilence(ctx, id); err != nil || recovered[i.State] != "" {
		return soon, err
	}
	_, err = tx.SetIntegrationState(ctx, id, magpie.IntegrationUnreachable, magpie.Explain(trouble), s.opts.Now())
	return soon, err
}

// refusedState returns the state that follows from trouble with the token itself.
func refusedState(trouble error) (state magpie.IntegrationState, refused bool) {
	if _, lost := asLost(trouble); lost {
		return magpie.IntegrationNoPermission, true
	}
	switch magpie.KindOf(trouble) {
	case magpie.KindTokenInvalid:
		return magpie.IntegrationTokenInvalid, true
	case magpie.KindNoLicence:
		return magpie.IntegrationNoLicence, true
	}
	return "", false
}

// setRefused stores a refusal of the token.
func (s *Service) setRefused(ctx context.Context, tx *store.Tx, i magpie.Integration, state magpie.IntegrationState, trouble error) (time.Duration, error) {
	now, why := s.opts.Now(), magpie.Explain(trouble)
	since, counted, err := tx.NoteRefusal(ctx, i.ID, now, 3*s.graceEvery())
	if err != nil {
		return 0, err
	}
	if left := s.opts.TokenGrace - counted; left > 0 && recovered[i.State] == "" {
		why = fmt.Sprintf("Bitbucket refuses the token since %s; it is asked again until %s: %s", moment(since), moment(now.Add(left)), why)
		_, err := tx.SetIntegrationState(ctx, i.ID, magpie.IntegrationActive, why, now)
		return max(min(s.graceEvery(), left), time.Second), err
	}
	retry := time.Duration(0)
	if state == magpie.IntegrationNoLicence {
		retry = min(licenceEvery, s.opts.SyncEvery)
	}
	changed, err := tx.SetIntegrationState(ctx, i.ID, state, why, now)
	if err != nil || !changed {
		return retry, err
	}
	if err := tx.Audit(ctx, magpie.User{}, "integration."+string(state), i.BaseURL, why); err != nil {
		return 0, err
	}
	if s.opts.OnTokenInvalid == nil {
		return retry, nil
	}
	i.State, i.StateReason, i.AuthFailingSince = state, why, since
	return retry, s.opts.OnTokenInvalid(ctx, tx, i)
}

// graceEvery is the time between tries in the grace period.
func (s *Service) graceEvery() time.Duration {
	return min(retryEvery, s.opts.SyncEvery, max(s.opts.TokenGrace/5, time.Second))
}

// moment writes a time for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// TokenRefused is for other stages that met a refused token: the integration is checked soon, and its state follows from
// that check alone.
func (s *Service) TokenRefused(ctx context.Context, id magpie.IntegrationID) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error { return s.wantSync(ctx, tx, id) })
}
