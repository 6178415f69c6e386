package detect_test

import (
	"strings"
	"testing"

	"magpie"
	"magpie/internal/detect"
)

// TestOrderedValues tells values that were typed in order, which may stand for a secret, from those that say they are none.
func TestOrderedValues(t *testing.T) {
	const order = "1234567890abcdef"
	s := engine(t, detect.Options{}).NewScanner()
	for _, tt := range []struct {
		name, text string
		rule       magpie.RuleID // of the one that must be found, with low confidence; empty for none
	}{
		{"a vendor's prefix", "x: do" + "p_v1_" + strings.Repeat(order, 4), "digitalocean-token"},
		{"a vendor's whole form under its name", "tomtom_key=" + order + "ABCDEF1234567890", "tomtom-api-key"},
		{"beside the vendor's name", "jupiterone SECRET abcdefghi" + order, "jupiterone-api-key"},
		{"two rows that take turns", "jupiterone SECRET a1b2c3d4e5f6g7h8i9j0", "jupiterone-api-key"},
		{"behind a dash", "capsulecrm-SECRET-abcdefghijklmnopqrstuvwxyz-" + order, "capsulecrm-token"},
		{"one character", "x: do" + "p_v1_" + strings.Repeat("a", 64), ""},
		{"a word for an example", "x: do" + "p_v1_" + strings.Repeat("example0", 8), ""},
		{"a mask", "x: do" + "p_v1_" + strings.Repeat("x", 64), ""},
		{"no word for a secret", "jupiterone report abcdefghi" + order, ""},
		{"no vendor", "secret = \"" + strings.Repeat(order, 2) + "\"", ""},
	} {
		found := s.Scan([]byte(tt.text))
		switch {
		case tt.rule == "" && len(found) > 0:
			t.Errorf("%s: found %s", tt.name, found[0].Rule.ID)
		case tt.rule != "" && len(found) != 1:
			t.Errorf("%s: got %d matches, want one", tt.name, len(found))
		case tt.rule != "" && (found[0].Rule.ID != tt.rule || found[0].Confidence != magpie.ConfidenceLow):
			t.Errorf("%s: got %s with %s confidence, want %s with low", tt.name, found[0].Rule.ID, found[0].Confidence, tt.rule)
		}
	}
}

// TestGenericLeavesBrokenKeys checks that generic rules take no value for a key that a vendor's rules or one sign give away.
func TestGenericLeavesBrokenKeys(t *testing.T) {
	const body = "NcjXcxEz2XL1irjppyWSHvjghalQOd1LXOHv"
	s := engine(t, detect.Options{}).NewScanner()
	for _, tt := range []struct {
		name, text string
		found      bool
	}{
		{"a random value", "token = \"" + body + "\"", true},
		{"a vendor's token", "token = \"apify_" + "api_" + body + "\"", true},
		{"the same, added to", "token = \"apify_" + "api_" + body + "_extra\"", false},
		{"the same, cut off", "token = \"apify_" + "api_" + body[:20] + "\"", false},
		{"a beginning made of words", "token = \"live_" + body + "\"", true},
		{"a question mark in its midst", "token = \"" + body[:12] + "?" + body[12:] + "\"", false},
		{"an odd sign under a vendor's name", "bitbarSecret = \"" + body[:12] + "^" + body[12:] + "\"", false},
		{"an odd sign under no name", "appSecret = \"" + body[:12] + "^" + body[12:] + "\"", true},
		{"a UUID that is called a key", "key = \"9e858021-953f-4dd3-8842-f2c782780422\"", true},
		{"a UUID that is the first of some keys", "first_key = \"9e858021-953f-4dd3-8842-f2c782780422\"", false},
		{"a name that says it is wrong", "nonMatchingToken = \"" + body + "\"", false},
	} {
		if found := s.Scan([]byte(tt.text)); (len(found) > 0) != tt.found {
			t.Errorf("%s: got %d matches, want found to be %v", tt.name, len(found), tt.found)
		}
	}
}

// TestPaddedValueIsNoType checks that a value in base64 is not taken for a type that an equals sign follows.
func TestPaddedValueIsNoType(t *testing.T) {
	const value = "Zk3xV9qLm2TbYw8RnHsPc4Jd7UgE5fQa0iKoXvBeMtz="
	s := engine(t, detect.Options{}).NewScanner()
	for _, text := range []string{
		"client_secret: " + value + "\nother: 1\n",
		"client_secret: " + value + "\r\nother: 1\r\n",
		"{client_secret: " + value + ", other: 1}",
		"clientSecret: string = \"" + value + "\"\n",
		"clientSecret: string=\"" + value + "\"\n",
	} {
		if found := s.Scan([]byte(text)); len(found) != 1 || string(found[0].Secret) != value {
			t.Errorf("%q: got %d matches, want the value", text, len(found))
		}
	}
}
