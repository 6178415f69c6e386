package alert

import (
	"context"
	"fmt"
	"time"

	"magpie"
	"magpie/internal/notify"
	"magpie/internal/store"
)

// notifyIncidents puts what the webhook or chat must hear into the outbox: each incident, or many as one message if the
// receiver wants them so.
func (s *Service) notifyIncidents(ctx context.Context, tx *store.Tx, ids []magpie.IncidentID, keys []string, why Why) error {
	if s.notify == nil {
		return nil
	}
	if s.notify.Groups() && len(ids) > digestAbove {
		digest := digestName(keys)
		for _, id := range ids {
			if err := tx.AddToDigest(ctx, digest, id); err != nil {
				return err
			}
		}
		return s.addNotice(ctx, tx, kindDigest, digest, "digest|"+digest)
	}
	for i, id := range ids {
		if err := s.addNotice(ctx, tx, "incident."+string(why), string(id), keys[i]); err != nil {
			return err
		}
	}
	return nil
}

// addNotice puts one message for the webhook or chat into the outbox, unless it is there already.
func (s *Service) addNotice(ctx context.Context, tx *store.Tx, kind, subject, key string) error {
	a := store.Alert{
		ID: store.NewID[magpie.AlertID](), DedupeKey: key + "|notify", Channel: store.AlertByNotify, Kind: kind, Subject: subject,
		Recipient: s.notify.Name(), State: store.AlertWaiting, CreatedAt: time.Now(),
	}
	added, err := tx.AddAlert(ctx, a)
	if err != nil || !added {
		return err
	}
	return s.enqueue(ctx, tx, a, magpie.JobOptions{})
}

// sendNotice returns what sends a message to the webhook or chat.
func (s *Service) sendNotice() func(context.Context, store.Alert) error {
	if s.notify == nil {
		return nil
	}
	return func(ctx context.Context, a store.Alert) error {
		e, err := store.Query(ctx, s.db, func(tx *store.Tx) (notify.Event, error) { return s.event(ctx, tx, a) })
		if err != nil {
			return err
		}
		return s.notify.Send(ctx, e)
	}
}

// event is a message as a program or chat gets it, from what the database says now.
func (s *Service) event(ctx context.Context, tx *store.Tx, a store.Alert) (notify.Event, error) {
	e := notify.Event{ID: string(a.ID), Type: notify.Type(a.Kind), Time: a.CreatedAt}
	if a.Kind == kindDigest {
		n, worst, err := tx.DigestIncidents(ctx, a.Subject, 1)
		if err != nil || len(worst) == 0 {
			return e, fmt.Errorf("reading digest %s: %w", a.Subject, err)
		}
		e.Digest = &notify.Group{Count: n, Worst: worst[0].Severity, URL: s.publicURL + "/incidents"}
		return e, nil
	}
	if aboutIntegration(a.Kind) {
		return s.integrationEvent(ctx, tx, e, magpie.IntegrationID(a.Subject))
	}
	v, err := tx.Incident(ctx, magpie.IncidentID(a.Subject))
	if err != nil {
		return e, err
	}
	find := tx.EarliestOccurrence
	if a.Kind == kindReopened {
		find = tx.LatestOccurrence
	}
	o, err := find(ctx, v.ID)
	if err != nil {
		return e, err
	}
	e.Incident = &notify.Incident{
		ID: v.ID, Number: v.Number, Title: v.Title, Detector: v.Rule, Provider: v.Provider, Severity: v.Severity, Masked: v.Masked,
		Repository: repoName(v, o), File: o.File, Line: o.LineStart, Commit: o.Commit, Author: author(o), URL: s.IncidentURL(v.Number),
	}
	return e, nil
}
