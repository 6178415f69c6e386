package access_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

var (
	good   = magpie.NewSecret("correct horse battery")
	better = magpie.NewSecret("staple on a blue ladder")
	wrong  = magpie.NewSecret("incorrect horse battery")
)

// clock is a time that moves only when told.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// bundle is a workspace with an Owner, a Manager and a Member.
type bundle struct {
	*access.Service
	t                      *testing.T
	db                     *store.DB
	clock                  *clock
	owner, manager, member magpie.User
}

func each(t *testing.T, test func(t *testing.T, b *bundle)) {
	t.Helper()
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) { test(t, newBundle(t, db)) })
}

func newBundle(t *testing.T, db *store.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, db: db, clock: &clock{}}
	b.clock.micros.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	b.Service = b.another()
	ctx := t.Context()
	var err error
	if b.owner, err = b.CreateOwner(ctx, "Owner@Example.com ", " The  Owner", good); err != nil {
		t.Fatal(err)
	}
	if b.manager, err = b.CreateUser(ctx, b.owner, "manager@example.com", "A Manager", magpie.RoleManager, good); err != nil {
		t.Fatal(err)
	}
	if b.member, err = b.CreateUser(ctx, b.manager, "member@example.com", "A Member", magpie.RoleMember, good); err != nil {
		t.Fatal(err)
	}
	return b
}

// another returns a second service on the same database, as another instance has.
func (b *bundle) another() *access.Service {
	b.t.Helper()
	s, err := access.New(access.Options{DB: b.db, PasswordCost: access.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}, Now: b.clock.now})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bundle) login(email string, password magpie.Secret, from string) magpie.Secret {
	b.t.Helper()
	token, _, err := b.Login(b.t.Context(), email, password, from)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

func wantKind(t *testing.T, what string, err error, kind magpie.Kind) {
	t.Helper()
	if err == nil || magpie.KindOf(err) != kind {
		t.Errorf("%s = %v, want an error of kind %q", what, err, kind)
	}
}

func (b *bundle) works(session magpie.Secret) bool {
	b.t.Helper()
	_, err := b.Authenticate(b.t.Context(), session)
	if err != nil && magpie.KindOf(err) != magpie.KindUnauthorized {
		b.t.Fatal(err)
	}
	return err == nil
}

func TestOneOwner(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) {
		ctx := t.Context()
		b := &bundle{t: t, db: db, clock: &clock{}}
		s := b.another()
		if needed, err := s.SetupNeeded(ctx); err != nil || !needed {
			t.Fatalf("SetupNeeded = %t, %v, want true", needed, err)
		}
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, err := s.CreateOwner(ctx, fmt.Sprintf("owner%d@example.com", i), "Owner", good)
				switch {
				case err == nil:
					made.Add(1)
				case magpie.KindOf(err) == magpie.KindConflict:
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || refused.Load() != 7 {
			t.Errorf("%d Owners made, %d refused, want 1 and 7", made.Load(), refused.Load())
		}
		if needed, err := s.SetupNeeded(ctx); err != nil || needed {
			t.Errorf("SetupNeeded = %t, %v, want false", needed, err)
		}
	})
}

func TestCreateUserRefuses(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		tests := []struct {
			name        string
			actor       magpie.User
			email, user string
			role        magpie.Role
			password    magpie.Secret
			kind        magpie.Kind
			field       string
		}{
			{"by a Member", b.member, "a@example.com", "A", magpie.RoleMember, good, magpie.KindForbidden, ""},
			{"a second Owner", b.owner, "a@example.com", "A", magpie.RoleOwner, good, magpie.KindInvalid, "role"},
			{"an unknown role", b.owner, "a@example.com", "A", "admin", good, magpie.KindInvalid, "role"},
			{"no address", b.owner, "nobody", "A", magpie.RoleMember, good, magpie.KindInvalid, "email"},
			{"a name in the address", b.owner, "A <a@example.com>", "A", magpie.RoleMember, good, magpie.KindInvalid, "email"},
			{"two lines in the address", b.owner, "a@example.com\r\nBcc: b@example.com", "A", magpie.RoleMember, good, magpie.KindInvalid, "email"},
			{"no name", b.owner, "a@example.com", " ", magpie.RoleMember, good, magpie.KindInvalid, "name"},
			{"a weak password", b.owner, "a@example.com", "A", magpie.RoleMember, magpie.NewSecret("short"), magpie.KindInvalid, "password"},
			{"a taken address", b.owner, "MEMBER@example.com", "A", magpie.RoleMember, good, magpie.KindConflict, "email"},
		}
		for _, tt := range tests {
			_, err := b.CreateUser(ctx, tt.actor, tt.email, tt.user, tt.role, tt.password)
			wantKind(t, tt.name, err, tt.kind)
			if e, ok := err.(*magpie.Error); ok && e.Field != tt.field {
				t.Errorf("%s: field %q, want %q", tt.name, e.Field, tt.field)
			}
		}
		users, err := b.Users(ctx)
		if err != nil || len(users) != 3 || users[0].Email != "owner@example.com" || users[0].Name != "The Owner" {
			t.Errorf("Users = %v, %v, want the three of the bundle", users, err)
		}
	})
}

