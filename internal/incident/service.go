package incident

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/rule"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/verify"
)

// Options says what a Service works with. DB, Keys and Alerts are required.
type Options struct {
	DB     *store.DB
	Keys   *seal.Keys
	Alerts *alert.Service
	// Verify asks vendors whether found secrets are alive; nil means that no value may leave the server.
	Verify *verify.Verifier
	// Rule returns the detector with an id, or nil. Needed with Verify.
	Rule func(magpie.RuleID) *rule.Rule
	// OnChanged is told, in the transaction that does it, that an incident was closed or opened again, or got another
	// severity or assignee. It may be nil.
	OnChanged func(context.Context, *store.Tx, magpie.IncidentID) error
	Log       *slog.Logger
}

// Service keeps incidents. It is safe for concurrent use.
type Service struct {
	db     *store.DB
	keys   *seal.Keys
	alerts *alert.Service
	verify *verify.Verifier
	rule   func(magpie.RuleID) *rule.Rule
	told   func(context.Context, *store.Tx, magpie.IncidentID) error // of changes; never nil
	log    *slog.Logger
}

// New returns a Service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnChanged == nil {
		o.OnChanged = func(context.Context, *store.Tx, magpie.IncidentID) error { return nil }
	}
	return &Service{db: o.DB, keys: o.Keys, alerts: o.Alerts, verify: o.Verify, rule: o.Rule, told: o.OnChanged, log: o.Log}
}

// Get returns an incident.
func (s *Service) Get(ctx context.Context, id magpie.IncidentID) (magpie.Incident, error) {
	return store.Query(ctx, s.db, func(tx *store.Tx) (magpie.Incident, error) { return tx.Incident(ctx, id) })
}

// Timeline returns an incident's history, oldest first.
func (s *Service) Timeline(ctx context.Context, id magpie.IncidentID) ([]magpie.IncidentEvent, error) {
	return store.Query(ctx, s.db, func(tx *store.Tx) ([]magpie.IncidentEvent, error) { return tx.IncidentEvents(ctx, id) })
}

// IgnoreReasons lists the reasons for which an incident can be ignored.
func IgnoreReasons() []magpie.IgnoreReason {
	return []magpie.IgnoreReason{magpie.IgnoreTestCredential, magpie.IgnoreFalsePositive, magpie.IgnoreLowRisk, magpie.IgnoreInvalid}
}

// Assign gives an open incident to somebody, who is told unless it is the actor, or to nobody if to is empty. Giving it
// to who has it already changes nothing.
func (s *Service) Assign(ctx context.Context, actor magpie.User, id magpie.IncidentID, to magpie.UserID) error {
	return s.change(ctx, actor, id, func(tx *store.Tx, v magpie.Incident) (change, error) {
		if to == "" {
			c := change{action: unassign, event: "unassigned", apply: func(v *magpie.Incident) { v.AssigneeID = "" }}
			c.unchanged = v.Status == magpie.IncidentTriggered
			return c, nil
		}
		user, err := tx.Account(ctx, to)
		if magpie.KindOf(err) == magpie.KindNotFound || err == nil && user.Disabled {
			return change{}, &magpie.Error{Kind: magpie.KindInvalid, Field: "assignee", Message: "there is no such account, or it is disabled", Hint: "choose another one"}
		}
		if err != nil {
			return change{}, err
		}
		c := change{
			action: assign, event: "assigned", detail: user.Email, apply: func(v *magpie.Incident) { v.AssigneeID = to },
			unchanged: v.Status == magpie.IncidentAssigned && v.AssigneeID == to,
		}
		if to != actor.ID {
			c.tell = func(v magpie.Incident) error {
				return s.alerts.IncidentAssigned(ctx, tx, v.ID, user, store.NewID[string]())
			}
		}
		return c, nil
	})
}

// Resolve closes an open incident; revoked says whether the secret works no more.
func (s *Service) Resolve(ctx context.Context, actor magpie.User, id magpie.IncidentID, revoked bool) error {
	detail := "the secret was not revoked"
	if revoked {
		detail = "the secret was revoked"
	}
	return s.changeTo(ctx, actor, id, change{action: resolve, event: "resolved", detail: detail, apply: func(v *magpie.Incident) {
		v.SecretRevoked, v.Regressed = revoked, false
	}})
}

// Ignore closes an open incident that needs no action.
func (s *Service) Ignore(ctx context.Context, actor magpie.User, id magpie.IncidentID, reason magpie.IgnoreReason) error {
	if !slices.Contains(IgnoreReasons(), reason) {
		return &magpie.Error{Kind: magpie.KindInvalid, Field: "reason", Message: "this is not a reason to ignore an incident", Hint: "choose one of the list"}
	}
	return s.changeTo(ctx, actor, id, change{action: ignore, event: "ignored", detail: string(reason), apply: func(v *magpie.Incident) {
		v.IgnoreReason = reason
	}})
}

