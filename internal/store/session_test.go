package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

func TestSessionsAndTokens(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		user := newAccount("user@example.com", magpie.RoleMember)
		session := store.Session{IDHash: []byte{0, 1, 255}, User: user, CreatedAt: at, SeenAt: at, ExpiresAt: at.Add(time.Hour)}
		token := store.APIToken{ID: store.NewID[magpie.TokenID](), UserID: user.ID, Name: "laptop", CreatedAt: at}
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddAccount(ctx, user, "hash"); err != nil {
				return err
			}
			if err := tx.AddSession(ctx, session); err != nil {
				return err
			}
			return tx.AddAPIToken(ctx, token, []byte{7, 0})
		})
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			later := at.Add(time.Minute)
			if err := tx.TouchSession(ctx, session.IDHash, later); err != nil {
				return err
			}
			if err := tx.TouchAPIToken(ctx, token.ID, later); err != nil {
				return err
			}
			session.SeenAt, token.UsedAt = later, later
			got, err := tx.Session(ctx, session.IDHash)
			if diff := cmp.Diff(session, got); diff != "" || err != nil {
				t.Errorf("Session, %v (-want +got):\n%s", err, diff)
			}
			byHash, owner, err := tx.APITokenByHash(ctx, []byte{7, 0})
			if diff := cmp.Diff(token, byHash); diff != "" || err != nil || owner != user {
				t.Errorf("APITokenByHash of %v, %v (-want +got):\n%s", owner, err, diff)
			}
			if ok, err := tx.DeleteAPIToken(ctx, "another", token.ID); err != nil || ok {
				t.Errorf("another user's DeleteAPIToken = %t, %v, want false", ok, err)
			}
			// Pruning leaves what is alive.
			if err := tx.PruneSessions(ctx, at, at); err != nil {
				return err
			}
			if _, err := tx.Session(ctx, session.IDHash); err != nil {
				t.Errorf("a live session was pruned: %v", err)
			}
			if err := tx.PruneSessions(ctx, session.ExpiresAt, at); err != nil {
				return err
			}
			if _, err := tx.Session(ctx, session.IDHash); magpie.KindOf(err) != magpie.KindNotFound {
				t.Errorf("an expired session: %v, want not found", err)
			}
			return nil
		})
	})
}

func TestLoginWindow(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			end := at.Add(time.Minute)
			count := func(now time.Time, want int64, wantEnd time.Time) {
				t.Helper()
				n, got, err := tx.CountLogin(ctx, "email:x", now, now.Add(time.Minute))
				if err != nil || n != want || !got.Equal(wantEnd) {
					t.Errorf("CountLogin = %d until %v, %v, want %d until %v", n, got, err, want, wantEnd)
				}
			}
			count(at, 1, end)
			count(at.Add(time.Second), 2, end)
			if err := tx.UncountLogin(ctx, "email:x"); err != nil {
				return err
			}
			count(at.Add(2*time.Second), 2, end)
			if err := tx.PruneLogins(ctx, at.Add(3*time.Second)); err != nil {
				return err
			}
			count(at.Add(4*time.Second), 3, end)
			count(end, 1, end.Add(time.Minute)) // a new window
			if err := tx.ForgetLogins(ctx, "email:x"); err != nil {
				return err
			}
			count(end, 1, end.Add(time.Minute))
			return nil
		})
	})
}
