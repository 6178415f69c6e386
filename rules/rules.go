// Package rules holds the built-in detectors, one YAML file per vendor, as package rule reads them. It has no code
// beyond loading them: to add a detector, add it to its vendor's file and run make generate; a test proves every example.
//
// The program carries the detectors as catalogue.txt, which is generated from the files, since parsing those takes longer
// than most scans.
package rules

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"

	"magpie/internal/rule"
)

//go:embed catalogue.txt
var catalogue string

// All returns all built-in rules, in the order of their files' names and without their examples. The rules are the
// caller's own.
func All() ([]*rule.Rule, error) {
	all, err := rule.ReadCatalogue(catalogue)
	if err != nil {
		return nil, fmt.Errorf("reading the built-in detectors: %w", err)
	}
	return all, nil
}

// Parse reads the YAML files at the root of folder, in the order of their names. Its errors are those of rule.Parse for
// all files, joined.
func Parse(folder fs.FS) ([]*rule.Rule, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing detectors: %w", err)
	}
	var all []*rule.Rule
	var errs []error
	for _, name := range names {
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, fmt.Errorf("reading detectors: %w", err)
		}
		rs, err := rule.Parse("rules/"+name, data)
		all, errs = append(all, rs...), append(errs, err)
	}
	return all, errors.Join(errs...)
}
