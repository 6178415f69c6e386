package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"magpie"
	"magpie/internal/store"
)

// APIToken is a user's key to the API, without the token itself.
type APIToken = store.APIToken

// An API token is "mgp_", 30 random base-62 digits and the CRC-32 of those as six more, the form that GitHub introduced.
// Prefix and checksum let scanners, also ours, recognise one without a doubt.
const (
	tokenPrefix = "mgp_"
	tokenRandom = 30
	tokenSum    = 6
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	maxTokenLife = 366 * 24 * time.Hour
	maxTokens    = 50 // of one user
)

func newToken() (magpie.Secret, error) {
	digits := make([]byte, tokenRandom)
	for i := range digits {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			return magpie.Secret{}, fmt.Errorf("making a token: %w", err)
		}
		digits[i] = base62[n.Int64()]
	}
	return magpie.NewSecret(tokenPrefix + string(digits) + checksum(digits)), nil
}

func checksum(digits []byte) string {
	n := crc32.ChecksumIEEE(digits)
	var sum [tokenSum]byte
	for i := tokenSum - 1; i >= 0; i-- {
		sum[i] = base62[n%62]
		n /= 62
	}
	return string(sum[:])
}

// wellFormed reports whether a token can be one of ours, which spares the database the question.
func wellFormed(token magpie.Secret) bool {
	rest, ok := strings.CutPrefix(string(token.Reveal()), tokenPrefix)
	return ok && len(rest) == tokenRandom+tokenSum && checksum([]byte(rest[:tokenRandom])) == rest[tokenRandom:]
}

// CreateToken makes an API token that may do what its user may do. It is returned this once; later only its description
// can be had. A lifetime of 0 means that it does not expire; the longest other is 366 days.
func (s *Service) CreateToken(ctx context.Context, actor magpie.User, name string, lifetime time.Duration) (magpie.Secret, APIToken, error) {
	if err := Require(actor, ManageOwnTokens); err != nil {
		return magpie.Secret{}, APIToken{}, err
	}
	name, err := cleanName(name)
	if err != nil {
		return magpie.Secret{}, APIToken{}, err
	}
	if lifetime < 0 || lifetime > maxTokenLife {
		return magpie.Secret{}, APIToken{}, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "lifetime", Message: "a token can live for at most 366 days", Hint: "choose fewer days, or no expiry",
		}
	}
	token, err := newToken()
	if err != nil {
		return magpie.Secret{}, APIToken{}, err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	row := APIToken{ID: store.NewID[magpie.TokenID](), UserID: actor.ID, Name: name, CreatedAt: now}
	if lifetime > 0 {
		row.ExpiresAt = now.Add(lifetime)
	}
	if err := s.db.Write(ctx, func(tx *store.Tx) error { return addToken(ctx, tx, actor, row, token) }); err != nil {
		return magpie.Secret{}, APIToken{}, err
	}
	return token, row, nil
}

func addToken(ctx context.Context, tx *store.Tx, actor magpie.User, row APIToken, token magpie.Secret) error {
	user, err := tx.LockAccount(ctx, actor.ID) // so that a token can't be born while its user is being shut out
	if err != nil {
		return err
	}
	if err := Require(user, ManageOwnTokens); err != nil {
		return err
	}
	existing, err := tx.APITokensOf(ctx, actor.ID)
	if err != nil {
		return err
	}
	if len(existing) >= maxTokens {
		return &magpie.Error{Kind: magpie.KindTooLarge, Message: fmt.Sprintf("you have %d tokens already", maxTokens), Hint: "revoke those you don't need"}
	}
	if err := tx.AddAPIToken(ctx, row, digest(token)); err != nil {
		return err
	}
	return tx.Audit(ctx, actor, "token.created", row.Name, "")
}

// Tokens returns the user's API tokens, newest first, expired ones too.
func (s *Service) Tokens(ctx context.Context, actor magpie.User) ([]APIToken, error) {
	if err := Require(actor, ManageOwnTokens); err != nil {
		return nil, err
	}
	return store.Query(ctx, s.db, func(tx *store.Tx) ([]APIToken, error) { return tx.APITokensOf(ctx, actor.ID) })
}

// RevokeToken ends one of the user's own API tokens. Anything else is a KindNotFound.
func (s *Service) RevokeToken(ctx context.Context, actor magpie.User, id magpie.TokenID) error {
	if err := Require(actor, ManageOwnTokens); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		tokens, err := tx.APITokensOf(ctx, actor.ID)
		if err != nil {
			return err
		}
		had, err := tx.DeleteAPIToken(ctx, actor.ID, id)
		if err != nil {
			return err
		}
		if !had {
			return magpie.Errorf(magpie.KindNotFound, "you have no such token")
		}
		return tx.Audit(ctx, actor, "token.revoked", nameOf(tokens, id), "")
	})
}

func nameOf(tokens []APIToken, id magpie.TokenID) string {
	for _, t := range tokens {
		if t.ID == id {
			return t.Name
		}
	}
	return string(id)
}

// AuthenticateBearer returns the user of an API token, or a KindUnauthorized if it is unknown, has expired, or its user
// is disabled.
func (s *Service) AuthenticateBearer(ctx context.Context, token magpie.Secret) (magpie.User, error) {
	if !wellFormed(token) {
		return magpie.User{}, errBadToken()
	}
	var row APIToken
	var user magpie.User
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		row, user, err = tx.APITokenByHash(ctx, digest(token))
		return err
	})
	if magpie.KindOf(err) == magpie.KindNotFound {
		return magpie.User{}, errBadToken()
	}
	if err != nil {
		return magpie.User{}, err
	}
	now := s.now()
	if user.Disabled || !row.ExpiresAt.IsZero() && !now.Before(row.ExpiresAt) {
		return magpie.User{}, errBadToken()
	}
	if now.Sub(row.UsedAt) >= touchEvery {
		if err := s.db.Write(ctx, func(tx *store.Tx) error { return tx.TouchAPIToken(ctx, row.ID, now) }); err != nil {
			return magpie.User{}, err
		}
	}
	return user, nil
}

func errBadToken() error {
	return &magpie.Error{Kind: magpie.KindUnauthorized, Message: "the API token is wrong or has expired", Hint: "make a new one in the settings"}
}
