package bitbucket

import (
	"context"
	"net/http"
	"net/url"

	"magpie"
)

// Code Insights: a tool puts a report on a commit, with annotations at lines of files, and Bitbucket shows both on the
// pull requests whose source stands at that commit. A merge check can demand a report that passes.
const insights = "/rest/insights/1.0"

// MaxAnnotations is how many annotations a report may have; Bitbucket refuses a request that would exceed it as a whole.
const MaxAnnotations = 1000

// ReportResult says whether a report's merge check lets a pull request pass.
type ReportResult string

// The results of a report.
const (
	ReportPass ReportResult = "PASS"
	ReportFail ReportResult = "FAIL"
)

// Report is a Code Insights report. Title is at most 450 characters long, Details 2,000; Link may be empty.
type Report struct {
	Title    string       `json:"title"`
	Details  string       `json:"details,omitempty"`
	Result   ReportResult `json:"result"`
	Reporter string       `json:"reporter,omitempty"`
	Link     string       `json:"link,omitempty"`
	Data     []ReportData `json:"data"` // at most 6
}

// ReportData is one line of figures in a report. Value is a number, a text or a ReportLink, as Type says.
type ReportData struct {
	Title string         `json:"title"`
	Type  ReportDataType `json:"type"`
	Value any            `json:"value"`
}

// ReportDataType says how a ReportData's value is shown.
type ReportDataType string

// The types of data that we report.
const (
	ReportNumber ReportDataType = "NUMBER"
	ReportText   ReportDataType = "TEXT"
	ReportURL    ReportDataType = "LINK"
)

// ReportLink is the value of a ReportData of type ReportURL.
type ReportLink struct {
	Text string `json:"linktext"`
	Href string `json:"href"`
}

// AnnotationSeverity is how bad Bitbucket shows an annotation to be; a merge check can count them by it.
type AnnotationSeverity string

// The severities of annotations.
const (
	AnnotationLow    AnnotationSeverity = "LOW"
	AnnotationMedium AnnotationSeverity = "MEDIUM"
	AnnotationHigh   AnnotationSeverity = "HIGH"
)

// Annotation is a remark at a line of a file. Bitbucket shows those at lines that the pull request changes.
type Annotation struct {
	Path       string             `json:"path"`
	Line       int                `json:"line"` // from 1; 0 is the file as a whole
	Message    string             `json:"message"`
	Severity   AnnotationSeverity `json:"severity"`
	Type       string             `json:"type"` // AnnotationVulnerability
	Link       string             `json:"link,omitempty"`
	ExternalID string             `json:"externalId"`
}

// AnnotationVulnerability is the type of all our annotations.
const AnnotationVulnerability = "VULNERABILITY"

// PutReport creates or replaces the report with a key on a commit. Only who created it may replace it; for others the
// error is KindForbidden.
func (c *Client) PutReport(ctx context.Context, key, slug string, commit magpie.Hash, report string, r Report) error {
	if r.Data == nil {
		r.Data = []ReportData{} // must be there
	}
	_, err := c.call(ctx, http.MethodPut, reportPath(key, slug, commit, report), nil, r, nil)
	return err
}

// DeleteReport deletes a report with its annotations. One that is not there is no error. Who administers the repository
// may delete anybody's.
func (c *Client) DeleteReport(ctx context.Context, key, slug string, commit magpie.Hash, report string) error {
	return gone(c.call(ctx, http.MethodDelete, reportPath(key, slug, commit, report), nil, nil, nil))
}

// DeleteAnnotations deletes all annotations of a report.
func (c *Client) DeleteAnnotations(ctx context.Context, key, slug string, commit magpie.Hash, report string) error {
	return gone(c.call(ctx, http.MethodDelete, reportPath(key, slug, commit, report)+"/annotations", nil, nil, nil))
}

// AddAnnotations adds annotations to a report, all or none. Adding one again makes a second one.
func (c *Client) AddAnnotations(ctx context.Context, key, slug string, commit magpie.Hash, report string, all []Annotation) error {
	if len(all) == 0 {
		return nil
	}
	body := struct {
		Annotations []Annotation `json:"annotations"`
	}{all}
	_, err := c.call(ctx, http.MethodPost, reportPath(key, slug, commit, report)+"/annotations", nil, body, nil)
	return err
}

// gone takes the absence of what was to be deleted for success.
func gone(_ answer, err error) error {
	if magpie.KindOf(err) == magpie.KindNotFound {
		return nil
	}
	return err
}

func reportPath(key, slug string, commit magpie.Hash, report string) string {
	return insights + "/projects/" + escapeSegment(key) + "/repos/" + url.PathEscape(slug) + "/commits/" + string(commit) +
		"/reports/" + url.PathEscape(report)
}
