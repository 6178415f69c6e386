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

// at is a time as precise as the database keeps it.
var at = time.Date(2026, 4, 5, 6, 7, 8, 9000, time.UTC)

func newAccount(email string, role magpie.Role) magpie.User {
	return magpie.User{ID: store.NewID[magpie.UserID](), Email: email, Name: "Ünï 名", Role: role, CreatedAt: at}
}

func TestAccounts(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		ctx := t.Context()
		owner, member := newAccount("owner@example.com", magpie.RoleOwner), newAccount("member@example.com", magpie.RoleMember)
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			if exists, err := tx.OwnerExists(ctx); err != nil || exists {
				t.Errorf("OwnerExists = %t, %v, want false", exists, err)
			}
			for _, u := range []magpie.User{owner, member} {
				if err := tx.AddAccount(ctx, u, "hash of "+u.Email); err != nil {
					return err
				}
			}
			return nil
		})
		for name, twin := range map[string]magpie.User{
			"the same e-mail": newAccount("member@example.com", magpie.RoleMember),
			"a second Owner":  newAccount("second@example.com", magpie.RoleOwner),
		} {
			err := db.Write(ctx, func(tx *store.Tx) error { return tx.AddAccount(ctx, twin, "") })
			if magpie.KindOf(err) != magpie.KindConflict {
				t.Errorf("%s: %v, want a conflict", name, err)
			}
		}
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SetAccountRole(ctx, member.ID, magpie.RoleManager); err != nil {
				return err
			}
			if err := tx.SetAccountDisabled(ctx, member.ID, true); err != nil {
				return err
			}
			return tx.SetAccountPassword(ctx, member.ID, "new hash")
		})
		member.Role, member.Disabled = magpie.RoleManager, true
		mustWrite(t, db, func(ctx context.Context, tx *store.Tx) error {
			got, hash, err := tx.AccountByEmail(ctx, "member@example.com")
			if diff := cmp.Diff(member, got); diff != "" || hash != "new hash" {
				t.Errorf("AccountByEmail with hash %q (-want +got):\n%s", hash, diff)
			}
			if err != nil {
				return err
			}
			if got, err := tx.LockAccount(ctx, member.ID); err != nil || got != member {
				t.Errorf("LockAccount = %v, %v", got, err)
			}
			all, err := tx.Accounts(ctx)
			if diff := cmp.Diff([]magpie.User{owner, member}, all); diff != "" {
				t.Errorf("Accounts (-want +got):\n%s", diff)
			}
			return err
		})
		_, err := store.Query(ctx, db, func(tx *store.Tx) (magpie.User, error) { return tx.Account(ctx, "unknown") })
		if magpie.KindOf(err) != magpie.KindNotFound {
			t.Errorf("an unknown account: %v, want not found", err)
		}
	})
}

func mustWrite(t *testing.T, db *store.DB, fn func(context.Context, *store.Tx) error) {
	t.Helper()
	ctx := context.Background()
	if err := db.Write(ctx, func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}
