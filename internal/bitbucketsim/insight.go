package bitbucketsim

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Code Insights: reports on commits, with annotations. They came with 5.15.

const (
	maxReportData  = 6
	maxAnnotations = 1000
)

// insightKey says where a report is.
type insightKey struct {
	Repo   int
	Commit string
	Key    string
}

// report is a Code Insights report with its annotations.
type report struct {
	At          insightKey
	CreatorID   int
	Body        reportBody
	Created     int64
	Annotations []annotation
}

// reportBody is what a client says of a report.
type reportBody struct {
	Title    string       `json:"title"`
	Details  string       `json:"details,omitempty"`
	Result   string       `json:"result,omitempty"`
	Data     []reportData `json:"data"`
	Reporter string       `json:"reporter,omitempty"`
	Link     string       `json:"link,omitempty"`
	LogoURL  string       `json:"logoUrl,omitempty"`
	Created  int64        `json:"createdDate,omitempty"`
	Coverage string       `json:"coverageProviderKey,omitempty"`
}

type reportData struct {
	Title string `json:"title"`
	Type  string `json:"type,omitempty"`
	Value any    `json:"value"`
}

type reportView struct {
	Data    []reportData `json:"data"`
	Created int64        `json:"createdDate"`
	Details string       `json:"details,omitempty"`
	Key     string       `json:"key"`
	Link    string       `json:"link,omitempty"`
	LogoURL string       `json:"logoUrl,omitempty"`
	Result  string       `json:"result,omitempty"`
	Title   string       `json:"title"`
	By      string       `json:"reporter,omitempty"`
}

// annotation is a remark on a report.
type annotation struct {
	Path       string `json:"path,omitempty"`
	Line       int    `json:"line"`
	Message    string `json:"message"`
	Severity   string `json:"severity"`
	Type       string `json:"type,omitempty"`
	Link       string `json:"link,omitempty"`
	ExternalID string `json:"externalId,omitempty"`
}

type annotationView struct {
	ReportKey string `json:"reportKey"`
	annotation
}

func (s *Server) routeInsights(mux *http.ServeMux) {
	if !s.ver.insights() {
		return
	}
	const commit = "/projects/{key}/repos/{slug}/commits/{id}"
	const one = commit + "/reports/{report}"
	s.rest(mux, "insights", "GET "+commit+"/reports", (*call).listReports)
	s.rest(mux, "insights", "GET "+commit+"/annotations", (*call).commitAnnotations)
	s.rest(mux, "insights", "PUT "+one, (*call).putReport)
	s.rest(mux, "insights", "GET "+one, (*call).getReport)
	s.rest(mux, "insights", "DELETE "+one, (*call).deleteReport)
	s.rest(mux, "insights", "GET "+one+"/annotations", (*call).reportAnnotations)
	s.rest(mux, "insights", "POST "+one+"/annotations", (*call).addAnnotations)
	s.rest(mux, "insights", "DELETE "+one+"/annotations", (*call).deleteAnnotations)
	s.rest(mux, "insights", "PUT "+one+"/annotations/{external}", (*call).putAnnotation)
}

var fullHash = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)

// insightAt checks the address of a report: a readable repository and a commit in it, by its full id.
func (c *call) insightAt() (insightKey, error) {
	r, err := c.repo(read)
	if err != nil {
		return insightKey{}, err
	}
	id := c.r.PathValue("id")
	if !fullHash.MatchString(id) {
		return insightKey{}, errNoCommit(id, r.Slug)
	}
	if id, err = c.commitID(r, id, false); err != nil {
		return insightKey{}, err
	}
	return insightKey{r.ID, id, c.r.PathValue("report")}, nil
}

// report finds the report an address names; s.mu is locked when it returns, and unlock ends that.
func (c *call) report() (found *report, unlock func(), err error) {
	at, err := c.insightAt()
	if err != nil {
		return nil, nil, err
	}
	c.s.mu.Lock()
	if found = c.s.index.reports[at]; found == nil {
		c.s.mu.Unlock()
		return nil, nil, errNoEntity("No report exists with the key '" + at.Key + "'")
	}
	return found, c.s.mu.Unlock, nil
}

