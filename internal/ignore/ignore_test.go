package ignore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/detect"
)

// known are the detectors of these tests.
var known = []magpie.RuleID{"slack-bot-token", "slack-user-token", "github-classic-token", "generic-password", "jwt", "google-api-key"}

// by returns what ignores a finding, joined.
func by(l *List, f Finding) string {
	s := new(Set)
	s.Add(l)
	var all []string
	for _, v := range s.Match(f) {
		all = append(all, string(v.Kind)+" "+v.By)
	}
	return strings.Join(all, ", ")
}

func found(rule magpie.RuleID, path string, line int, secret string) Finding {
	return Finding{Rule: rule, Path: path, Line: line, Secret: []byte(secret), Generic: strings.HasPrefix(string(rule), "generic-")}
}

func TestOwnFile(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("two"))
	text := "\xef\xbb\xbf# comment\n/docs/\r\n\n!docs/a\n*.env\n!live.env\n" +
		"value: " + detect.Fingerprint([]byte("one")) + " since 2020\nvalue: " + strings.ToUpper(hex.EncodeToString(sum[:])) + "\n" +
		"rule: jwt\nrule: slack-* tests/\nrule: slack-* !tests/live/**\nrule: generic-password # all of it\n\\value: x\n"
	l, problems := Parse(".magpieignore", []byte(text), Options{Rules: known})
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	for _, tt := range []struct {
		f    Finding
		want string
	}{
		{found("slack-bot-token", "docs/a", 1, "x"), "path .magpieignore:2"},
		{found("slack-bot-token", "other/docs/a", 1, "x"), ""},
		{found("slack-bot-token", "a/b.env", 1, "x"), "path .magpieignore:5"},
		{found("slack-bot-token", "a/live.env", 1, "x"), ""},
		{found("slack-bot-token", "a", 1, "one"), "finding .magpieignore:7"},
		{found("slack-bot-token", "a", 1, "two"), "finding .magpieignore:8"},
		{found("slack-bot-token", "x.env", 1, "two"), "path .magpieignore:5, finding .magpieignore:8"},
		{found("jwt", "any/where", 1, "x"), "path .magpieignore:9"},
		{found("slack-bot-token", "a/tests/x", 1, "x"), "path .magpieignore:10"},
		{found("github-classic-token", "a/tests/x", 1, "x"), ""},
		{found("generic-password", "a", 1, "x"), "path .magpieignore:12"},
		{found("slack-bot-token", "value: x", 1, "x"), "path .magpieignore:13"},
	} {
		if got := by(l, tt.f); got != tt.want {
			t.Errorf("%s in %s is ignored by %q, want %q", tt.f.Rule, tt.f.Path, got, tt.want)
		}
	}
}

func TestOwnFileProblems(t *testing.T) {
	t.Parallel()
	text := "ok\nvalue: 123\nvalue:\nrule: nonsense\nrule:\n[\na\\\n" + strings.Repeat("x", maxPattern+1) + "\nrule: jwt [\n"
	l, problems := Parse("x/.magpieignore", []byte(text), Options{Rules: known})
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
		if p.File != "x/.magpieignore" || !strings.HasPrefix(p.String(), fmt.Sprintf("x/.magpieignore:%d: ", p.Line)) {
			t.Errorf("problem %q does not tell its file", p)
		}
	}
	if want := []int{2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(lines, want) {
		t.Errorf("problems in lines %d, want %d: %v", lines, want, problems)
	}
	if by(l, found("jwt", "ok", 1, "x")) == "" {
		t.Error("the good line does not count")
	}
	if l, problems := Parse("big", make([]byte, MaxFileBytes+1), Options{}); len(problems) != 1 || l.entries != 0 {
		t.Errorf("a file that is too large: %v, %d entries", problems, l.entries)
	}
	l, problems = Parse("many", []byte(strings.Repeat("a\n", maxEntries+5)), Options{})
	if len(problems) != 1 || problems[0].Line != maxEntries+1 || l.entries != maxEntries {
		t.Errorf("too many entries: %v, %d entries", problems, l.entries)
	}
}