func TestOnlyTheOwnerTouchesTheOwner(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		session := b.login("owner@example.com", good, "192.0.2.1:1")
		for _, actor := range []magpie.User{b.owner, b.manager, b.member, {}} {
			wantKind(t, "ResetPassword by "+actor.Name, b.ResetPassword(ctx, actor, b.owner.ID, better), magpie.KindForbidden)
			wantKind(t, "SetRole by "+actor.Name, b.SetRole(ctx, actor, b.owner.ID, magpie.RoleMember), magpie.KindForbidden)
			wantKind(t, "SetDisabled by "+actor.Name, b.SetDisabled(ctx, actor, b.owner.ID, true), magpie.KindForbidden)
		}
		if !b.works(session) {
			t.Error("the Owner's session is gone")
		}
		wantKind(t, "SetRole to Owner", b.SetRole(ctx, b.owner, b.manager.ID, magpie.RoleOwner), magpie.KindInvalid)
		wantKind(t, "SetRole of oneself", b.SetRole(ctx, b.manager, b.manager.ID, magpie.RoleMember), magpie.KindConflict)
		wantKind(t, "SetDisabled of oneself", b.SetDisabled(ctx, b.manager, b.manager.ID, true), magpie.KindConflict)
		wantKind(t, "SetRole by a Member", b.SetRole(ctx, b.member, b.manager.ID, magpie.RoleMember), magpie.KindForbidden)
		wantKind(t, "SetRole of nobody", b.SetRole(ctx, b.owner, "nobody", magpie.RoleMember), magpie.KindNotFound)
		// Changing one's own is how the Owner's password changes.
		wantKind(t, "ChangePassword with a wrong one", b.ChangePassword(ctx, b.owner, wrong, better), magpie.KindInvalid)
		if err := b.ChangePassword(ctx, b.owner, good, better); err != nil {
			t.Fatal(err)
		}
		if b.works(session) {
			t.Error("an old session survives a change of the password")
		}
		b.login("owner@example.com", better, "192.0.2.1:1")
	})
}

func TestSessionEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(context.Context, *bundle, magpie.Secret) error
	}{
		{"by logging out", func(ctx context.Context, b *bundle, session magpie.Secret) error { return b.Logout(ctx, session) }},
		{"by logging out everywhere", func(ctx context.Context, b *bundle, _ magpie.Secret) error { return b.LogoutEverywhere(ctx, b.member) }},
		{"when the account is disabled", func(ctx context.Context, b *bundle, _ magpie.Secret) error {
			return b.SetDisabled(ctx, b.manager, b.member.ID, true)
		}},
		{"when a Manager resets the password", func(ctx context.Context, b *bundle, _ magpie.Secret) error {
			return b.ResetPassword(ctx, b.manager, b.member.ID, better)
		}},
		{"when the operator resets the password", func(ctx context.Context, b *bundle, _ magpie.Secret) error {
			return b.OperatorReset(ctx, "member@example.com", better)
		}},
		{"after 12 idle hours", func(_ context.Context, b *bundle, _ magpie.Secret) error {
			b.clock.advance(access.SessionIdle)
			return nil
		}},
		{"after 7 busy days", func(_ context.Context, b *bundle, session magpie.Secret) error {
			for range 14 {
				b.clock.advance(12*time.Hour - time.Minute)
				if !b.works(session) {
					return fmt.Errorf("it ended already")
				}
			}
			b.clock.advance(14 * time.Minute) // and seven days are over
			return nil
		}},
	}
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		for _, tt := range tests {
			password := good
			if err := b.OperatorReset(ctx, "member@example.com", password); err != nil {
				t.Fatal(err)
			}
			if err := b.SetDisabled(ctx, b.owner, b.member.ID, false); err != nil {
				t.Fatal(err)
			}
			session := b.login("member@example.com", password, "192.0.2.1:1")
			user, err := b.Authenticate(ctx, session)
			if err != nil || user.ID != b.member.ID || user.Role != magpie.RoleMember {
				t.Fatalf("%s: Authenticate = %v, %v, want the member", tt.name, user, err)
			}
			if err := tt.end(ctx, b, session); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if b.works(session) {
				t.Errorf("a session does not end %s", tt.name)
			}
		}
		for _, bad := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 5000)} {
			if b.works(magpie.NewSecret(bad)) {
				t.Errorf("the session %.50q works", bad)
			}
		}
		if err := b.Logout(ctx, magpie.NewSecret("unknown")); err != nil {
			t.Errorf("logging out of an unknown session: %v", err)
		}
	})
}

