package detect

import (
	"slices"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/rule"
)

// never proves nothing about its secrets: it only refutes, or only tells.
var neverProves = []string{"aws-key-id", "ethereum-key"}

// TestChecksProve wants that the check of each built-in rule proves one of the rule's examples at least, which is then made up with
// the right checksum, and that with one character changed it never does.
func TestChecksProve(t *testing.T) {
	t.Parallel()
	for _, r := range BuiltIn(t) {
		if r.Check == "" || slices.Contains(neverProves, r.Check) {
			continue
		}
		e, err := New([]*rule.Rule{r}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := e.NewScanner()
		proven, graded := false, false
		for _, text := range r.Match {
			for _, m := range s.Scan([]byte(text)) {
				graded = graded || m.Confidence == magpie.ConfidenceLow
				if m.Confidence != magpie.ConfidenceProven || m.DecodedFrom != "" {
					continue
				}
				proven = true
				if summed(r.Check) {
					stillProven(t, s, r, text, m.Clone())
				}
			}
		}
		if !proven && !graded {
			t.Errorf("%s: the check %s neither proves nor downgrades any example", r.ID, r.Check)
		}
	}
}

// summed reports whether a check covers each character of the secret.
func summed(check string) bool {
	return slices.Contains([]string{
		"azure-annotated-key", "azure-key", "base58check", "bech32", "cloudflare-token", "crc-base62", "gitlab-token", "grafana-token",
		"nkey-seed", "ripple-seed", "solana-key", "stellar-seed", "synapse-token",
	}, check)
}

// stillProven scans text with single characters of the match changed, but for the last few, some bits of which mean nothing.
func stillProven(t *testing.T, s *Scanner, r *rule.Rule, text string, m Match) {
	t.Helper()
	changed := []byte(text)
	for at := (m.Start + m.End) / 2; at < m.End-4; at++ {
		for _, c := range []byte("k7zQ3a") {
			if changed[at] != c && isAlnumByte(changed[at]) {
				old := changed[at]
				changed[at] = c
				for _, n := range s.Scan(changed) {
					if n.Start == m.Start && n.Confidence == magpie.ConfidenceProven {
						t.Errorf("%s: proven with a character changed", r.ID)
					}
				}
				changed[at] = old
			}
		}
	}
}

func isAlnumByte(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// TestVendorsWinOverKinds wants that a token which a vendor's rule knows is not reported as a JWT of anybody.
func TestVendorsWinOverKinds(t *testing.T) {
	t.Parallel()
	all := BuiltIn(t)
	e, err := New(all, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := e.NewScanner()
	asked := 0
	for _, r := range all {
		for _, text := range r.Match {
			if r.Vendor == "" || !strings.Contains(text, "eyJ") {
				continue
			}
			asked++
			for _, m := range s.Scan([]byte(text)) {
				if m.Rule.ID == "jwt" {
					t.Errorf("an example of %s is reported as a JWT", r.ID)
				}
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d examples hold a JWT", asked)
	}
}
