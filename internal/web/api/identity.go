package api

import (
	"context"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/store"
)

// identity adds the operations about users and what they did.
func (s *server) identity() {
	add(s, operation{id: "get-me", method: "GET", path: "/me", need: SignedIn, tag: "users", summary: "Get the owner of the token"},
		func(_ context.Context, user magpie.User, _ *struct{}) (userView, error) { return viewUser(user), nil })
	add(s, operation{id: "list-users", method: "GET", path: "/users", need: access.HandleIncidents, tag: "users", summary: "List the users"},
		s.listUsers)
	add(s, operation{id: "list-audit", method: "GET", path: "/audit", need: access.ViewAudit, tag: "users", summary: "List who did what, newest first"},
		s.listAudit)
}

func (s *server) listUsers(ctx context.Context, _ magpie.User, _ *struct{}) (page[userView], error) {
	users, err := s.Access.Users(ctx)
	return newPage(users, "", viewUser), err
}

func (s *server) listAudit(ctx context.Context, _ magpie.User, in *Paging) (page[auditView], error) {
	entries, err := store.Query(ctx, s.DB, func(tx *store.Tx) ([]store.AuditEntry, error) {
		return tx.AuditEntries(ctx, magpie.AuditID(in.Cursor), in.Limit+1)
	})
	next := ""
	if len(entries) > in.Limit {
		entries = entries[:in.Limit]
		next = string(entries[in.Limit-1].ID)
	}
	return newPage(entries, next, viewAudit), err
}