// Reopen opens a closed incident again. Who had it has it again.
func (s *Service) Reopen(ctx context.Context, actor magpie.User, id magpie.IncidentID) error {
	return s.changeTo(ctx, actor, id, change{action: reopen, event: "reopened", apply: func(v *magpie.Incident) {
		v.IgnoreReason, v.SecretRevoked = "", false
	}})
}

// SetSeverity lets a person overrule the detector, in every state.
func (s *Service) SetSeverity(ctx context.Context, actor magpie.User, id magpie.IncidentID, severity magpie.Severity) error {
	if !slices.Contains(magpie.Severities(), severity) {
		return &magpie.Error{Kind: magpie.KindInvalid, Field: "severity", Message: "this is not a severity", Hint: "choose one of the list"}
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		v, err := s.lock(ctx, tx, actor, id)
		if err != nil {
			return err
		}
		if err := tx.SetIncidentSeverity(ctx, id, severity); err != nil || v.Severity == severity {
			return err
		}
		if err := s.told(ctx, tx, id); err != nil {
			return err
		}
		return note(ctx, tx, actor, v, "severity", string(v.Severity)+" → "+string(severity))
	})
}

// Reveal returns the secret. That it was asked for, and by whom, is stored before.
func (s *Service) Reveal(ctx context.Context, actor magpie.User, id magpie.IncidentID) (magpie.Secret, error) {
	var sealed []byte
	var number int64
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		v, err := s.lock(ctx, tx, actor, id)
		if err != nil {
			return err
		}
		if sealed, err = tx.IncidentSecret(ctx, id); err != nil {
			return err
		}
		number = v.Number
		return note(ctx, tx, actor, v, "revealed", "")
	})
	if err != nil {
		return magpie.Secret{}, err
	}
	s.log.Info("a secret is revealed", "incident", number, "user", actor.ID)
	return s.keys.Open(seal.Evidence, secretPlace(id), sealed)
}

func secretPlace(id magpie.IncidentID) string { return seal.AAD("incident", "secret", string(id)) }

// change is one step in an incident's life.
type change struct {
	action    action
	event     string // for the history and, after "incident.", the audit record
	detail    string
	apply     func(*magpie.Incident)      // what changes besides the state
	tell      func(magpie.Incident) error // puts what somebody must hear into the outbox; may be nil
	unchanged bool                        // it is so already; nothing is to be done
}

func (s *Service) changeTo(ctx context.Context, actor magpie.User, id magpie.IncidentID, c change) error {
	return s.change(ctx, actor, id, func(*store.Tx, magpie.Incident) (change, error) { return c, nil })
}

// change takes one step, if the state allows it, with all that belongs to it.
func (s *Service) change(ctx context.Context, actor magpie.User, id magpie.IncidentID, decide func(*store.Tx, magpie.Incident) (change, error)) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		v, err := s.lock(ctx, tx, actor, id)
		if err != nil {
			return err
		}
		c, err := decide(tx, v)
		if err != nil || c.unchanged {
			return err
		}
		status, err := next(v, c.action)
		if err != nil {
			return err
		}
		v.Status = status
		v.ClosedAt = time.Time{}
		if !status.Open() {
			v.ClosedAt = time.Now()
		}
		c.apply(&v)
		if err := tx.UpdateIncident(ctx, v); err != nil {
			return err
		}
		if err := s.told(ctx, tx, id); err != nil {
			return err
		}
		if err := note(ctx, tx, actor, v, c.event, c.detail); err != nil || c.tell == nil {
			return err
		}
		return c.tell(v)
	})
}

// lock reads an incident that nobody else can change until the transaction ends, for a user who exists and may act.
func (s *Service) lock(ctx context.Context, tx *store.Tx, actor magpie.User, id magpie.IncidentID) (magpie.Incident, error) {
	current, err := tx.Account(ctx, actor.ID)
	if magpie.KindOf(err) == magpie.KindNotFound || err == nil && current.Disabled {
		return magpie.Incident{}, magpie.Errorf(magpie.KindForbidden, "your account does not exist or is disabled")
	}
	if err != nil {
		return magpie.Incident{}, err
	}
	return tx.LockIncident(ctx, id)
}

// note adds a line to the incident's history and one to the audit record.
func note(ctx context.Context, tx *store.Tx, actor magpie.User, v magpie.Incident, event, detail string) error {
	err := tx.AddIncidentEvent(ctx, v.ID, magpie.IncidentEvent{At: time.Now(), Actor: actor.ID, Action: event, Detail: detail})
	if err != nil {
		return err
	}
	return tx.Audit(ctx, actor, "incident."+event, auditSubject(v), detail)
}
