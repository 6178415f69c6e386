package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"magpie"
	"magpie/internal/store"
)

const (
	// SessionIdle is after how long without use a session ends.
	SessionIdle = 12 * time.Hour
	// SessionLife is after how long every session ends.
	SessionLife = 7 * 24 * time.Hour

	sessionSize = 32 // bytes
	// touchEvery is how exactly the last use of a session or token is stored: a write for each request would be too many.
	touchEvery = time.Minute
)

// Login opens a session for who knows the password. The token goes into a cookie; it can't be had again. A wrong
// password, an unknown e-mail and a disabled account are one and the same KindUnauthorized; too many attempts for the
// account or from the address are a KindRateLimited, whether or not the account exists. remoteAddr is the peer's address
// with or without port.
func (s *Service) Login(ctx context.Context, email string, password magpie.Secret, remoteAddr string) (magpie.Secret, magpie.User, error) {
	user, verified, err := s.verify(ctx, email, password, remoteAddr)
	if err != nil {
		return magpie.Secret{}, magpie.User{}, err
	}
	token, user, err := s.openSession(ctx, user.ID, verified, remoteAddr)
	if err != nil {
		return magpie.Secret{}, magpie.User{}, err
	}
	return token, user, nil
}

// openSession opens a session for an account if its password's hash is still the one that was verified.
func (s *Service) openSession(ctx context.Context, id magpie.UserID, verified, remoteAddr string) (token magpie.Secret, user magpie.User, err error) {
	raw := make([]byte, sessionSize)
	_, _ = rand.Read(raw) // never fails
	token = magpie.NewSecret(base64.RawURLEncoding.EncodeToString(raw))
	now := s.now()
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		if user, err = lockVerified(ctx, tx, id, verified); err != nil {
			return err
		}
		if err := tx.PruneSessions(ctx, now, now.Add(-SessionIdle)); err != nil {
			return err
		}
		session := store.Session{IDHash: digest(token), User: user, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(SessionLife)}
		if err := tx.AddSession(ctx, session); err != nil {
			return err
		}
		return tx.Audit(ctx, user, "user.login", user.Email, "from "+host(remoteAddr))
	})
	return token, user, err
}

func digest(token magpie.Secret) []byte {
	sum := sha256.Sum256(token.Reveal())
	return sum[:]
}

// Authenticate returns the user of a session, or a KindUnauthorized if it is unknown, has expired, or its user is
// disabled.
func (s *Service) Authenticate(ctx context.Context, token magpie.Secret) (magpie.User, error) {
	if token.Len() != base64.RawURLEncoding.EncodedLen(sessionSize) {
		return magpie.User{}, errNotLoggedIn()
	}
	hash := digest(token)
	session, err := store.Query(ctx, s.db, func(tx *store.Tx) (store.Session, error) { return tx.Session(ctx, hash) })
	if magpie.KindOf(err) == magpie.KindNotFound {
		return magpie.User{}, errNotLoggedIn()
	}
	if err != nil {
		return magpie.User{}, err
	}
	now := s.now()
	if session.User.Disabled || !now.Before(session.ExpiresAt) || !now.Before(session.SeenAt.Add(SessionIdle)) {
		return magpie.User{}, errNotLoggedIn()
	}
	if now.Sub(session.SeenAt) >= touchEvery {
		if err := s.db.Write(ctx, func(tx *store.Tx) error { return tx.TouchSession(ctx, hash, now) }); err != nil {
			return magpie.User{}, err
		}
	}
	return session.User, nil
}

func errNotLoggedIn() error {
	return &magpie.Error{Kind: magpie.KindUnauthorized, Message: "you are not logged in, or your session has ended", Hint: "log in"}
}

// Logout ends a session. An unknown one is no error.
func (s *Service) Logout(ctx context.Context, token magpie.Secret) error {
	hash := digest(token)
	return s.db.Write(ctx, func(tx *store.Tx) error {
		session, err := tx.Session(ctx, hash)
		if magpie.KindOf(err) == magpie.KindNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.DeleteSession(ctx, hash); err != nil {
			return err
		}
		return tx.Audit(ctx, session.User, "user.logout", session.User.Email, "")
	})
}

// LogoutEverywhere ends all sessions of the user.
func (s *Service) LogoutEverywhere(ctx context.Context, actor magpie.User) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteSessionsOf(ctx, actor.ID); err != nil {
			return err
		}
		return tx.Audit(ctx, actor, "user.logout", actor.Email, "everywhere")
	})
}
