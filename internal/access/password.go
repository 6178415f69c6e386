package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"magpie"
)

// Cost is what one password hash takes. The zero value means the recommended 64 MiB, three passes and two lanes, about
// a third of a second.
type Cost struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

var defaultCost = Cost{MemoryKiB: 64 << 10, Passes: 3, Lanes: 2}

const (
	minPassword = 12   // characters
	maxPassword = 1024 // bytes; more would only make work
	saltSize    = 16
	hashSize    = 32
	// maxHashes is how many hashes are computed at once: each takes the memory that Cost says.
	maxHashes = 2
)

// checkPassword refuses passwords that would be guessed soon.
func checkPassword(password magpie.Secret, email, name string) error {
	text := string(password.Reveal())
	plain := strings.ToLower(text)
	local, _, _ := strings.Cut(email, "@")
	switch {
	case !utf8.ValidString(text):
		return badPassword("the password is not valid text", "")
	case utf8.RuneCountInString(text) < minPassword:
		return badPassword(fmt.Sprintf("the password is shorter than %d characters", minPassword), "use a few words, or a password manager")
	case len(text) > maxPassword:
		return badPassword(fmt.Sprintf("the password is longer than %d bytes", maxPassword), "use a shorter one")
	case plain == email || plain == strings.ToLower(name), madeOf(plain, email, local, name):
		return badPassword("the password is the e-mail address or the name", "choose one that has nothing to do with you")
	case trivial(plain):
		return badPassword("the password is too easy to guess", "use a few words that don't belong together, or a password manager")
	}
	return nil
}

func badPassword(message, hint string) error {
	return &magpie.Error{Kind: magpie.KindInvalid, Field: "password", Message: message, Hint: hint}
}

// madeOf reports whether nothing but digits and signs is left of a password without the given words.
func madeOf(plain string, words ...string) bool {
	for _, w := range words {
		w = strings.ToLower(w)
		if len(w) >= 4 && strings.Contains(plain, w) && len(lettersOf(strings.ReplaceAll(plain, w, ""))) == 0 {
			return true
		}
	}
	return false
}

func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 'a' && r < utf8.RuneSelf {
			return -1 // digits, signs and blanks
		}
		return r
	}, s)
}

// guessedFirst are the words and rows of keys of which the most used passwords consist.
var guessedFirst = []string{
	"passwort", "password", "passw0rd", "qwertyuiop", "qwerty", "qwertz", "asdfghjkl", "asdfgh", "zxcvbnm", "iloveyou", "welcome",
	"letmein", "changeme", "administrator", "admin", "magpie", "secret", "monkey", "dragon", "football", "baseball",
	"01234567890", "1234567890", "0987654321", "123456789", "12345678", "123456", "12345", "1234", "123", "1q2w3e4r", "abcdefghijklmnopqrstuvwxyz", "abc",
}

// trivial reports whether a password has few different characters, climbs through the alphabet, repeats a short piece,
// or consists of nothing but the words that are guessed first.
func trivial(plain string) bool {
	different := map[rune]bool{}
	steps := map[rune]int{}
	previous := rune(-1)
	for _, r := range plain {
		different[r] = true
		if previous >= 0 {
			steps[r-previous]++
		}
		previous = r
	}
	length := utf8.RuneCountInString(plain)
	if len(different) < 5 || max(steps[1], steps[-1]) >= length-2 || repeats(plain) {
		return true
	}
	rest := plain
	for _, w := range guessedFirst {
		rest = strings.ReplaceAll(rest, w, "")
	}
	return rest != plain && len(lettersOf(rest)) <= 2 && len(rest) <= 6
}

// repeats reports whether s is a piece of at most six bytes over and over.
func repeats(s string) bool {
	for n := 1; n <= 6 && n*2 <= len(s); n++ {
		if strings.HasPrefix(strings.Repeat(s[:n], len(s)/n+1), s) {
			return true
		}
	}
	return false
}

// hasher computes password hashes, a few at a time.
type hasher struct {
	cost  Cost
	slots chan struct{}
	dummy string // hash of nobody's password, to compare with where there is no account
}

func newHasher(cost Cost) (*hasher, error) {
	if cost == (Cost{}) {
		cost = defaultCost
	}
	h := &hasher{cost: cost, slots: make(chan struct{}, maxHashes)}
	var err error
	h.dummy, err = h.hash(context.Background(), magpie.NewSecret(rand.Text()))
	return h, err
}

// hash returns the argon2id hash of a password in PHC form: $argon2id$v=19$m=65536,t=3,p=2$salt$hash.
func (h *hasher) hash(ctx context.Context, password magpie.Secret) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	key, err := h.key(ctx, password, salt, h.cost, hashSize)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.cost.MemoryKiB, h.cost.Passes, h.cost.Lanes,
		encode(salt), encode(key)), nil
}

// matches reports whether a password is the one of a hash, which may have been made at another cost.
func (h *hasher) matches(ctx context.Context, password magpie.Secret, phc string) (bool, error) {
	cost, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	got, err := h.key(ctx, password, salt, cost, uint32(len(want)))
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

func (h *hasher) key(ctx context.Context, password magpie.Secret, salt []byte, cost Cost, size uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to hash a password: %w", ctx.Err())
	}
	return argon2.IDKey(password.Reveal(), salt, cost.Passes, cost.MemoryKiB, cost.Lanes, size), nil
}

func parsePHC(phc string) (cost Cost, salt, hash []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return cost, nil, nil, fmt.Errorf("reading a password hash: not argon2id version %d", argon2.Version)
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &cost.MemoryKiB, &cost.Passes, &cost.Lanes); err != nil {
		return cost, nil, nil, fmt.Errorf("reading the cost of a password hash: %w", err)
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return cost, nil, nil, fmt.Errorf("reading the salt of a password hash: %w", err)
	}
	if hash, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return cost, nil, nil, fmt.Errorf("reading a password hash: %w", err)
	}
	if len(hash) < 16 || cost.Passes == 0 || cost.Lanes == 0 || cost.MemoryKiB > 1<<20 {
		return cost, nil, nil, fmt.Errorf("reading a password hash: cost or length is out of range")
	}
	return cost, salt, hash, nil
}
