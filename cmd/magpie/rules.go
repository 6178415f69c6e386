package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/rule"
	"magpie/rules"
)

// rulesCmd is what a user can ask about detectors.
type rulesCmd struct {
	List    rulesListCmd    `cmd:"" help:"List the detectors."`
	Test    rulesTestCmd    `cmd:"" help:"Check detectors of your own and prove their examples."`
	Explain rulesExplainCmd `cmd:"" help:"Say what a detector finds, why it matters, and what to do."`
}

// errRulesFailed makes the exit status 1 for detectors that do not pass: the command could do its work, and what it
// found wrong has been printed. It counts as something found, so it is not printed again.
var errRulesFailed = fmt.Errorf("detectors do not pass: %w", errSecretsFound)

// rulesListCmd lists the built-in detectors.
type rulesListCmd struct {
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// ruleEntry is a detector in JSON.
type ruleEntry struct {
	ID          magpie.RuleID     `json:"id"`
	Title       string            `json:"title"`
	Provider    string            `json:"provider"`
	Category    string            `json:"category"`
	Severity    magpie.Severity   `json:"severity"`
	Confidence  magpie.Confidence `json:"confidence"`
	Checked     bool              `json:"checked"` // a checksum or structure is verified
	Description string            `json:"description"`
	Remediation string            `json:"remediation"`
	References  []string          `json:"references"`
	Since       string            `json:"since"`
}

// Run implements the command.
func (c *rulesListCmd) Run(p *process) error {
	all, err := rules.All()
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b *rule.Rule) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.ID, b.ID))
	})
	if c.Format == "json" {
		return listRulesJSON(p.stdout, all)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tCATEGORY\tSEVERITY\tTITLE")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.ID, r.Category, r.Severity, r.Title)
	}
	return w.Flush()
}

func listRulesJSON(w io.Writer, all []*rule.Rule) error {
	entries := make([]ruleEntry, 0, len(all))
	for _, r := range all {
		entries = append(entries, ruleEntry{
			ID: r.ID, Title: r.Title, Provider: r.Vendor, Category: r.Category, Severity: r.Severity, Confidence: r.Confidence,
			Checked: r.Check != "", Description: r.Description, Remediation: r.Remediation, References: r.References, Since: r.Since,
		})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(entries)
}

// rulesTestCmd checks users' rule files.
type rulesTestCmd struct {
	Files []string `arg:"" name:"file" help:"Rule files, in the form of docs/rules.md."`
}

// Run implements the command.
func (c *rulesTestCmd) Run(p *process) error {
	builtin, err := rules.All()
	if err != nil {
		return err
	}
	owner := map[magpie.RuleID]string{}
	for _, r := range builtin {
		owner[r.ID] = "the built-in detectors"
	}
	failed := false
	for _, file := range c.Files {
		data, err := os.ReadFile(file)
		if err != nil {
			return magpie.Errorf(magpie.KindInvalid, "reading detectors: %w", err)
		}
		rs, err := testRules(file, data, owner)
		if err != nil {
			printError(p.stderr, err)
			failed = true
			continue
		}
		fmt.Fprintf(p.stdout, "%s: %s proved\n", file, count(len(rs), "detector"))
	}
	if failed {
		return errRulesFailed
	}
	return nil
}

// testRules parses and proves the rules of one file. Ids are recorded in owner and may not be there yet.
func testRules(file string, data []byte, owner map[magpie.RuleID]string) ([]*rule.Rule, error) {
	rs, err := rule.Parse(file, data)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, r := range rs {
		if other, taken := owner[r.ID]; taken {
			errs = append(errs, magpie.Errorf(magpie.KindInvalid, "%s: rule %s: the id is taken by %s", file, r.ID, other))
		}
		owner[r.ID] = file
	}
	return rs, errors.Join(append(errs, detect.Prove(rs, false))...)
}

// rulesExplainCmd explains one detector.
type rulesExplainCmd struct {
	ID magpie.RuleID `arg:"" help:"The detector's id, as in the list and in findings."`
}

// Run implements the command.
func (c *rulesExplainCmd) Run(p *process) error {
	all, err := rules.All()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(r *rule.Rule) bool { return r.ID == c.ID })
	if i < 0 {
		return &magpie.Error{
			Kind: magpie.KindNotFound, Message: fmt.Sprintf("there is no detector %q", c.ID), Hint: "magpie rules list shows all of them",
		}
	}
	return explainRule(p.stdout, all[i])
}

func explainRule(w io.Writer, r *rule.Rule) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n\n", r.Title, r.ID)
	if r.Vendor != "" {
		fmt.Fprintf(&b, "Vendor      %s\n", r.Vendor)
	}
	fmt.Fprintf(&b, "Category    %s\nSeverity    %s\nConfidence  %s\nSince       %s\n\n", r.Category, r.Severity, r.Confidence, r.Since)
	fmt.Fprintf(&b, "What it is\n%s\n\n", indent(r.Description))
	fmt.Fprintf(&b, "What to do\n%s\n\n", indent(r.Remediation))
	fmt.Fprintf(&b, "How it is found\n%s\n", indent(strings.Join(howFound(r), "\n")))
	if len(r.References) > 0 {
		fmt.Fprintf(&b, "\nReferences\n%s\n", indent(strings.Join(r.References, "\n")))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// howFound says in words how a rule recognises its secret.
func howFound(r *rule.Rule) []string {
	anchors := slices.Concat(r.Literals, r.Keywords)
	var how []string
	if r.ByValue() {
		how = append(how, "A value is assigned to a name that holds one of: "+strings.Join(anchors, ", "))
		if !r.Generic {
			how = append(how, "The value has the form "+r.Value)
		}
	} else {
		how = append(how, "Text near one of: "+strings.Join(anchors, ", "), "It has the form "+r.Pattern)
	}
	if r.Filters.Entropy > 0 {
		how = append(how, fmt.Sprintf("It has an entropy of at least %.1f bits per character.", r.Filters.Entropy))
	}
	if len(r.Filters.Require) > 0 {
		how = append(how, "It has characters of each kind: "+strings.Join(r.Filters.Require, ", "))
	}
	switch r.Filters.Shape {
	case "password":
		how = append(how, "It is no word, name, reference or dummy.")
	case "random":
		how = append(how, "It looks as made by a machine, not as a word, name, reference or dummy.")
	case "login":
		how = append(how, "It decodes to a user and a password that is no dummy.")
	}
	if r.Check != "" {
		how = append(how, "Its structure or checksum is verified ("+r.Check+").")
	}
	return how
}

// indent sets text in paragraphs of at most 96 characters a line.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		width := 0
		for i, word := range strings.Fields(line) {
			if i == 0 || width+1+len(word) > 94 {
				if b.Len() > 0 {
					b.WriteByte('\n')
				}
				b.WriteString("  ")
				width = 2
			} else {
				b.WriteByte(' ')
				width++
			}
			b.WriteString(word)
			width += len(word)
		}
	}
	return b.String()
}
