package store

import (
	"context"
	"strconv"
	"strings"

	"magpie"
)

// IncidentSort is an order of incidents; ties are broken by the newest number.
type IncidentSort string

// The orders. The zero value is IncidentNewest.
const (
	IncidentNewest   IncidentSort = ""
	IncidentOldest   IncidentSort = "oldest"
	IncidentWorst    IncidentSort = "severity"
	IncidentActivity IncidentSort = "activity" // the one whose newest occurrence is newest
)

// Unassigned as an IncidentFilter's assignee asks for incidents of nobody.
const Unassigned magpie.UserID = "-"

// IncidentFilter chooses incidents. The zero value chooses all; each field that is set narrows the choice.
type IncidentFilter struct {
	Statuses   []magpie.IncidentStatus // any of them
	Severities []magpie.Severity       // any of them
	Rule       magpie.RuleID
	Repo       magpie.RepoID // with an occurrence in this repository
	Assignee   magpie.UserID // or Unassigned
	Text       string        // part of title, vendor, author, or of a file or "KEY/slug" of any occurrence; or "#" and a number
}

// IncidentPage is a part of a list of incidents.
type IncidentPage struct {
	Incidents []magpie.Incident
	Next      string // the cursor of the next page; empty if this is the last
}

// Each condition holds when its parameter is empty, so one constant text serves every combination of filters. Lists
// come as one text with commas at both ends, since the databases share no array type. The subqueries of the text don't
// depend on the incident, so each is answered once, and not at all without a text.
const incidentListWhere = `
	($1 = '' OR $1 LIKE '%,' || i.status || ',%') AND
	($2 = '' OR $2 LIKE '%,' || i.severity || ',%') AND
	($3 = '' OR i.rule = $3) AND
	($4 = '' OR EXISTS (SELECT 1 FROM occurrence o WHERE o.incident_id = i.id AND o.repo_id = $4)) AND
	($5 = '' OR i.assignee_id = $5 OR ($5 = '-' AND i.assignee_id = '')) AND
	($6 = '' OR lower(i.title) LIKE $6 ESCAPE '\' OR lower(i.provider) LIKE $6 ESCAPE '\' OR lower(i.first_author) LIKE $6 ESCAPE '\'
		OR lower(i.first_repo) LIKE $6 ESCAPE '\' OR lower(i.first_file) LIKE $6 ESCAPE '\' OR lower(i.first_email) LIKE $6 ESCAPE '\'
		OR i.id IN (SELECT o.incident_id FROM occurrence o WHERE lower(o.file) LIKE $6 ESCAPE '\' OR o.repo_id IN (
			SELECT r.id FROM repo r JOIN project p ON p.id = r.project_id WHERE lower(p.key || '/' || r.slug) LIKE $6 ESCAPE '\'))) AND
	(CAST($7 AS BIGINT) = 0 OR i.number = CAST($7 AS BIGINT))`

func (f IncidentFilter) args() []any {
	text, number := likePattern(f.Text), int64(0)
	if digits, ok := strings.CutPrefix(strings.TrimSpace(f.Text), "#"); ok {
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			text, number = "", n
		}
	}
	return []any{listText(f.Statuses), listText(f.Severities), f.Rule, f.Repo, f.Assignee, text, number}
}

// Incidents returns at most limit incidents that the filter chooses, in the given order, after the cursor, which is ""
// or a former page's Next. Incidents that change while somebody pages may be met twice or missed in IncidentActivity.
func (tx *Tx) Incidents(ctx context.Context, f IncidentFilter, sort IncidentSort, cursor string, limit int) (IncidentPage, error) {
	key, number, err := parseCursor(cursor)
	if err != nil {
		return IncidentPage{}, err
	}
	// After the filter's parameters: is there a cursor, its sort key and number, and one row more than wanted, which
	// tells whether there is a next page.
	args := append(f.args(), cursor == "", key, number, limit+1)
	var all []magpie.Incident
	switch sort {
	case IncidentNewest:
		all, err = collect(ctx, tx, readIncident, `SELECT `+incidentColumns+` FROM incident i WHERE `+incidentListWhere+
			` AND ($8 OR i.number < $10 OR CAST($9 AS BIGINT) < 0) ORDER BY i.number DESC LIMIT $11`, args...)
	case IncidentOldest:
		all, err = collect(ctx, tx, readIncident, `SELECT `+incidentColumns+` FROM incident i WHERE `+incidentListWhere+
			` AND ($8 OR i.number > $10 OR CAST($9 AS BIGINT) < 0) ORDER BY i.number LIMIT $11`, args...)
	case IncidentWorst:
		all, err = collect(ctx, tx, readIncident, `SELECT `+incidentColumns+` FROM incident i WHERE `+incidentListWhere+
			` AND ($8 OR i.severity_rank > $9 OR (i.severity_rank = $9 AND i.number < $10))
			ORDER BY i.severity_rank, i.number DESC LIMIT $11`, args...)
	case IncidentActivity:
		all, err = collect(ctx, tx, readIncident, `SELECT `+incidentColumns+` FROM incident i WHERE `+incidentListWhere+
			` AND ($8 OR i.last_seen_at < $9 OR (i.last_seen_at = $9 AND i.number < $10))
			ORDER BY i.last_seen_at DESC, i.number DESC LIMIT $11`, args...)
	default:
		return IncidentPage{}, &magpie.Error{Kind: magpie.KindInvalid, Field: "sort", Message: "incidents can't be sorted that way"}
	}
	if err != nil || len(all) <= limit {
		return IncidentPage{Incidents: all}, err
	}
	all = all[:limit]
	return IncidentPage{Incidents: all, Next: incidentCursor(sort, all[limit-1])}, nil
}

