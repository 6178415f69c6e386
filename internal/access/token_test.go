package access

import (
	"testing"

	"magpie/internal/detect"
	"magpie/rules"
)

// What the package mints and the rule about it must not drift apart: a leaked token of ours is one we can find.
func TestNewTokenIsFoundByItsRule(t *testing.T) {
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detect.New(all, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := newToken()
	if err != nil {
		t.Fatal(err)
	}
	if !wellFormed(token) {
		t.Error("a new token is not well formed")
	}
	text := append([]byte("MAGPIE_TOKEN="), token.Reveal()...)
	found := engine.NewScanner().Scan(text)
	if len(found) != 1 || found[0].Rule.ID != "magpie-api-token" || found[0].Confidence != "proven" {
		t.Errorf("got %d matches for a new token, want one, proven, of magpie-api-token", len(found))
	}
}