func TestGitleaksIgnore(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("a1", 20)
	text := "# by hand\n\na/b.txt:generic-api-key:7\n" + commit + ":c.txt:aws-access-token:3\nd\\e.txt:x:1\nwith:colon.txt:x:2\nbad\na:b\n:x:1\na::1\nf.txt:x:y\n"
	l, problems := Parse("sub/.gitleaksignore", []byte(text), Options{Rules: known})
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if want := []int{7, 8, 9, 10, 11}; !slices.Equal(lines, want) {
		t.Errorf("problems in lines %d, want %d", lines, want)
	}
	at := func(commit magpie.Hash, path string, line int) string {
		return by(l, Finding{Rule: "jwt", Path: path, Line: line, Commit: commit, Secret: []byte("x")})
	}
	for _, tt := range []struct {
		commit magpie.Hash
		path   string
		line   int
		want   bool
	}{
		{"", "a/b.txt", 7, true},
		{magpie.Hash(commit), "a/b.txt", 7, true},
		{"", "a/b.txt", 8, false},
		{"", "b.txt", 7, false},
		{magpie.Hash(commit), "c.txt", 3, true},
		{"", "c.txt", 3, false},
		{magpie.Hash(strings.Repeat("b1", 20)), "c.txt", 3, false},
		{"", "d/e.txt", 1, true},
		{"", "with:colon.txt", 2, true},
	} {
		if got := at(tt.commit, tt.path, tt.line) != ""; got != tt.want {
			t.Errorf("%s:%d at %.4s is ignored: %t, want %t", tt.path, tt.line, tt.commit, got, tt.want)
		}
	}
}

const gitleaksText = `
title = "ours"

[extend]
useDefault = true
disabledRules = ["generic-api-key", "jwt", "nonsense"]
url = "https://example.com"
path = "conf/more.toml"

[allowlist]
description = "old form"
paths = ['''^vendor/''', '''(unclosed''']
stopWords = ["ExAmPle"]

[[allowlists]]
condition = "AND"
commits = ["a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"]
regexes = ['''^both$''']

[[allowlists]]
regexTarget = "line"
regexes = ["# ok$"]
targetRules = ["slack-bot-token"]

[[allowlists]]
condition = "NEITHER"
paths = ["x"]

[[allowlists]]
description = "empty"

[[allowlists]]
condition = "AND"
paths = ['''.*''']
regexes = ['''(''']

[[rules]]
id = "github-pat"
[rules.allowlist]
paths = ['''_test\.go$''']

[[rules]]
id = "gcp-api-key"
[[rules.allowlists]]
regexTarget = "match"
regexes = ['''^key = ''']

[[rules]]
id = "unheard-of"
[[rules.allowlists]]
paths = ['''.*''']
`

