package rule

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestMatchPath(t *testing.T) {
	for _, tt := range []struct {
		glob, path string
		want       bool
	}{
		{"*.lock", "a/b/Cargo.lock", true},
		{"go.sum", "go.sum", true},
		{"go.sum", "x/go.sum.txt", false},
		{"**/vendor/**", "vendor/a.go", true},
		{"**/vendor/**", "x/vendor/y/a.go", true},
		{"**/vendor/**", "x/vendors/a.go", false},
		{"docs/*.md", "docs/a.md", true},
		{"docs/*.md", "docs/x/a.md", false},
	} {
		if got := MatchPath(tt.glob, tt.path); got != tt.want {
			t.Errorf("MatchPath(%q, %q) = %v, want %v", tt.glob, tt.path, got, tt.want)
		}
	}
}

// TestChecks gives checks a right value, assembled here, and the same with one character changed. The other checks are
// proved by the examples of the rules that name them.
func TestChecks(t *testing.T) {
	body := "uPmXyNcizRcEneZHbEyVsDncPGg36S"
	for _, tt := range []struct {
		check, value string
		right, wrong Outcome
		change       int // which byte is changed for the wrong one
	}{
		{"crc-base62", "gh" + "p_" + body + base62CRC([]byte(body)), Proven, Refuted, 10},
		{"aws-key-id", "AK" + "IAQAAAAAAAAAAAAAAA"[:18], Unknown, Refuted, 0},
		{"discord-token", "MTIzNDU2Nzg5MDEyMzQ1Njc4.G" + "abcde." + body, Proven, Refuted, 3},
	} {
		c := checks[tt.check]
		if got := c([]byte(tt.value), nil).Outcome; got != tt.right {
			t.Errorf("%s: got %v, want %v", tt.check, got, tt.right)
		}
		if tt.check == "aws-key-id" {
			continue // holds no checksum
		}
		wrong := []byte(tt.value)
		wrong[tt.change] = '_'
		if got := c(wrong, nil).Outcome; got != tt.wrong {
			t.Errorf("%s, changed: got %v, want %v", tt.check, got, tt.wrong)
		}
	}
}

// TestCheckJWT tells tokens by what their header says of the signature.
func TestCheckJWT(t *testing.T) {
	sign := strings.Repeat("Zx8", 15)
	for _, tt := range []struct {
		header, claims, signature string
		want                      Outcome
		downgraded                bool
	}{
		{`{"alg":"HS256"}`, `{"iss":"joe"}`, sign, Proven, false},
		{`{"alg":"none"}`, `{"iss":"joe"}`, sign, Refuted, false},
		{`{"typ":"JWT"}`, `{"iss":"joe"}`, sign, Unknown, true},
		{`{"typ":"JWT"}`, `{"iss":"joe"}`, sign[:20], Refuted, false},
		{`{"typ":"JWT"}`, `{}`, sign, Refuted, false},
		{`{"typ":"JWT"}`, `["joe"]`, sign, Refuted, false},
	} {
		b64 := base64.RawURLEncoding.EncodeToString
		v := checkJWT([]byte(b64([]byte(tt.header))+"."+b64([]byte(tt.claims))+"."+tt.signature), nil)
		if v.Outcome != tt.want || v.Downgraded != tt.downgraded {
			t.Errorf("%s %s: got %v, downgraded %v, want %v, %v", tt.header, tt.claims, v.Outcome, v.Downgraded, tt.want, tt.downgraded)
		}
	}
}

func TestAWSAccount(t *testing.T) {
	// Published in talks on the format: the account is coded in bits 7 to 46.
	v := checkAWSKeyID([]byte("AS"+"IAY34FZKBOKMUTVV7A"), nil)
	if want := "it belongs to account 609629065308"; v.Reason != want {
		t.Errorf("got %q, want %q", v.Reason, want)
	}
}

func TestEntropy(t *testing.T) {
	if got := Entropy([]byte("aaaa")); got != 0 {
		t.Errorf("got %v, want 0", got)
	}
	if got := Entropy([]byte("abcd")); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
}

// TestMarvin holds the checksum of Microsoft's keys against the vectors that SymCrypt publishes.
func TestMarvin(t *testing.T) {
	for _, tt := range []struct {
		text string
		seed uint64
		want uint64 // both halves, of which the checksum is the exclusive or
	}{
		{"abc", 0xd53cd9cecd0893b7, 0x22c74339492769bf},
		{"abcdefghijklmnopqrstuvwxyz", 0xddddeeeeffff000, 0xa128eb7e7260aca2},
	} {
		if got, want := marvin32([]byte(tt.text), tt.seed), uint32(tt.want>>32)^uint32(tt.want); got != want {
			t.Errorf("marvin32(%q) = %08x, want %08x", tt.text, got, want)
		}
	}
}

func TestMnemonic(t *testing.T) {
	if got := len(bip39Index()); got != 2048 {
		t.Fatalf("the word list has %d words", got)
	}
	for _, tt := range []struct {
		words string
		want  Outcome
	}{
		// The first two are vectors of BIP 39.
		{"legal winner thank year wave sausage worth useful legal winner thank yellow", Proven},
		{"hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length", Proven},
		{"legal winner thank year wave sausage worth useful legal winner thank legal", Unknown},
		{"legal winner thank year wave sausage worth useful legal winner thank kubernetes", Refuted},
		{"legal winner thank year", Refuted},
	} {
		if got := checkMnemonic([]byte(tt.words), nil); got.Outcome != tt.want {
			t.Errorf("%q: %+v, want %v", tt.words, got, tt.want)
		}
	}
}

func TestLifetime(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		exp  any
		want string
	}{
		{float64(1_699_000_000), ", which expired on 2023-11-03"},
		{float64(2_005_576_000), ", which expires on 2033-07-21"},
		{nil, ""},
		{"soon", ""},
		{float64(1e300), ""},
	} {
		if got := lifetime(tt.exp, now); got != tt.want {
			t.Errorf("lifetime(%v) = %q, want %q", tt.exp, got, tt.want)
		}
	}
}

// FuzzChecks gives every check bytes that are not as its rule would give them: none may panic or prove nothing in words.
func FuzzChecks(f *testing.F) {
	f.Add([]byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ==\n=aaaa\n-----END PGP PRIVATE KEY BLOCK-----"))
	f.Add([]byte("PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPublic-Lines: 99999\nPrivate-Lines: -1\nPrivate-MAC: 00"))
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","d":"AA","x":"AA"}`))
	f.Add([]byte("<RSAKeyValue><Modulus>AA==</Modulus><P>AA==</P><Q></Q><D>AA==</D>"))
	f.Add([]byte("pypi-AgEIcHlwaS5vcmcCAAAGIA"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, check := range checks {
			if v := check(b, b); v.Outcome == Proven && v.Reason == "" {
				t.Errorf("%s proves %q without a reason", name, b)
			}
		}
	})
}