// ownReport is report for those who change it: its creator, and for deletion also who administers the repository.
func (c *call) ownReport(orAdmin bool) (found *report, unlock func(), err error) {
	if c.who.user == nil {
		return nil, nil, c.s.refusal(c.who)
	}
	found, unlock, err = c.report()
	if err != nil {
		return nil, nil, err
	}
	r := c.s.index.repoByID[found.At.Repo]
	if found.CreatorID != c.who.user.ID && !(orAdmin && r != nil && c.s.repoLevel(c.who, r) >= admin) {
		unlock()
		return nil, nil, errForbidden()
	}
	return found, unlock, nil
}

func errNoEntity(message string) *apiError {
	return &apiError{http.StatusNotFound, "", message, "bitbucket.NoSuchEntityException"}
}

func (r *report) view() reportView {
	b := r.Body
	return reportView{b.Data, r.Created, b.Details, r.At.Key, b.Link, b.LogoURL, b.Result, b.Title, b.Reporter}
}

func (c *call) putReport() (any, error) {
	at, err := c.insightAt()
	if err != nil {
		return nil, err
	}
	if c.who.user == nil {
		return nil, c.s.refusal(c.who)
	}
	var body reportBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	r := c.s.index.reports[at]
	if r != nil && r.CreatorID != c.who.user.ID {
		return nil, errForbidden()
	}
	if r == nil {
		r = &report{At: at, CreatorID: c.who.user.ID}
		c.s.st.Reports = append(c.s.st.Reports, r)
		c.s.indexReport(r)
	}
	r.Body, r.Created = body, body.Created
	if r.Created == 0 {
		r.Created = millis(c.s.now())
	}
	return r.view(), nil
}

func (b *reportBody) check() error {
	switch {
	case b.Title == "":
		return errInvalid("title", "A title is required")
	case tooLong(b.Title, 450):
		return errInvalid("title", "The title may not be longer than 450 characters")
	case tooLong(b.Details, 2000):
		return errInvalid("details", "The details may not be longer than 2000 characters")
	case tooLong(b.Reporter, 450):
		return errInvalid("reporter", "The reporter may not be longer than 450 characters")
	case b.Result != "" && b.Result != "PASS" && b.Result != "FAIL":
		return errInvalid("result", "The result must be PASS or FAIL")
	case b.Data == nil:
		return errInvalid("data", "may not be null")
	case len(b.Data) > maxReportData:
		return errInvalid("data", "A report may not have more than 6 data fields")
	case !optionalLink(b.Link) || !optionalLink(b.LogoURL):
		return errInvalid("link", "A valid URL is required")
	}
	for _, d := range b.Data {
		if !slices.Contains([]string{"", "BOOLEAN", "DATE", "DURATION", "LINK", "NUMBER", "PERCENTAGE", "TEXT"}, d.Type) {
			return errInvalid("data", d.Type+" is not a type of data")
		}
	}
	return nil
}

func (c *call) getReport() (any, error) {
	r, unlock, err := c.report()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return r.view(), nil
}

func (c *call) listReports() (any, error) {
	at, err := c.insightAt()
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return plain(c, c.s.index.reportsOn[insightKey{at.Repo, at.Commit, ""}], (*report).view)
}