func TestGitleaksConfiguration(t *testing.T) {
	t.Parallel()
	open := func(name string) ([]byte, error) {
		if name == "conf/more.toml" {
			return []byte("[extend]\npath = '../../x'\n[[allowlists]]\nregexes = ['^extended$']\n"), nil
		}
		return nil, errors.New("not there")
	}
	l, problems := Parse(".gitleaks.toml", []byte(gitleaksText), Options{Rules: known, Open: open})
	var told []string
	for _, p := range problems {
		told = append(told, p.String())
	}
	for _, want := range []string{
		`.gitleaks.toml:6: disabledRules: Magpie has no detector "nonsense"`, ".gitleaks.toml:7: extend.url", ".gitleaks.toml:12: allowlist 1: error parsing regexp",
		`.gitleaks.toml:26: allowlist 4: condition "NEITHER"`, "allowlist 5: it holds no paths", "allowlist 6: the allowlist is not used", ".gitleaks.toml:49: rule unheard-of",
		"conf/more.toml:2: extend.path",
	} {
		if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("no problem %q in\n%s", want, strings.Join(told, "\n"))
		}
	}
	commit := magpie.Hash(strings.Repeat("a1", 20))
	for _, tt := range []struct {
		name string
		f    Finding
		want Kind
	}{
		{"path, any rule", found("slack-bot-token", "vendor/x", 1, "v"), Single}, // its list has stop words as well
		{"stop word, any case", found("slack-bot-token", "a", 1, "xEXAMPLEx"), Single},
		{"none", found("slack-bot-token", "a", 1, "v"), ""},
		{"both", Finding{Rule: "jwx", Path: "a", Commit: commit, Secret: []byte("both")}, Single},
		{"one of both", found("slack-bot-token", "a", 1, "both"), ""},
		{"the line", Finding{Rule: "slack-bot-token", Path: "a", Secret: []byte("v"), Text: []byte("k = v # ok")}, Single},
		{"the line, another rule", Finding{Rule: "slack-user-token", Path: "a", Secret: []byte("v"), Text: []byte("k = v # ok")}, ""},
		{"the line is not kept", found("slack-bot-token", "a", 1, "v"), ""},
		{"a rule of the vendor", found("github-classic-token", "a_test.go", 1, "v"), Path},
		{"a rule of another vendor", found("slack-bot-token", "a_test.go", 1, "v"), ""},
		{"a vendor by another name", Finding{Rule: "google-api-key", Path: "a", Secret: []byte("v"), Match: []byte("key = v")}, Single},
		{"disabled, all generic", found("generic-password", "a", 1, "v"), Path},
		{"disabled by id", found("jwt", "a", 1, "v"), Path},
		{"from the file it builds on", found("slack-bot-token", "a", 1, "extended"), Single},
	} {
		var got Kind
		s := new(Set)
		s.Add(l)
		if v := s.Match(tt.f); len(v) > 0 {
			got = v[0].Kind
		}
		if got != tt.want {
			t.Errorf("%s: ignored as %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestGitleaksConfigurationThatIsNone(t *testing.T) {
	t.Parallel()
	for text, line := range map[string]int{
		"a = 1\nb = [\n": 2, "x = 'a\n": 1, strings.Repeat("a = [[[[", 2000): 0, "a = 1\na = 2\n": 2,
	} {
		l, problems := Parse("x.toml", []byte(text), Options{})
		if len(problems) != 1 || problems[0].Line != line || l.entries != 0 {
			t.Errorf("%.20q: problems %v, %d entries, want one in line %d", text, problems, l.entries, line)
		}
	}
	// What has the wrong type is told, and the rest counts.
	l, problems := Parse("x.toml", []byte("[[allowlists]]\npaths = 5\nstopwords = ['a', 1]\n"), Options{})
	if len(problems) != 2 || l.entries != 1 {
		t.Errorf("%d entries, problems %v", l.entries, problems)
	}
}

// TestExpressionsAreBounded lets a file ask for more work than anybody should do for it.
func TestExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	l, problems := Parse("x.toml", []byte("[[allowlists]]\nregexes = ['(a{500}b?){2}c', '(?:(?:(?:a{10}){10}){9}){9}']\n"), Options{})
	if len(problems) != 1 {
		t.Errorf("problems %v, want one about the expression that repeats too much", problems)
	}
	var many strings.Builder
	many.WriteString("[[allowlists]]\nregexes = [")
	for range 200 {
		many.WriteString("'(a?b?){999}',\n")
	}
	many.WriteString("]\n")
	if _, problems := Parse("x.toml", []byte(many.String()), Options{}); len(problems) < 50 {
		t.Errorf("%d problems with expressions that are too much together", len(problems))
	}
	s := new(Set)
	s.Add(l)
	secret := []byte(strings.Repeat("a", maxTested))
	*l.left = 10_000_000
	for range 1000 {
		s.Match(Finding{Rule: "jwt", Path: "a", Secret: secret})
		if s.Spent() != nil {
			break
		}
	}
	if diff := cmp.Diff([]string{"x.toml"}, s.Spent()); diff != "" {
		t.Errorf("files whose expressions were too much:\n%s", diff)
	}
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	b := NewBaseline()
	put := func(b *BaselineFile, rule magpie.RuleID, file, secret string) {
		t.Helper()
		if err := b.Put(magpie.Finding{Rule: rule, File: file, Secret: magpie.NewSecret(secret)}); err != nil {
			t.Fatal(err)
		}
	}
	put(b, "jwt", "b.txt", "hunter2")
	put(b, "slack-bot-token", "a.txt", "other")
	put(b, "slack-bot-token", "c.txt", "other")
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "other", detect.Fingerprint([]byte("hunter2"))} {
		if strings.Contains(string(data), secret) {
			t.Errorf("the baseline holds %q", secret)
		}
	}
	read, err := ReadBaseline("known.json", data)
	if err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]bool{"hunter2": true, "hunter3": false} {
		if got, err := read.Holds([]byte(secret)); got != want || err != nil {
			t.Errorf("holds %q: %t, %v", secret, got, err)
		}
	}
	if diff := cmp.Diff([]string{"slack-bot-token in a.txt"}, read.Stale()); diff != "" {
		t.Errorf("stale:\n%s", diff)
	}
	// Written again, what stays looks the same, so that a diff shows what changed and nothing else.
	again := read.Fresh()
	put(again, "slack-bot-token", "a.txt", "other")
	put(again, "jwt", "b.txt", "hunter2")
	same, err := again.Encode()
	if err != nil || string(same) != string(data) {
		t.Errorf("written again: %v\n%s", err, cmp.Diff(string(data), string(same)))
	}
	// Another baseline knows the same secrets by other digests.
	other := NewBaseline()
	put(other, "jwt", "b.txt", "hunter2")
	if other.entries[0].Value == b.entries[0].Value {
		t.Error("two baselines have the same digest of one value")
	}
	for _, bad := range []string{
		"", "{}", "[]", strings.Replace(string(data), ": 1,", ": 2,", 1), strings.Replace(string(data), "10000", "10000000", 1),
		strings.Replace(string(data), `"salt": "`, `"salt": "x`, 1), strings.Replace(string(data), `"value":"`, `"value":"x`, 1), `{"magpie_baseline":1,"salt":"00112233445566778899aabbccddeeff","rounds":1,"secrets":[null]}`,
	} {
		if _, err := ReadBaseline("known.json", []byte(bad)); magpie.KindOf(err) != magpie.KindInvalid || !strings.Contains(err.Error(), "known.json") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(".gitleaks.toml", gitleaksText)
	f.Add(".gitleaksignore", "a:b:1\n")
	f.Add(".magpieignore", "value: 00112233445566778899aabbccddeeff\nrule: jwt a/\n!x\n[[:alpha:]]")
	f.Add("x.toml", "[[allowlists]]\npaths=['a']\n[[rules]]\nid='*'\nallowlists=[{paths=['x']}]")
	f.Fuzz(func(t *testing.T, name, text string) {
		l, problems := Parse(name, []byte(text), Options{Rules: known, Open: func(string) ([]byte, error) { return []byte(text), nil }})
		if len(problems) > maxProblems || l.entries > maxEntries {
			t.Fatalf("%d problems, %d entries", len(problems), l.entries)
		}
		s := new(Set)
		s.Add(l)
		s.Match(Finding{Rule: "jwt", Path: "a/b", Line: 1, Secret: []byte("x"), Text: []byte("k = x"), Match: []byte("x")})
	})
}

func FuzzReadBaseline(f *testing.F) {
	f.Add([]byte(`{"magpie_baseline":1,"salt":"00112233445566778899aabbccddeeff","rounds":1,"secrets":[{"value":"00112233445566778899aabbccddeeff","rule":"jwt","file":"a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ReadBaseline("x", data)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadBaseline("x", again); err != nil {
			t.Errorf("a baseline that was read and written can't be read: %v", err)
		}
	})
}
