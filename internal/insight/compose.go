package insight

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"magpie"
	"magpie/internal/bitbucket"
)

// document is a report with its annotations, as they are sent.
type document struct {
	Report      bitbucket.Report
	Annotations []bitbucket.Annotation
}

// digest tells equal documents.
func (d document) digest() (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encoding a report: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// blocks reports whether a secret keeps a pull request from being merged: somebody still has to act, or has closed the
// incident while the secret is alive and stands there.
func blocks(v standing) bool {
	return v.Status.Open() || v.Status == magpie.IncidentResolved && !v.Revoked
}

// compose writes the report of a survey.
func (s *Service) compose(t target, history bool, found survey) document {
	slices.SortFunc(found.found, func(a, b standing) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Number, b.Number))
	})
	var blocking, revoked, ignored []standing
	for _, v := range found.found {
		switch {
		case blocks(v):
			blocking = append(blocking, v)
		case v.Status == magpie.IncidentIgnored:
			ignored = append(ignored, v)
		default:
			revoked = append(revoked, v)
		}
	}
	d := document{Report: bitbucket.Report{
		Title: "Secrets", Reporter: "Magpie", Result: bitbucket.ReportPass, Link: s.listLink(t),
		Data: []bitbucket.ReportData{{Title: "Secrets", Type: bitbucket.ReportNumber, Value: incidents(blocking)}},
	}}
	if len(blocking) > 0 {
		d.Report.Result = bitbucket.ReportFail
		d.Report.Data = append(d.Report.Data, bitbucket.ReportData{Title: "Worst severity", Type: bitbucket.ReportText, Value: string(blocking[0].Severity)})
	}
	if d.Report.Link != "" {
		d.Report.Data = append(d.Report.Data, bitbucket.ReportData{
			Title: "Incidents", Type: bitbucket.ReportURL, Value: bitbucket.ReportLink{Text: "Open in Magpie", Href: d.Report.Link},
		})
	}
	d.Report.Details = details(blocking, revoked, ignored, history, found)
	d.Annotations = s.annotations(blocking)
	return d
}

// details says in words what the report is about. Bitbucket takes 2,000 characters; this is about half at most.
func details(blocking, revoked, ignored []standing, history bool, found survey) string {
	var lines []string
	if n := incidents(blocking); n > 0 {
		lines = append(lines, fmt.Sprintf("This pull request brings %s. Revoke %s where %s issued, and then remove %s: taking a "+
			"secret out of the code does not make it safe. Or close the incident in Magpie as ignored, with a reason.",
			count(n, "secret", "secrets"), either(n, "it", "each"), either(n, "it was", "they were"), either(n, "it", "them")))
	} else {
		lines = append(lines, "Magpie knows of no secret that this pull request brings and that still has to be dealt with. "+
			"One that stood in an earlier commit of it alone is not counted here; its incident goes on.")
	}
	if n := incidents(revoked); n > 0 {
		lines = append(lines, fmt.Sprintf("%s %s revoked and no longer counts.", count(n, "secret in it", "secrets in it"), either(n, "is", "are")))
	}
	if n := incidents(ignored); n > 0 {
		lines = append(lines, fmt.Sprintf("%s %s ignored.", count(n, "secret in it", "secrets in it"), either(n, "is", "are")))
	}
	if len(blocking) > bitbucket.MaxAnnotations {
		lines = append(lines, fmt.Sprintf("Only the first %d of %d places are marked.", bitbucket.MaxAnnotations, len(blocking)))
	}
	if found.truncated {
		lines = append(lines, "Bitbucket does not list all files that this pull request changes; the others were not looked at.")
	}
	if found.unread > 0 {
		lines = append(lines, fmt.Sprintf("%s could not be read again; a secret is taken to stand there as it did.", count(found.unread, "file", "files")))
	}
	if !history {
		lines = append(lines, "The history of the source repository has not been scanned; what was pushed before Magpie watched it is not known.")
	}
	return strings.Join(lines, "\n")
}

// incidents counts the secrets of places.
func incidents(places []standing) int {
	seen := map[magpie.IncidentID]bool{}
	for _, v := range places {
		seen[v.IncidentID] = true
	}
	return len(seen)
}

func count(n int, one, many string) string { return fmt.Sprintf("%d %s", n, either(n, one, many)) }

func either(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// annotations marks the places, the worst first.
func (s *Service) annotations(places []standing) []bitbucket.Annotation {
	all := []bitbucket.Annotation{}
	used := map[string]int{}
	for _, v := range places[:min(len(places), bitbucket.MaxAnnotations)] {
		id := string(v.ID)
		if used[id]++; used[id] > 1 { // the same occurrence in two files or lines
			id = fmt.Sprintf("%s-%d", id, used[id])
		}
		all = append(all, bitbucket.Annotation{
			Path: v.Path, Line: v.Line, Message: message(v), Severity: cmp.Or(severityOf[v.Severity], bitbucket.AnnotationLow),
			Type: bitbucket.AnnotationVulnerability, Link: s.incidentLink(v.Number), ExternalID: id,
		})
	}
	return all
}

var severityOf = map[magpie.Severity]bitbucket.AnnotationSeverity{
	magpie.SeverityCritical: bitbucket.AnnotationHigh,
	magpie.SeverityHigh:     bitbucket.AnnotationHigh,
	magpie.SeverityMedium:   bitbucket.AnnotationMedium,
}

func message(v standing) string {
	text := fmt.Sprintf("%s (incident %d in Magpie). Revoke it where it was issued, then remove it; taking it out of the code alone does not make it safe.",
		title(v.Title), v.Number)
	if v.Status == magpie.IncidentResolved {
		text += " The incident was resolved without the secret having been revoked."
	}
	return text
}

// title bounds the name of a detector, which users can write.
func title(name string) string {
	if r := []rune(name); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return name
}

func rank(s magpie.Severity) int {
	if i := slices.Index(magpie.Severities(), s); i >= 0 {
		return i
	}
	return len(magpie.Severities())
}

// listLink leads to the open incidents of the target; where the secrets stand in a fork, their own links lead there.
func (s *Service) listLink(t target) string {
	if s.opts.PublicURL == "" {
		return ""
	}
	return s.opts.PublicURL + "/incidents?" + url.Values{"repo": {string(t.repo.ID)}, "status": {"open"}}.Encode()
}

func (s *Service) incidentLink(number int64) string {
	if s.opts.PublicURL == "" {
		return ""
	}
	return fmt.Sprintf("%s/incidents/%d", s.opts.PublicURL, number)
}