func (c *call) deleteReport() (any, error) {
	r, unlock, err := c.ownReport(true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c.s.dropReports(func(x *report) bool { return x == r })
	return noContent, nil
}

// dropReports forgets reports; s.mu must be held.
func (s *Server) dropReports(match func(*report) bool) {
	s.st.Reports = slices.DeleteFunc(s.st.Reports, match)
	s.index.reports, s.index.reportsOn = map[insightKey]*report{}, map[insightKey][]*report{}
	for _, r := range s.st.Reports {
		s.indexReport(r)
	}
}

func (s *Server) indexReport(r *report) {
	on := insightKey{r.At.Repo, r.At.Commit, ""}
	s.index.reports[r.At] = r
	s.index.reportsOn[on] = append(s.index.reportsOn[on], r)
}

func (c *call) reportAnnotations() (any, error) {
	r, unlock, err := c.report()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return c.annotationViews(r), nil
}

// commitAnnotations shows the annotations of all reports on a commit.
func (c *call) commitAnnotations() (any, error) {
	at, err := c.insightAt()
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return c.annotationViews(c.s.index.reportsOn[at]...), nil
}

func (c *call) annotationViews(reports ...*report) any {
	q := c.r.URL.Query()
	asked := func(name, value string) bool { return len(q[name]) == 0 || slices.Contains(q[name], value) }
	views := []annotationView{}
	for _, r := range reports {
		for _, a := range r.Annotations {
			if asked("key", r.At.Key) && asked("path", a.Path) && asked("severity", a.Severity) && asked("type", a.Type) && asked("externalId", a.ExternalID) {
				views = append(views, annotationView{r.At.Key, a})
			}
		}
	}
	return map[string]any{"annotations": views}
}

// addAnnotations adds all or none, and does not ask whether they are there already.
func (c *call) addAnnotations() (any, error) {
	var body struct{ Annotations []annotation }
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	r, unlock, err := c.ownReport(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if len(body.Annotations) == 0 {
		return nil, errInvalid("annotations", "size must be between 1 and 2147483647")
	}
	for i := range body.Annotations {
		if err := body.Annotations[i].check(); err != nil {
			return nil, err
		}
	}
	if len(r.Annotations)+len(body.Annotations) > maxAnnotations {
		return nil, errInvalid("", "A report may not have more than "+strconv.Itoa(maxAnnotations)+" annotations")
	}
	r.Annotations = append(r.Annotations, body.Annotations...)
	return noContent, nil
}

func (a *annotation) check() error {
	switch {
	case a.Message == "":
		return errInvalid("message", "A message is required")
	case tooLong(a.Message, 2000):
		return errInvalid("message", "The message may not be longer than 2000 characters")
	case !slices.Contains([]string{"LOW", "MEDIUM", "HIGH"}, a.Severity):
		return errInvalid("severity", "The severity must be LOW, MEDIUM or HIGH")
	case !slices.Contains([]string{"", "VULNERABILITY", "CODE_SMELL", "BUG"}, a.Type):
		return errInvalid("type", "The type must be VULNERABILITY, CODE_SMELL or BUG")
	case a.Line < 0:
		return errInvalid("line", "The line must not be negative")
	case tooLong(a.ExternalID, 450):
		return errInvalid("externalId", "The external id may not be longer than 450 characters")
	case !optionalLink(a.Link):
		return errInvalid("link", "A valid URL is required")
	}
	return nil
}

// putAnnotation creates or replaces the annotation with an external id.
func (c *call) putAnnotation() (any, error) {
	var body annotation
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	r, unlock, err := c.ownReport(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	body.ExternalID = c.r.PathValue("external")
	if err := body.check(); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(r.Annotations, func(a annotation) bool { return a.ExternalID == body.ExternalID })
	switch {
	case i >= 0:
		r.Annotations[i] = body
	case len(r.Annotations) >= maxAnnotations:
		return nil, errInvalid("", "A report may not have more than "+strconv.Itoa(maxAnnotations)+" annotations")
	default:
		r.Annotations = append(r.Annotations, body)
	}
	return noContent, nil
}

// deleteAnnotations deletes those with the external ids, or all when none is given.
func (c *call) deleteAnnotations() (any, error) {
	r, unlock, err := c.ownReport(true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	ids := c.r.URL.Query()["externalId"]
	r.Annotations = slices.DeleteFunc(r.Annotations, func(a annotation) bool { return len(ids) == 0 || slices.Contains(ids, a.ExternalID) })
	return noContent, nil
}

// Report is a Code Insights report as the control methods show it.
type Report struct {
	Commit      string
	Key         string
	Title       string
	Result      string // PASS, FAIL or ""
	Creator     string // name
	Created     time.Time
	Annotations []Annotation
}

// Annotation is a remark of a report.
type Annotation struct {
	Path       string
	Line       int
	Message    string
	Severity   string
	ExternalID string
}

// Reports returns the Code Insights reports on a repository's commits, oldest first.
func (s *Server) Reports(repoID int) []Report {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Report
	for _, r := range s.st.Reports {
		if r.At.Repo != repoID {
			continue
		}
		v := Report{Commit: r.At.Commit, Key: r.At.Key, Title: r.Body.Title, Result: r.Body.Result, Created: time.UnixMilli(r.Created)}
		if u := s.index.userByID[r.CreatorID]; u != nil {
			v.Creator = u.Name
		}
		for _, a := range r.Annotations {
			v.Annotations = append(v.Annotations, Annotation{a.Path, a.Line, a.Message, a.Severity, a.ExternalID})
		}
		list = append(list, v)
	}
	return list
}
