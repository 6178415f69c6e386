package report

import (
	"io"
	"net/url"
	"strings"

	"magpie"
)

// The part of SARIF 2.1.0 that findings need (OASIS Standard, https://docs.oasis-open.org/sarif/sarif/v2.1.0/).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		ColumnKind  string            `json:"columnKind"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"semanticVersion,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		Name             string         `json:"name"`
		ShortDescription sarifText      `json:"shortDescription"`
		FullDescription  *sarifText     `json:"fullDescription,omitempty"`
		Help             *sarifText     `json:"help,omitempty"`
		HelpURI          string         `json:"helpUri,omitempty"`
		Default          sarifRuleLevel `json:"defaultConfiguration"`
		Properties       map[string]any `json:"properties,omitempty"`
	}
	sarifRuleLevel struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"fingerprints"`
		Properties   map[string]any    `json:"properties,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int        `json:"startLine"`
		StartColumn int        `json:"startColumn,omitempty"`
		EndLine     int        `json:"endLine"`
		EndColumn   int        `json:"endColumn,omitempty"` // one past the last character
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
)

// sarifSchema is where the form is defined.
const sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"

func writeSARIF(w io.Writer, findings []magpie.Finding, summary Summary, opts Options) error {
	run := sarifRun{ColumnKind: "utf16CodeUnits", Results: []sarifResult{}, Invocations: []sarifInvocation{newInvocation(summary)}}
	run.Tool.Driver = sarifDriver{Name: "Magpie", Version: semantic(opts.Version), Rules: []sarifRule{}}
	index := map[magpie.RuleID]int{}
	for _, r := range opts.Rules {
		index[r.ID] = len(run.Tool.Driver.Rules)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, newSARIFRule(r))
	}
	for _, f := range findings {
		if _, ok := index[f.Rule]; !ok {
			index[f.Rule] = len(run.Tool.Driver.Rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, newSARIFRule(Rule{ID: f.Rule, Title: f.RuleName, Severity: f.Severity}))
		}
		run.Results = append(run.Results, newSARIFResult(newLine(f, opts.ShowSecrets), index[f.Rule]))
	}
	encoder := newEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

func newInvocation(summary Summary) sarifInvocation {
	inv := sarifInvocation{Successful: len(summary.Failures) == 0}
	for _, why := range summary.Failures {
		inv.Notifications = append(inv.Notifications, sarifNotification{Level: "error", Message: sarifText{why}})
	}
	for _, why := range summary.Why {
		inv.Notifications = append(inv.Notifications, sarifNotification{Level: "warning", Message: sarifText{"not read: " + why}})
	}
	return inv
}

func newSARIFRule(r Rule) sarifRule {
	rule := sarifRule{
		ID: string(r.ID), Name: r.Title, ShortDescription: sarifText{r.Title}, Default: sarifRuleLevel{level(r.Severity)},
		Properties: map[string]any{"security-severity": securitySeverity(r.Severity), "tags": []string{"security", "secret"}},
	}
	if r.Description != "" {
		rule.FullDescription = &sarifText{r.Description}
	}
	if r.Remediation != "" {
		rule.Help = &sarifText{r.Remediation}
	}
	if len(r.References) > 0 {
		rule.HelpURI = r.References[0]
	}
	return rule
}

func newSARIFResult(l Line, ruleIndex int) sarifResult {
	file := l.File
	if file == "" {
		file = "blob/" + string(l.Blob)
	}
	region := sarifRegion{StartLine: l.LineStart, EndLine: l.LineEnd}
	if asciiLine(l.Match) {
		region.StartColumn, region.EndColumn = l.ColumnStart, l.ColumnEnd+1
	}
	if l.Match != "" {
		region.Snippet = &sarifText{l.Match}
	}
	properties := map[string]any{"confidence": l.Confidence, "provider": l.Provider, "blob": l.Blob}
	for name, value := range map[string]string{
		"commit": string(l.Commit), "author": l.Author, "email": l.Email, "date": l.Date,
		"decoded_from": l.DecodedFrom, "secret": l.Secret,
	} {
		if value != "" {
			properties[name] = value
		}
	}
	return sarifResult{
		RuleID: string(l.Rule), RuleIndex: ruleIndex, Level: level(l.Severity),
		Message:      sarifText{l.Name + " found"},
		Locations:    []sarifLocation{{sarifPhysical{sarifArtifact{(&url.URL{Path: file}).EscapedPath()}, region}}},
		Fingerprints: map[string]string{"magpie/v1": l.Fingerprint},
		Properties:   properties,
	}
}

// asciiLine reports whether the masked line holds only ASCII, so that columns counted in bytes, as ours are, and in
// UTF-16 units, as SARIF's are, agree. In other lines the columns are left out rather than wrong.
func asciiLine(masked string) bool {
	for _, r := range masked {
		if r > 0x7f && r != '•' && r != '…' {
			return false
		}
	}
	return true
}

// level maps severities to SARIF's three levels.
func level(s magpie.Severity) string {
	switch s {
	case magpie.SeverityCritical, magpie.SeverityHigh:
		return "error"
	case magpie.SeverityMedium:
		return "warning"
	default:
		return "note"
	}
}

// securitySeverity maps severities to the scale of 0 to 10 that code-scanning tools sort by.
func securitySeverity(s magpie.Severity) string {
	switch s {
	case magpie.SeverityCritical:
		return "9.5"
	case magpie.SeverityHigh:
		return "8.0"
	case magpie.SeverityMedium:
		return "5.5"
	case magpie.SeverityLow:
		return "3.0"
	default:
		return "1.0"
	}
}

// semantic returns version if SARIF accepts it as a semantic version, else nothing.
func semantic(version string) string {
	v := strings.TrimPrefix(version, "v")
	if strings.Count(v, ".") != 2 {
		return ""
	}
	return v
}
