package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"magpie"
	"magpie/internal/store"
)

const (
	// guessWindow is for how long attempts are counted together.
	guessWindow = 15 * time.Minute
	// maxAccountGuesses and maxAddressGuesses are how many passwords are tried in a window. Behind one address there may
	// be a whole company.
	maxAccountGuesses = 10
	maxAddressGuesses = 50
)

// verify returns the account that the e-mail and password belong to, and the hash that the password was held against. Each attempt is counted before the password is
// looked at, and the count taken back when it was right. An empty remoteAddr counts for the account only.
func (s *Service) verify(ctx context.Context, email string, password magpie.Secret, remoteAddr string) (magpie.User, string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if err := s.countGuess(ctx, email, remoteAddr); err != nil {
		return magpie.User{}, "", err
	}
	var user magpie.User
	var hash string
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		user, hash, err = tx.AccountByEmail(ctx, email)
		return err
	})
	unknown := magpie.KindOf(err) == magpie.KindNotFound
	if err != nil && !unknown {
		return magpie.User{}, "", err
	}
	if unknown {
		hash = s.hasher.dummy // the same work, so that the time tells nothing
	}
	if password.Len() > maxPassword {
		password = magpie.Secret{} // nobody's
	}
	right, err := s.hasher.matches(ctx, password, hash)
	if err != nil {
		return magpie.User{}, "", err
	}
	if unknown || !right || user.Disabled {
		return magpie.User{}, "", errWrongLogin()
	}
	return user, hash, s.uncountGuess(ctx, email, remoteAddr)
}

// lockVerified returns the account as it is now, and lets nobody else change it until the transaction ends. While a
// password was being checked somebody may have disabled the account or reset the password: then it is a wrong one.
func lockVerified(ctx context.Context, tx *store.Tx, id magpie.UserID, verified string) (magpie.User, error) {
	user, err := tx.LockAccount(ctx, id)
	if err != nil {
		return magpie.User{}, err
	}
	_, hash, err := tx.AccountByEmail(ctx, user.Email)
	if err != nil {
		return magpie.User{}, err
	}
	if user.Disabled || hash != verified {
		return magpie.User{}, errWrongLogin()
	}
	return user, nil
}

func errWrongLogin() error {
	return &magpie.Error{Kind: magpie.KindUnauthorized, Message: "e-mail or password is wrong"}
}

func errTooManyGuesses() error {
	return &magpie.Error{
		Kind: magpie.KindRateLimited, Message: "too many attempts to log in",
		Hint: "wait 15 minutes, or let the operator reset the password with “magpie user reset”",
	}
}

// countGuess counts an attempt and refuses it if there were too many.
func (s *Service) countGuess(ctx context.Context, email, remoteAddr string) error {
	now := s.now()
	refused := false
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		refused = false
		if err := tx.PruneLogins(ctx, now); err != nil {
			return err
		}
		// The address first: one that is out of tries must not use up those of an account.
		if remoteAddr != "" {
			n, _, err := tx.CountLogin(ctx, addressSubject(remoteAddr), now, now.Add(guessWindow))
			if err != nil {
				return err
			}
			if refused = n > maxAddressGuesses; refused {
				return auditFirst(ctx, tx, n == maxAddressGuesses+1, "from "+host(remoteAddr))
			}
		}
		n, _, err := tx.CountLogin(ctx, accountSubject(email), now, now.Add(guessWindow))
		if err != nil {
			return err
		}
		if refused = n > maxAccountGuesses; refused {
			return auditFirst(ctx, tx, n == maxAccountGuesses+1, "for one account, last from "+host(remoteAddr))
		}
		return nil
	})
	if err == nil && refused {
		s.log.Warn("too many attempts to log in", "from", host(remoteAddr))
		return errTooManyGuesses()
	}
	return err
}

// auditFirst records once a window that guessing was stopped. The e-mail is not told: it may be a mistyped password.
func auditFirst(ctx context.Context, tx *store.Tx, first bool, detail string) error {
	if !first {
		return nil
	}
	return tx.Audit(ctx, magpie.User{}, "login.refused", "too many attempts to log in", detail)
}

// uncountGuess takes back what countGuess counted, because the password was right. The account's other attempts are
// forgotten, the address's are not: who has one account must not get endless tries at others.
func (s *Service) uncountGuess(ctx context.Context, email, remoteAddr string) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		err := tx.ForgetLogins(ctx, accountSubject(email))
		if remoteAddr != "" {
			err = errors.Join(err, tx.UncountLogin(ctx, addressSubject(remoteAddr)))
		}
		return err
	})
}

// accountSubject names an account's counter. It is a hash because people type passwords into the wrong field.
func accountSubject(email string) string {
	sum := sha256.Sum256([]byte(email))
	return "email:" + hex.EncodeToString(sum[:])
}

// addressSubject names an address's counter. Of IPv6 a subscriber has at least a /64, so that counts as one.
func addressSubject(remoteAddr string) string {
	addr, err := netip.ParseAddr(host(remoteAddr))
	if err != nil {
		return "addr:unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		prefix, _ := addr.Prefix(64)
		return "addr:" + prefix.String()
	}
	return "addr:" + addr.String()
}

// host strips the port of an address, where there is one.
func host(remoteAddr string) string {
	if h, _, err := net.SplitHostPort(remoteAddr); err == nil {
		return h
	}
	if _, err := netip.ParseAddr(remoteAddr); err == nil {
		return remoteAddr
	}
	return "an unknown address"
}
