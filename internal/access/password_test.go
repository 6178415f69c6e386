package access

import (
	"context"
	"strings"
	"testing"

	"magpie"
)

// quick is a cost at which a hash takes no time worth mentioning.
var quick = Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}

func TestPasswordRules(t *testing.T) {
	tests := []struct {
		password string
		want     string // part of the message; empty if it is good
	}{
		{"correct horse battery", ""},
		{"tr4vel-light-blue", ""},
		{"ein langer Satz", ""},
		{"密码是很长的一句话对不对呢", ""},
		{"qwertz hat jeder als Anfang", ""},
		{"short", "shorter than 12"},
		{"elevenchars", "shorter than 12"},
		{"ünïcödé-11x", "shorter than 12"},
		{strings.Repeat("long enough ", 100), "longer than 1024"},
		{"robin.finch@example.com", "e-mail address"},
		{"Robin.Finch@Example.com", "e-mail address"},
		{"robin.finch123", "e-mail address"},
		{"Robin Q Finch", "e-mail address"},
		{"aaaaaaaaaaaaaaaa", "too easy"},
		{"abababababababab", "too easy"},
		{"abcdefghijklmnop", "too easy"},
		{"987654321098", "too easy"},
		{"123456789012", "too easy"},
		{"password1234", "too easy"},
		{"Password1234!", "too easy"},
		{"adminadminadmin", "too easy"},
		{"qwertyuiop123", "too easy"},
		{"xyzpq!xyzpq!xyzpq!", "too easy"},
		{"bad\xffutf8 bytes here", "not valid text"},
	}
	for _, tt := range tests {
		err := checkPassword(magpie.NewSecret(tt.password), "robin.finch@example.com", "Robin Q Finch")
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("checkPassword(%q) = %v, want it accepted", tt.password, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || magpie.KindOf(err) != magpie.KindInvalid):
			t.Errorf("checkPassword(%q) = %v, want it refused as %q", tt.password, err, tt.want)
		}
		if err != nil && len(tt.password) >= 12 && strings.Contains(err.Error(), tt.password) {
			t.Errorf("the refusal of %q repeats it", tt.password)
		}
	}
}

func TestHash(t *testing.T) {
	ctx := t.Context()
	h, err := newHasher(quick)
	if err != nil {
		t.Fatal(err)
	}
	right := magpie.NewSecret("correct horse battery")
	one, err := h.hash(ctx, right)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.hash(ctx, right)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hashes %q and %q, want two different ones in PHC form", one, two)
	}
	// A hash made at another cost is still matched.
	h.cost = Cost{MemoryKiB: 128, Passes: 2, Lanes: 2}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterY": false, "": false} {
		got, err := h.matches(ctx, magpie.NewSecret(password), one)
		if err != nil || got != want {
			t.Errorf("matches(%q) = %t, %v, want %t", password, got, err, want)
		}
	}
	for _, bad := range []string{"", "plain", strings.Replace(one, "argon2id", "argon2i", 1), strings.Replace(one, "t=1", "t=0", 1), one[:len(one)-30]} {
		if ok, err := h.matches(ctx, right, bad); ok || err == nil {
			t.Errorf("matches with the hash %q = %t, %v, want an error", bad, ok, err)
		}
	}
}

func TestHashesAtOnceAreLimited(t *testing.T) {
	h, err := newHasher(quick)
	if err != nil {
		t.Fatal(err)
	}
	for range maxHashes {
		h.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.hash(ctx, magpie.NewSecret("x")); err == nil {
		t.Error("a hash was computed though all slots are taken")
	}
}

func TestTokenForm(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		token, err := newToken()
		if err != nil {
			t.Fatal(err)
		}
		text := string(token.Reveal())
		if !wellFormed(token) || len(text) != 40 || !strings.HasPrefix(text, "mgp_") || seen[text] {
			t.Fatal("a token is malformed or came twice")
		}
		seen[text] = true
		changed := []byte(text)
		changed[10] = base62[(strings.IndexByte(base62, changed[10])+1)%62]
		if wellFormed(magpie.NewSecret(changed)) {
			t.Fatal("a token with a wrong digit is well formed")
		}
	}
	for _, bad := range []string{"", "mgp_", "mgp_" + strings.Repeat("a", 36), "ghp_" + strings.Repeat("a", 36)} {
		if wellFormed(magpie.NewSecret(bad)) {
			t.Errorf("%q is well formed", bad)
		}
	}
}

func TestAddressSubject(t *testing.T) {
	tests := []struct{ a, b string }{
		{"192.0.2.7:1234", "192.0.2.7"},
		{"192.0.2.7:1234", "[::ffff:192.0.2.7]:99"},
		{"[2001:db8:1:2::1]:80", "[2001:db8:1:2:ffff::9]:81"},
		{"", "nonsense"},
	}
	for _, tt := range tests {
		if a, b := addressSubject(tt.a), addressSubject(tt.b); a != b {
			t.Errorf("%q counts as %q and %q as %q, want the same", tt.a, a, tt.b, b)
		}
	}
	if a, b := addressSubject("192.0.2.7:1"), addressSubject("192.0.2.8:1"); a == b {
		t.Errorf("two addresses count as %q", a)
	}
	if a, b := addressSubject("[2001:db8:1:2::1]:80"), addressSubject("[2001:db8:1:3::1]:80"); a == b {
		t.Errorf("two networks count as %q", a)
	}
}
