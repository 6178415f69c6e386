package verify

import (
	"slices"
	"strings"

	"magpie/internal/rule"
)

// Hosts reads the operator's settings about hosts: "name=other" asks the other one instead, "name=" never asks it, and where a name
// stands alone only such names are asked. Without the last, allowed are all hosts that the rules name.
func Hosts(entries []string, rules []*rule.Rule) (replaced map[string]string, allowed []string) {
	replaced = map[string]string{}
	var only []string
	for _, entry := range entries {
		name, other, ok := strings.Cut(entry, "=")
		if ok {
			replaced[name] = other
		} else {
			only = append(only, name)
		}
	}
	allowed = []string{}
	for _, r := range rules {
		if r.Probe == nil {
			continue
		}
		if host := r.Probe.Host(); only == nil || slices.Contains(only, host) {
			allowed = append(allowed, host)
		}
	}
	slices.Sort(allowed)
	return replaced, slices.Compact(allowed)
}