// CountIncidents returns how many incidents the filter chooses.
func (tx *Tx) CountIncidents(ctx context.Context, f IncidentFilter) (n int64, err error) {
	err = tx.row(ctx, `SELECT count(*) FROM incident i WHERE `+incidentListWhere, f.args()...).Scan(&n)
	return n, err
}

// StatusCount is how many incidents have a status.
type StatusCount struct {
	Status magpie.IncidentStatus
	Count  int64
}

// CountIncidentsByStatus returns how many incidents of each status that occurs the filter chooses.
func (tx *Tx) CountIncidentsByStatus(ctx context.Context, f IncidentFilter) ([]StatusCount, error) {
	return collect(ctx, tx, func(s scanner) (c StatusCount, err error) {
		err = s.Scan(&c.Status, &c.Count)
		return c, err
	}, `SELECT i.status, count(*) FROM incident i WHERE `+incidentListWhere+` GROUP BY i.status ORDER BY i.status`, f.args()...)
}

// IncidentByNumber returns the incident that people know by a number.
func (tx *Tx) IncidentByNumber(ctx context.Context, number int64) (magpie.Incident, error) {
	return readIncident(tx.row(ctx, `SELECT `+incidentColumns+` FROM incident WHERE number = $1`, number))
}

// Choice is one value that a filter may take, for people, and how many incidents have it.
type Choice struct {
	Value string
	Label string
	Count int64
}

func readChoice(s scanner) (c Choice, err error) {
	err = s.Scan(&c.Value, &c.Label, &c.Count)
	return c, err
}

// IncidentRules returns the detectors that opened incidents, the busiest first.
func (tx *Tx) IncidentRules(ctx context.Context) ([]Choice, error) {
	return collect(ctx, tx, readChoice, `SELECT rule, max(title), count(*) FROM incident GROUP BY rule ORDER BY 3 DESC, 1 LIMIT 500`)
}

// IncidentRepos returns the repositories in which incidents were found first, the busiest first.
func (tx *Tx) IncidentRepos(ctx context.Context) ([]Choice, error) {
	return collect(ctx, tx, readChoice, `SELECT first_repo_id, max(first_repo), count(*) FROM incident
		GROUP BY first_repo_id ORDER BY 3 DESC, 2 LIMIT 500`)
}

func incidentCursor(sort IncidentSort, i magpie.Incident) string {
	key := int64(0)
	switch sort {
	case IncidentWorst:
		key = int64(severityRank(i.Severity))
	case IncidentActivity:
		key = micros(i.LastSeenAt)
	}
	return strconv.FormatInt(key, 10) + "." + strconv.FormatInt(i.Number, 10)
}

func severityRank(severity magpie.Severity) int {
	for rank, s := range magpie.Severities() {
		if s == severity {
			return rank
		}
	}
	return len(magpie.Severities())
}

// parseCursor reads the two numbers of a cursor; the empty one is 0, 0.
func parseCursor(cursor string) (key, number int64, err error) {
	if cursor == "" {
		return 0, 0, nil
	}
	first, second, _ := strings.Cut(cursor, ".")
	key, err1 := strconv.ParseInt(first, 10, 64)
	number, err2 := strconv.ParseInt(second, 10, 64)
	if err1 != nil || err2 != nil || key < 0 || number < 0 {
		return 0, 0, errCursor()
	}
	return key, number, nil
}

func errCursor() error {
	return &magpie.Error{
		Kind: magpie.KindInvalid, Field: "cursor", Message: "this is not a page of the list",
		Hint: "start again from the first page",
	}
}

// listText joins a list so that a value with commas around it can be looked for; an empty list is "".
func listText[T ~string](list []T) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteByte(',')
	for _, v := range list {
		b.WriteString(string(v))
		b.WriteByte(',')
	}
	return b.String()
}

// likePattern returns the pattern of a case-insensitive "contains" over lower(column); empty text is "".
func likePattern(text string) string {
	if text = foldText(text); text == "" {
		return ""
	}
	return "%" + likeEscape(text) + "%"
}

func foldText(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

func likeEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}
