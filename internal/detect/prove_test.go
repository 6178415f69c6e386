package detect_test

import (
	"testing"

	"magpie/internal/detect"
)

func TestBuiltinRulesAreProved(t *testing.T) {
	rs := detect.BuiltIn(t)
	if err := detect.Prove(rs, true); err != nil {
		t.Error(err)
	}
	if got, want := len(rs), 60; got < want {
		t.Errorf("got %d built-in rules, want at least %d", got, want)
	}
}
