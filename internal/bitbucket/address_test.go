package bitbucket

import (
	"errors"
	"strings"
	"testing"

	"magpie"
)

func TestParseBaseURLAccepts(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://bitbucket.example":                "https://bitbucket.example",
		"https://bitbucket.example/":               "https://bitbucket.example",
		"https://bitbucket.example/#":              "https://bitbucket.example",
		"  https://bitbucket.example///  ":         "https://bitbucket.example",
		"HTTPS://BitBucket.Example":                "https://bitbucket.example",
		"https://bitbucket.example.":               "https://bitbucket.example",
		"https://bitbucket.example:443":            "https://bitbucket.example",
		"https://bitbucket.example:8443/":          "https://bitbucket.example:8443",
		"https://bitbucket.example/bitbucket":      "https://bitbucket.example/bitbucket",
		"https://bitbucket.example/bitbucket/":     "https://bitbucket.example/bitbucket",
		"https://bitbucket.example:7990/Stash_2-x": "https://bitbucket.example:7990/Stash_2-x",
		"https://127.0.0.1:7990":                   "https://127.0.0.1:7990",
		"https://[::1]:7990/":                      "https://[::1]:7990",
		"https://git":                              "https://git",
		"https://notbitbucket.org":                 "https://notbitbucket.org",
		"https://bitbucket.org.example":            "https://bitbucket.org.example",
	} {
		got, err := ParseBaseURL(raw)
		if err != nil || got != want {
			t.Errorf("ParseBaseURL(%q) = %q, %v, want %q", raw, got, err, want)
		}
		if again, err := ParseBaseURL(got); err == nil && again != got {
			t.Errorf("ParseBaseURL(%q) = %q, want it unchanged", got, again)
		}
	}
}

func TestParseBaseURLRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ raw, message, hint string }{
		{"", "missing", "https://bitbucket.example"},
		{"   ", "missing", "https://"},
		{"bitbucket.example", "does not start with https://", "type https://bitbucket.example"},
		{"bitbucket.example:7990/x", "does not start with https://", "type https://bitbucket.example:7990"},
		{"http://bitbucket.example", "must start with https://", "type https://bitbucket.example"},
		{"HTTP://bitbucket.example", "must start with https://", "https://bitbucket.example"},
		{"ssh://git@bitbucket.example:7999/prj/slug.git", "not ssh://", "https://bitbucket.example"},
		{"file:///etc/passwd", "no host", ""},
		{"https://", "no host", "https://bitbucket.example"},
		{"https:///projects", "no host", ""},
		{"https://:8443", "no host", ""},
		{"https://bitbucket.example:", "port is missing", "type https://bitbucket.example"},
		{"https://bitbucket.example:port", "can't be read", ""},
		{"https://bit bucket.example", "can't be read", ""},
		{"https://bitbucket.example\x00", "can't be read", ""},
		{"https://bitbucket.example;evil", "not the name of a host", ""},
		{"https://user@bitbucket.example", "user name or password", "type https://bitbucket.example"},
		{"https://user:pw@bitbucket.example:8443/bitbucket", "user name or password", "type https://bitbucket.example:8443"},
		{"https://bitbucket.example?x=1", "query", "type https://bitbucket.example"},
		{"https://bitbucket.example/?", "query", "type https://bitbucket.example"},
		{"https://bitbucket.example#top", "fragment", "type https://bitbucket.example"},
		{"https://bitbucket.example/projects", "page inside Bitbucket (/projects)", "type https://bitbucket.example"},
		{"https://bitbucket.example/Projects/PRJ/repos/slug/browse", "page inside", "type https://bitbucket.example"},
		{"https://bitbucket.example/scm/prj/slug.git", "page inside", ""},
		{"https://bitbucket.example/rest/api/1.0", "page inside", ""},
		{"https://bitbucket.example/dashboard", "page inside", ""},
		{"https://bitbucket.example/browse", "page inside Bitbucket (/browse)", "type https://bitbucket.example"},
		{"https://bitbucket.example/bitbucket/projects", "more than one path segment", "type https://bitbucket.example/bitbucket"},
		{"https://bitbucket.example/a/../b", "more than one path segment", ""},
		{"https://bitbucket.example/..", "context path", "type https://bitbucket.example"},
		{"https://bitbucket.example/%2e%2e", "context path", "type https://bitbucket.example"},
		{"https://bitbucket.example/index.html", "context path", "type https://bitbucket.example"},
		{"https://bitbucket.org", "Bitbucket Cloud", "magpie scan"},
		{"https://bitbucket.org/team/repo", "Bitbucket Cloud", "magpie scan"},
		{"https://BITBUCKET.ORG.", "Bitbucket Cloud", "magpie scan"},
		{"https://api.bitbucket.org/2.0", "Bitbucket Cloud", "magpie scan"},
		{"http://bitbucket.org", "Bitbucket Cloud", "magpie scan"},
	} {
		got, err := ParseBaseURL(tc.raw)
		e, ok := errors.AsType[*magpie.Error](err)
		if !ok || got != "" {
			t.Errorf("ParseBaseURL(%q) = %q, %v, want a *magpie.Error", tc.raw, got, err)
			continue
		}
		if e.Kind != magpie.KindInvalid || e.Field != "url" || !strings.Contains(e.Message, tc.message) || !strings.Contains(e.Hint, tc.hint) {
			t.Errorf("ParseBaseURL(%q): kind %q, field %q, message %q, hint %q; want %q and %q", tc.raw, e.Kind, e.Field, e.Message, e.Hint, tc.message, tc.hint)
		}
		if strings.Contains(e.Message+e.Hint, "pw") {
			t.Errorf("ParseBaseURL(%q) repeats the password", tc.raw)
		}
	}
}

func TestLineURL(t *testing.T) {
	t.Parallel()
	const browse = "https://bitbucket.example/projects/PRJ/repos/slug/browse"
	hash := magpie.Hash(strings.Repeat("ab", 20))
	for _, tc := range []struct {
		path   string
		commit magpie.Hash
		line   int
		want   string
	}{
		{"src/main.go", hash, 12, browse + "/src/main.go?at=" + string(hash) + "#12"},
		{"a b/c#d?e%f&.txt", hash, 1, browse + "/a%20b/c%23d%3Fe%25f&.txt?at=" + string(hash) + "#1"},
		{"ü/<script>\"", hash, 3, browse + "/%C3%BC/%3Cscript%3E%22?at=" + string(hash) + "#3"},
		{"x", "", 0, browse + "/x"},
		{"x", "", 7, browse + "/x#7"},
		{"../../admin", hash, 5, browse + "?at=" + string(hash)},
		{"a/./b", hash, 0, browse + "?at=" + string(hash)},
		{"..a/b..", "", 0, browse + "/..a/b.."},
	} {
		if got := LineURL(browse, tc.path, tc.commit, tc.line); got != tc.want {
			t.Errorf("LineURL(%q, %q, %d) = %q, want %q", tc.path, tc.commit, tc.line, got, tc.want)
		}
	}
	if got, want := LineURL(browse+"/", "x", "", 0), browse+"/x"; got != want {
		t.Errorf("LineURL behind a slash = %q, want %q", got, want)
	}
}
