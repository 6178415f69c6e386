package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runRules runs a command as the program would and returns what it printed and its exit status.
func runRules(command interface{ Run(*process) error }) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	p := &process{stdout: &out, stderr: &errs}
	err := command.Run(p)
	printError(p.stderr, err)
	return out.String(), errs.String(), exitStatus(err)
}

func TestRulesList(t *testing.T) {
	out, _, status := runRules(&rulesListCmd{Format: "text"})
	if status != exitOK || !strings.HasPrefix(out, "ID ") || !strings.Contains(out, "github-personal-token") {
		t.Errorf("got status %d and %.200q", status, out)
	}
	out, _, _ = runRules(&rulesListCmd{Format: "json"})
	var entries []ruleEntry
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// Our own format is described in this tree, every other one by its vendor.
		described := len(e.References) > 0 || e.Provider == "Magpie"
		if e.ID == "" || e.Title == "" || e.Description == "" || e.Remediation == "" || !described {
			t.Errorf("rule %q lacks a field", e.ID)
		}
	}
}

func TestRulesExplain(t *testing.T) {
	out, _, status := runRules(&rulesExplainCmd{ID: "github-personal-token"})
	for _, want := range []string{"What it is", "What to do", "How it is found", "References", "crc-base62", "https://"} {
		if !strings.Contains(out, want) {
			t.Errorf("explanation lacks %q", want)
		}
	}
	if status != exitOK {
		t.Errorf("got status %d, want %d", status, exitOK)
	}
	if _, errs, status := runRules(&rulesExplainCmd{ID: "no-such"}); status != exitUsage || !strings.Contains(errs, "no-such") {
		t.Errorf("unknown id: got status %d and %q", status, errs)
	}
}

const ownRule = `vendor: Example
rules:
  - id: example-token
    title: Example token
    category: cloud
    severity: high
    confidence: high
    description: What it is.
    remediation: What to do.
    literals: [exm_]
    pattern: \b(?P<secret>exm_[0-9a-f]{16})\b
    examples:
      match: ["a exm<>_0f6a2c4e81b3d579"]
      no_match: ["exm_0f"]
`

func TestRulesTest(t *testing.T) {
	for _, tt := range []struct {
		name, text, stdout, stderr string
		status                     int
	}{
		{"good", ownRule, "1 detector proved", "", exitOK},
		{"example fails", strings.Replace(ownRule, "exm<>_0f6a2c4e81b3d579", "exm<>_0f6a", 1), "", "matching example 1 is not found", exitFound},
		{"field", strings.Replace(ownRule, "title:", "titel:", 1), "", "unknown field titel", exitFound},
		{"id taken", strings.Replace(ownRule, "id: example-token", "id: github-personal-token", 1), "", "taken by the built-in", exitFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "own.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, errs, status := runRules(&rulesTestCmd{Files: []string{file}})
			if status != tt.status || !strings.Contains(out, tt.stdout) || !strings.Contains(errs, tt.stderr) {
				t.Errorf("got status %d, output %q, errors %q; want %d, %q, %q", status, out, errs, tt.status, tt.stdout, tt.stderr)
			}
		})
	}
}
