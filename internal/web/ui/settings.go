package ui

import (
	"context"
	"net/http"
	"net/url"

	"magpie"
	"magpie/internal/store"
)

const auditPerPage = 100

func (s *server) serveWorkspace(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.workspace(r.Context())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, workspaceView(s.frame(r, "Settings", sectionSettings), page))
}

func (p Pages) workspace(ctx context.Context) (workspacePage, error) {
	page := workspacePage{Version: p.opts.Version, PublicURL: p.opts.PublicURL, Mail: p.opts.Mail, Database: "PostgreSQL"}
	if p.db.Embedded() {
		page.Database = "SQLite, built in"
	}
	err := p.db.Read(ctx, func(tx *store.Tx) (err error) {
		if page.Waiting, page.Failed, err = tx.WaitingAlerts(ctx); err != nil {
			return err
		}
		integrations, err := tx.Integrations(ctx)
		if err != nil {
			return err
		}
		accounts, err := tx.Accounts(ctx)
		page.Integrations, page.Members = len(integrations), len(accounts)
		return err
	})
	return page, err
}

func (s *server) serveIntegrations(w http.ResponseWriter, r *http.Request) error {
	all, err := store.Query(r.Context(), s.opts.DB, func(tx *store.Tx) ([]magpie.Integration, error) { return tx.Integrations(r.Context()) })
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, integrationsView(s.frame(r, "Integrations", sectionSettings), len(all)))
}

func (s *server) serveAudit(w http.ResponseWriter, r *http.Request) error {
	page, err := s.pages.audit(r.Context(), magpie.AuditID(r.URL.Query().Get("cursor")))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, auditView(s.frame(r, "Audit log", sectionSettings), page))
}

func (p Pages) audit(ctx context.Context, before magpie.AuditID) (page auditPage, err error) {
	entries, err := store.Query(ctx, p.db, func(tx *store.Tx) ([]store.AuditEntry, error) {
		return tx.AuditEntries(ctx, before, auditPerPage+1)
	})
	if err != nil {
		return page, err
	}
	if before != "" {
		page.First = pathURL("/settings/audit")
	}
	if len(entries) > auditPerPage {
		entries = entries[:auditPerPage]
		page.Next = queryURL("/settings/audit", url.Values{"cursor": {string(entries[auditPerPage-1].ID)}})
	}
	now := p.now()
	for _, e := range entries {
		row := auditRow{At: at(e.At, now), Actor: e.Actor, Action: e.Action, Subject: e.Subject, Detail: e.Detail}
		if row.Actor == "" {
			row.Actor = "Magpie"
		}
		page.Rows = append(page.Rows, row)
	}
	return page, nil
}
