package api

import (
	"context"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/incident"
	"magpie/internal/store"
)

// incidents adds the operations about incidents. Revealing a value is not among them: that is for a person, in the
// web app.
func (s *server) incidents() {
	const tag = "incidents"
	add(s, operation{
		id: "list-incidents", method: "GET", path: "/incidents", need: access.ViewIncidents, tag: tag,
		summary: "List the incidents",
	}, s.listIncidents)
	add(s, operation{
		id: "get-incident", method: "GET", path: "/incidents/{id}", need: access.ViewIncidents, tag: tag,
		summary: "Get an incident",
	}, s.getIncident)
	add(s, operation{
		id: "list-occurrences", method: "GET", path: "/incidents/{id}/occurrences", need: access.ViewIncidents, tag: tag,
		summary: "List the places where an incident's secret is",
	}, s.listOccurrences)
	add(s, operation{
		id: "list-events", method: "GET", path: "/incidents/{id}/events", need: access.ViewIncidents, tag: tag,
		summary: "List what happened to an incident",
	}, s.listEvents)
	handle := func(id, verb, summary string) operation {
		return operation{id: id, method: "POST", path: "/incidents/{id}/" + verb, need: access.HandleIncidents, tag: tag, summary: summary}
	}
	add(s, handle("assign-incident", "assign", "Assign an incident, or take the assignment back"), s.assign)
	add(s, handle("resolve-incident", "resolve", "Resolve an incident"), s.resolve)
	add(s, handle("ignore-incident", "ignore", "Ignore an incident, with a reason"), s.ignore)
	add(s, handle("reopen-incident", "reopen", "Reopen a resolved or ignored incident"), s.reopen)
	add(s, handle("set-severity", "severity", "Set the severity of an incident"), s.setSeverity)
}

type incidentsInput struct {
	Paging
	Status     []magpie.IncidentStatus `query:"status" enum:"triggered,assigned,resolved,ignored" doc:"Any of these."`
	Severity   []magpie.Severity       `query:"severity" enum:"critical,high,medium,low,info" doc:"Any of these."`
	Rule       string                  `query:"rule" maxLength:"100"`
	Repository string                  `query:"repository" maxLength:"64" doc:"Id of a repository with an occurrence."`
	Assignee   string                  `query:"assignee" maxLength:"64" doc:"Id of a user, or - for nobody."`
	Text       string                  `query:"q" maxLength:"200" doc:"Part of title, vendor, author, file or repository, or # and a number."`
	Sort       store.IncidentSort      `query:"sort" enum:"oldest,severity,activity" doc:"Newest first if absent."`
}

func (s *server) listIncidents(ctx context.Context, _ magpie.User, in *incidentsInput) (page[incidentView], error) {
	filter := store.IncidentFilter{
		Statuses: in.Status, Severities: in.Severity, Rule: magpie.RuleID(in.Rule), Repo: magpie.RepoID(in.Repository),
		Assignee: magpie.UserID(in.Assignee), Text: in.Text,
	}
	found, err := store.Query(ctx, s.DB, func(tx *store.Tx) (store.IncidentPage, error) {
		return tx.Incidents(ctx, filter, in.Sort, in.Cursor, in.Limit)
	})
	return newPage(found.Incidents, found.Next, s.viewIncident), err
}

// IncidentPath names an incident; exported as IntegrationPath is.
type IncidentPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (p IncidentPath) id() magpie.IncidentID { return magpie.IncidentID(p.ID) }

func (s *server) getIncident(ctx context.Context, _ magpie.User, in *IncidentPath) (incidentView, error) {
	i, err := s.Incidents.Get(ctx, in.id())
	return s.viewIncident(i), err
}

type occurrencesInput struct {
	IncidentPath
	Paging
}

func (s *server) listOccurrences(ctx context.Context, _ magpie.User, in *occurrencesInput) (page[occurrenceView], error) {
	if _, err := s.Incidents.Get(ctx, in.id()); err != nil {
		return page[occurrenceView]{}, err
	}
	found, err := s.Incidents.Occurrences(ctx, in.id(), incident.Page{After: magpie.OccurrenceID(in.Cursor), Limit: in.Limit + 1})
	next := ""
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next = string(found[in.Limit-1].ID)
	}
	return newPage(found, next, viewOccurrence), err
}

func (s *server) listEvents(ctx context.Context, _ magpie.User, in *IncidentPath) (page[eventView], error) {
	if _, err := s.Incidents.Get(ctx, in.id()); err != nil {
		return page[eventView]{}, err
	}
	events, err := s.Incidents.Timeline(ctx, in.id())
	return newPage(events, "", viewEvent), err
}

// changed answers with the incident after a change.
func (s *server) changed(ctx context.Context, user magpie.User, in IncidentPath, err error) (incidentView, error) {
	if err != nil {
		return incidentView{}, err
	}
	return s.getIncident(ctx, user, &in)
}

type assignInput struct {
	IncidentPath
	Body struct {
		UserID magpie.UserID `json:"user_id" doc:"Empty takes the assignment back."`
	}
}

func (s *server) assign(ctx context.Context, user magpie.User, in *assignInput) (incidentView, error) {
	return s.changed(ctx, user, in.IncidentPath, s.Incidents.Assign(ctx, user, in.id(), in.Body.UserID))
}

type resolveInput struct {
	IncidentPath
	Body struct {
		SecretRevoked bool `json:"secret_revoked" doc:"Whether the secret no longer works."`
	}
}

func (s *server) resolve(ctx context.Context, user magpie.User, in *resolveInput) (incidentView, error) {
	return s.changed(ctx, user, in.IncidentPath, s.Incidents.Resolve(ctx, user, in.id(), in.Body.SecretRevoked))
}

type ignoreInput struct {
	IncidentPath
	Body struct {
		Reason magpie.IgnoreReason `json:"reason" enum:"test_credential,false_positive,low_risk,invalid"`
	}
}

func (s *server) ignore(ctx context.Context, user magpie.User, in *ignoreInput) (incidentView, error) {
	return s.changed(ctx, user, in.IncidentPath, s.Incidents.Ignore(ctx, user, in.id(), in.Body.Reason))
}

func (s *server) reopen(ctx context.Context, user magpie.User, in *IncidentPath) (incidentView, error) {
	return s.changed(ctx, user, *in, s.Incidents.Reopen(ctx, user, in.id()))
}

type severityInput struct {
	IncidentPath
	Body struct {
		Severity magpie.Severity `json:"severity" enum:"critical,high,medium,low,info"`
	}
}

func (s *server) setSeverity(ctx context.Context, user magpie.User, in *severityInput) (incidentView, error) {
	return s.changed(ctx, user, in.IncidentPath, s.Incidents.SetSeverity(ctx, user, in.id(), in.Body.Severity))
}
