package ui

import (
	"net/http"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/store"
)

func mayHandle(u magpie.User) bool { return access.Allows(u.Role, access.HandleIncidents) }
func mayReveal(u magpie.User) bool { return access.Allows(u.Role, access.RevealSecrets) }
func mayManage(u magpie.User) bool { return access.Allows(u.Role, access.ManageIntegrations) }
func mayScan(u magpie.User) bool   { return access.Allows(u.Role, access.StartScans) }

// onIncident reads the form and the incident that its address names.
func (s *server) onIncident(w http.ResponseWriter, r *http.Request) (magpie.Incident, error) {
	if err := readForm(w, r); err != nil {
		return magpie.Incident{}, err
	}
	number, err := incidentNumber(r)
	if err != nil {
		return magpie.Incident{}, err
	}
	return store.Query(r.Context(), s.opts.DB, func(tx *store.Tx) (magpie.Incident, error) {
		return tx.IncidentByNumber(r.Context(), number)
	})
}

func (s *server) assignIncident(w http.ResponseWriter, r *http.Request) error {
	i, err := s.onIncident(w, r)
	if err != nil {
		return err
	}
	to, note := magpie.UserID(r.PostForm.Get("assignee")), "assigned"
	if to == "me" {
		to = userOf(r).ID
	}
	if to == "" {
		note = "unassigned"
	}
	if err := s.opts.Incidents.Assign(r.Context(), userOf(r), i.ID, to); err != nil {
		return err
	}
	return s.done(w, r, incidentURL(i.Number), note)
}

func (s *server) resolveIncident(w http.ResponseWriter, r *http.Request) error {
	i, err := s.onIncident(w, r)
	if err != nil {
		return err
	}
	revoked := r.PostForm.Get("revoked")
	if revoked != "yes" && revoked != "no" {
		return &magpie.Error{Kind: magpie.KindInvalid, Field: "revoked", Message: "say whether the secret was revoked", Hint: "go back and choose one"}
	}
	if err := s.opts.Incidents.Resolve(r.Context(), userOf(r), i.ID, revoked == "yes"); err != nil {
		return err
	}
	return s.done(w, r, incidentURL(i.Number), "resolved")
}

func (s *server) ignoreIncident(w http.ResponseWriter, r *http.Request) error {
	i, err := s.onIncident(w, r)
	if err != nil {
		return err
	}
	if err := s.opts.Incidents.Ignore(r.Context(), userOf(r), i.ID, magpie.IgnoreReason(r.PostForm.Get("reason"))); err != nil {
		return err
	}
	return s.done(w, r, incidentURL(i.Number), "ignored")
}

func (s *server) reopenIncident(w http.ResponseWriter, r *http.Request) error {
	i, err := s.onIncident(w, r)
	if err != nil {
		return err
	}
	if err := s.opts.Incidents.Reopen(r.Context(), userOf(r), i.ID); err != nil {
		return err
	}
	return s.done(w, r, incidentURL(i.Number), "reopened")
}

func (s *server) setSeverity(w http.ResponseWriter, r *http.Request) error {
	i, err := s.onIncident(w, r)
	if err != nil {
		return err
	}
	if err := s.opts.Incidents.SetSeverity(r.Context(), userOf(r), i.ID, magpie.Severity(r.PostForm.Get("severity"))); err != nil {
		return err
	}
	return s.done(w, r, incidentURL(i.Number), "severity")
}

// checkSecret waits for the vendor's answer, which then stands in the timeline.
func (s *server) checkSecret(w http.ResponseWriter, r *http.Request) error {
	i, err := s.onIncident(w, r)
	if err != nil {
		return err
	}
	if _, err := s.opts.Incidents.CheckNow(r.Context(), userOf(r), i.ID); err != nil {
		return err
	}
	return s.done(w, r, incidentURL(i.Number), "checked")
}

// revealSecret answers with the page itself and the value in it: it is never in an address, and a later visit does not
// show it. That it was shown is stored before it leaves the incident stage.
func (s *server) revealSecret(w http.ResponseWriter, r *http.Request) error {
	i, err := s.onIncident(w, r)
	if err != nil {
		return err
	}
	secret, err := s.opts.Incidents.Reveal(r.Context(), userOf(r), i.ID)
	if err != nil {
		return err
	}
	page, err := s.pages.incident(r.Context(), userOf(r), i.Number, "")
	if err != nil {
		return err
	}
	page.Revealed = string(secret.Reveal())
	f := s.frame(r, page.Title, sectionIncidents)
	f.Next = string(incidentURL(i.Number))
	return s.render(w, r, http.StatusOK, incidentView(f, page))
}
