package rule

import (
	"encoding/base64"
	"strings"
	"testing"
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
