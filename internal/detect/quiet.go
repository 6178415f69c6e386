package detect

import "magpie/internal/rule"

// quietPath reports whether generic rules keep out of the file called path.
func quietPath(path string) bool {
	for _, g := range quietGlobs {
		if rule.MatchPath(g, path) {
			return true
		}
	}
	return false
}

var quietGlobs = []string{
	"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "*.lock", "go.sum", "*.min.js", "*.min.css", "*.map",
	"*wycheproof*", "*test_vector*", "*testvector*", "*test-vector*", // keys of ciphers, published to test them
	"**/node_modules/**", "**/vendor/**", "**/third_party/**", "**/bower_components/**",
}
