// Package rules holds the built-in detectors, one YAML file per vendor, as package rule reads them. It has no code
// beyond loading them: to add a detector, add it to its vendor's file; a test proves every example.
package rules

import (
	"embed"
	"errors"
	"fmt"

	"magpie/internal/rule"
)

//go:embed *.yaml
var files embed.FS

// All parses all built-in rules, in the order of their files' names.
func All() ([]*rule.Rule, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("listing built-in rules: %w", err)
	}
	var all []*rule.Rule
	var errs []error
	for _, e := range entries {
		data, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading built-in rules %s: %w", e.Name(), err)
		}
		rs, err := rule.Parse("rules/"+e.Name(), data)
		all, errs = append(all, rs...), append(errs, err)
	}
	return all, errors.Join(errs...)
}
