package demo

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"hash/crc32"
	"math/rand/v2"
	"strings"
)

// Alphabets of the vendors' formats.
const (
	digits   = "0123456789"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum    = digits + upper + lower // also the digits of base 62, in their order
	lowerHex = digits + "abcdef"
	base32   = upper + "234567"
	urlSafe  = alnum + "-_"
)

// text returns n random characters of an alphabet. It never returns one that looks made up by a person: no run of equal
// characters, and at least one each of what the alphabet has of digits, lower and upper case.
func text(r *rand.Rand, alphabet string, n int) string {
	for {
		out := make([]byte, n)
		for i := range out {
			out[i] = alphabet[r.IntN(len(alphabet))]
		}
		if s := string(out); lively(s, alphabet) {
			return s
		}
	}
}

func lively(s, alphabet string) bool {
	for i := 2; i < len(s); i++ {
		if s[i] == s[i-1] && s[i] == s[i-2] {
			return false
		}
	}
	for _, class := range []string{digits, lower, upper} {
		if len(s) >= 16 && strings.ContainsAny(alphabet, class) && !strings.ContainsAny(s, class) {
			return false
		}
	}
	return true
}

// crc62 is the CRC-32 of s as six digits of base 62, by which GitHub and npm tokens can be told from random text.
func crc62(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	var out [6]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = alnum[n%62]
		n /= 62
	}
	return string(out[:])
}

// kind is a kind of secret that the world can make. The prefixes are split so that no scanner takes this file for a leak.
type kind struct {
	Rule string // the id of the detector that has to find it
	make func(*rand.Rand) string
	wrap string // what stands around it wherever it is used, with a mark; empty for nothing
}

var kinds = map[string]kind{
	"github": {Rule: "github-personal-token", make: func(r *rand.Rand) string {
		body := text(r, alnum, 30)
		return "gh" + "p_" + body + crc62(body)
	}},
	"npm": {Rule: "npm-token", make: func(r *rand.Rand) string {
		body := text(r, alnum, 30)
		return "np" + "m_" + body + crc62(body)
	}},
	// The first character after the prefix is below Q in keys that hold no account number.
	"aws-id":     {Rule: "aws-access-key", make: func(r *rand.Rand) string { return "AK" + "IA" + text(r, upper[:14], 1) + text(r, base32, 15) }},
	"aws-secret": {Rule: "aws-secret-key", make: func(r *rand.Rand) string { return text(r, alnum, 40) }},
	"slack": {Rule: "slack-bot-token", make: func(r *rand.Rand) string {
		return "xo" + "xb-" + "6" + text(r, digits, 11) + "-" + "7" + text(r, digits, 12) + "-" + text(r, alnum, 24)
	}},
	"stripe":   {Rule: "stripe-live-secret-key", make: func(r *rand.Rand) string { return "sk" + "_live_51" + text(r, alnum, 97) }},
	"gitlab":   {Rule: "gitlab-personal-token", make: func(r *rand.Rand) string { return "gl" + "pat-" + text(r, alnum, 20) }},
	"sendgrid": {Rule: "sendgrid-api-key", make: func(r *rand.Rand) string { return "S" + "G." + text(r, alnum, 22) + "." + text(r, alnum, 43) }},
	"google":   {Rule: "google-api-key", make: func(r *rand.Rand) string { return "AI" + "za" + "Sy" + text(r, alnum, 33) }},
	"key":      {Rule: "private-key", make: privateKey},
	"postgres": {
		Rule: "postgres-url", make: func(r *rand.Rand) string { return text(r, alnum, 22) },
		wrap: "postgres" + "://ledger:" + mark + "@db.payments.example.com:5432/ledger",
	},
}

// privateKey returns an Ed25519 key in PEM form, without the final line end.
func privateKey(r *rand.Rand) string {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(r.Uint32())
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		panic(err) // an Ed25519 key can always be marshalled
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE" + " KEY", Bytes: der})))
}

// Values that are no secrets, for decoys.

func uuidText(r *rand.Rand) string {
	h := text(r, lowerHex, 32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

func integrity(r *rand.Rand) string {
	sum := make([]byte, 64)
	for i := range sum {
		sum[i] = byte(r.Uint32())
	}
	return "sha512-" + base64.StdEncoding.EncodeToString(sum)
}