func TestStoredSessionSignsNobodyIn(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		session := b.login("member@example.com", good, "192.0.2.1:1")
		hash := sha256.Sum256(session.Reveal())
		if b.works(magpie.NewSecret(hash[:])) || b.works(magpie.NewSecret(fmt.Sprintf("%x", hash))) {
			t.Error("the stored hash is accepted as a session")
		}
	})
}

func TestLoginTellsNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		if err := b.SetDisabled(ctx, b.owner, b.manager.ID, true); err != nil {
			t.Fatal(err)
		}
		messages := map[string]bool{}
		for email, password := range map[string]magpie.Secret{
			"member@example.com":  wrong,
			"unknown@example.com": good,
			"manager@example.com": good, // disabled
			"":                    good,
			"not an address":      good,
		} {
			_, _, err := b.Login(ctx, email, password, "192.0.2.1:1")
			wantKind(t, "Login as "+email, err, magpie.KindUnauthorized)
			messages[err.Error()] = true
		}
		_, _, err := b.Login(ctx, "member@example.com", magpie.NewSecret(strings.Repeat("x", 1<<20)), "192.0.2.1:1")
		messages[fmt.Sprint(err)] = true
		if len(messages) != 1 {
			t.Errorf("answers %v, want one for all", messages)
		}
	})
}

func TestGuessingIsLimited(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		for _, email := range []string{"member@example.com", "unknown@example.com"} {
			instances := []*access.Service{b.another(), b.another()}
			var tried, refused atomic.Int64
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					_, _, err := instances[i%2].Login(ctx, email, wrong, fmt.Sprintf("198.51.100.%d:9", i))
					switch magpie.KindOf(err) {
					case magpie.KindUnauthorized:
						tried.Add(1)
					case magpie.KindRateLimited:
						refused.Add(1)
					default:
						t.Errorf("Login = %v", err)
					}
				})
			}
			wg.Wait()
			if tried.Load() != 10 || refused.Load() != 30 {
				t.Errorf("%s: %d tried and %d refused, want 10 and 30", email, tried.Load(), refused.Load())
			}
		}
		_, _, err := b.Login(ctx, "member@example.com", good, "192.0.2.1:1")
		wantKind(t, "the right password after too many wrong ones", err, magpie.KindRateLimited)
		b.login("manager@example.com", good, "192.0.2.1:1") // others are not shut out
		b.clock.advance(15 * time.Minute)
		b.login("member@example.com", good, "192.0.2.1:1")
	})
}

func TestAddressIsLimited(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		from := "203.0.113.5:1000"
		kinds := map[magpie.Kind]int{}
		for i := range 60 {
			_, _, err := b.Login(ctx, fmt.Sprintf("someone%d@example.com", i), wrong, from)
			kinds[magpie.KindOf(err)]++
		}
		if kinds[magpie.KindUnauthorized] != 50 || kinds[magpie.KindRateLimited] != 10 {
			t.Errorf("answers %v, want 50 tried and 10 refused", kinds)
		}
		// What the address is refused does not count against the account.
		for range 20 {
			_, _, err := b.Login(ctx, "member@example.com", wrong, from)
			wantKind(t, "Login", err, magpie.KindRateLimited)
		}
		b.login("member@example.com", good, "192.0.2.1:1")
		entries, err := store.Query(ctx, b.db, func(tx *store.Tx) ([]store.AuditEntry, error) { return tx.AuditEntries(ctx, "", 100) })
		if err != nil {
			t.Fatal(err)
		}
		stopped := 0
		for _, e := range entries {
			if e.Action == "login.refused" {
				stopped++
			}
		}
		if stopped != 1 {
			t.Errorf("%d audit rows about refused logins, want 1", stopped)
		}
	})
}

func TestRightPasswordsAreNotCounted(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		for range 60 {
			b.login("member@example.com", good, "192.0.2.1:1")
		}
	})
}

