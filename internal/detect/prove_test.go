package detect_test

import (
	"testing"

	"magpie/internal/detect"
	"magpie/rules"
)

func TestBuiltinRulesAreProved(t *testing.T) {
	rs, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	if err := detect.Prove(rs, true); err != nil {
		t.Error(err)
	}
	if got, want := len(rs), 60; got < want {
		t.Errorf("got %d built-in rules, want at least %d", got, want)
	}
}
