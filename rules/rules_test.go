package rules_test

import (
	"testing"

	"magpie/rules"
)

func TestAllParse(t *testing.T) {
	if _, err := rules.All(); err != nil {
		t.Fatal(err)
	}
}