func TestAPITokens(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		token, row, err := b.CreateToken(ctx, b.member, "laptop", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		forever, _, err := b.CreateToken(ctx, b.member, "server", 0)
		if err != nil {
			t.Fatal(err)
		}
		if user, err := b.AuthenticateBearer(ctx, token); err != nil || user.ID != b.member.ID {
			t.Errorf("AuthenticateBearer = %v, %v, want the member", user, err)
		}
		list, err := b.Tokens(ctx, b.member)
		if err != nil || len(list) != 2 || list[1].Name != "laptop" || !list[1].UsedAt.Equal(b.clock.now()) || !list[1].ExpiresAt.Equal(row.ExpiresAt) {
			t.Errorf("Tokens = %v, %v", list, err)
		}
		if list, err := b.Tokens(ctx, b.owner); err != nil || len(list) != 0 {
			t.Errorf("the Owner's Tokens = %v, %v, want none", list, err)
		}
		wantKind(t, "another user's RevokeToken", b.RevokeToken(ctx, b.owner, row.ID), magpie.KindNotFound)
		b.clock.advance(time.Hour)
		_, err = b.AuthenticateBearer(ctx, token)
		wantKind(t, "an expired token", err, magpie.KindUnauthorized)
		b.clock.advance(2000 * 24 * time.Hour)
		if _, err := b.AuthenticateBearer(ctx, forever); err != nil {
			t.Errorf("a token without expiry: %v", err)
		}
		if err := b.RevokeToken(ctx, b.member, list0(t, b).ID); err != nil {
			t.Fatal(err)
		}
		_, err = b.AuthenticateBearer(ctx, forever)
		wantKind(t, "a revoked token", err, magpie.KindUnauthorized)
		for _, lifetime := range []time.Duration{-1, 400 * 24 * time.Hour} {
			_, _, err = b.CreateToken(ctx, b.member, "x", lifetime)
			wantKind(t, fmt.Sprint("a lifetime of ", lifetime), err, magpie.KindInvalid)
		}
	})
}

// list0 returns the member's newest token.
func list0(t *testing.T, b *bundle) access.APIToken {
	t.Helper()
	list, err := b.Tokens(t.Context(), b.member)
	if err != nil || len(list) == 0 {
		t.Fatalf("Tokens = %v, %v", list, err)
	}
	return list[0]
}

func TestTokensDieWithTheAccount(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		token, _, err := b.CreateToken(ctx, b.member, "laptop", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.SetDisabled(ctx, b.owner, b.member.ID, true); err != nil {
			t.Fatal(err)
		}
		_, err = b.AuthenticateBearer(ctx, token)
		wantKind(t, "a disabled account's token", err, magpie.KindUnauthorized)
		_, _, err = b.CreateToken(ctx, b.member, "another", time.Hour) // with a user from before
		wantKind(t, "a disabled account's CreateToken", err, magpie.KindForbidden)
		if err := b.SetDisabled(ctx, b.owner, b.member.ID, false); err != nil {
			t.Fatal(err)
		}
		_, err = b.AuthenticateBearer(ctx, token)
		wantKind(t, "the token of an account that is enabled again", err, magpie.KindUnauthorized)
	})
}

func TestRoleCountsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ctx := t.Context()
		session := b.login("manager@example.com", good, "192.0.2.1:1")
		if err := b.SetRole(ctx, b.owner, b.manager.ID, magpie.RoleMember); err != nil {
			t.Fatal(err)
		}
		user, err := b.Authenticate(ctx, session)
		if err != nil || user.Role != magpie.RoleMember {
			t.Errorf("Authenticate = %v, %v, want a Member now", user, err)
		}
	})
}

func TestNothingPlainIsStored(t *testing.T) {
	ctx := t.Context()
	address := storetest.SQLite(t)
	db, _ := storetest.Open(t, address, nil)
	b := newBundle(t, db)
	session := b.login("member@example.com", good, "192.0.2.1:1")
	token, _, err := b.CreateToken(ctx, b.member, "laptop", 0)
	if err != nil {
		t.Fatal(err)
	}
	file := readAll(t, strings.TrimPrefix(address, "sqlite:"))
	if !strings.Contains(file, "member@example.com") {
		t.Fatal("the database file was not read")
	}
	for name, secret := range map[string]magpie.Secret{"password": good, "session": session, "token": token} {
		if strings.Contains(file, string(secret.Reveal())) {
			t.Errorf("the %s lies in the database", name)
		}
	}
}

// readAll returns a SQLite database's file with its write-ahead log.
func readAll(t *testing.T, path string) string {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return string(file) + string(wal)
}
