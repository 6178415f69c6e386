package access

import (
	"testing"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// An operator resets a password because somebody else knows it. Whoever was just signing in with it must not get in.
func TestResetWhileThePasswordIsChecked(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		ctx := t.Context()
		s, err := New(Options{DB: db, PasswordCost: Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}})
		if err != nil {
			t.Fatal(err)
		}
		known, fresh := magpie.NewSecret("correct horse battery"), magpie.NewSecret("staple on a blue ladder")
		if _, err := s.CreateOwner(ctx, "owner@example.com", "Owner", known); err != nil {
			t.Fatal(err)
		}
		user, verified, err := s.verify(ctx, "owner@example.com", known, "192.0.2.1:1")
		if err != nil {
			t.Fatal(err)
		}
		stolen, err := s.hasher.hash(ctx, magpie.NewSecret("another one altogether"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.OperatorReset(ctx, "owner@example.com", fresh); err != nil {
			t.Fatal(err)
		}
		if token, _, err := s.openSession(ctx, user.ID, verified, "192.0.2.1:1"); magpie.KindOf(err) != magpie.KindUnauthorized {
			t.Errorf("opening a session with the old password: %v and a token of %d bytes, want it refused", err, token.Len())
		}
		if err := asOldPassword(s.replacePassword(ctx, user.ID, verified, stolen)); magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("replacing the password by the old one: %v, want it refused", err)
		}
		if _, _, err := s.Login(ctx, "owner@example.com", fresh, "192.0.2.1:1"); err != nil {
			t.Errorf("the password that was set: %v", err)
		}
	})
}
