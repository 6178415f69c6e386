package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"magpie"
)

// Delivery is one signed event about a repository that was accepted.
type Delivery struct {
	ID         magpie.DeliveryID
	RepoID     magpie.RepoID
	Push       magpie.Push // without RemoteRepoID
	ReceivedAt time.Time
	ScannedAt  time.Time // zero until a scan has dealt with it
}

// storedChange is a magpie.RefChange as it lies in the changes column.
type storedChange struct {
	Ref  string      `json:"ref"`
	From magpie.Hash `json:"from,omitempty"`
	To   magpie.Hash `json:"to,omitempty"`
}

// AddDelivery stores a signed event. It reports false and changes nothing if one with the same request id is there.
func (tx *Tx) AddDelivery(ctx context.Context, d Delivery) (bool, error) {
	changes := make([]storedChange, 0, len(d.Push.Changes))
	for _, c := range d.Push.Changes {
		changes = append(changes, storedChange{Ref: c.Ref, From: c.From, To: c.To})
	}
	text, err := json.Marshal(changes)
	if err != nil {
		return false, fmt.Errorf("encoding the changes of delivery %s: %w", d.Push.RequestID, err)
	}
	n, err := tx.exec(ctx, `INSERT INTO delivery (id, repo_id, request_id, event_key, actor, changes, received_at, scanned_at, sent_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) ON CONFLICT (repo_id, request_id) DO NOTHING`,
		d.ID, d.RepoID, d.Push.RequestID, d.Push.EventKey, d.Push.Actor, string(text), micros(d.ReceivedAt), micros(d.Push.SentAt))
	return n == 1, err
}

// WaitingDeliveries returns the events about a repository that no scan has dealt with, oldest first.
func (tx *Tx) WaitingDeliveries(ctx context.Context, repo magpie.RepoID, limit int) ([]Delivery, error) {
	return collect(ctx, tx, func(s scanner) (d Delivery, err error) {
		var text string
		err = s.Scan(&d.ID, &d.RepoID, &d.Push.RequestID, &d.Push.EventKey, &d.Push.Actor, &text, timeColumn{&d.ReceivedAt})
		if err != nil {
			return d, err
		}
		var changes []storedChange
		if err := json.Unmarshal([]byte(text), &changes); err != nil {
			return d, fmt.Errorf("decoding the changes of delivery %s: %w", d.ID, err)
		}
		for _, c := range changes {
			d.Push.Changes = append(d.Push.Changes, magpie.RefChange{Ref: c.Ref, From: c.From, To: c.To})
		}
		return d, nil
	}, `SELECT id, repo_id, request_id, event_key, actor, changes, received_at FROM delivery
		WHERE repo_id = $1 AND scanned_at = 0 ORDER BY id LIMIT $2`, repo, limit)
}

// DeliveriesWait reports whether there is an event about the repository that no scan has dealt with.
func (tx *Tx) DeliveriesWait(ctx context.Context, repo magpie.RepoID) (bool, error) {
	n, err := collect(ctx, tx, scanOne[int64], `SELECT 1 FROM delivery WHERE repo_id = $1 AND scanned_at = 0 LIMIT 1`, repo)
	return len(n) == 1, err
}

// SetDeliveryScanned records that a scan has dealt with an event.
func (tx *Tx) SetDeliveryScanned(ctx context.Context, id magpie.DeliveryID, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE delivery SET scanned_at = $1 WHERE id = $2 AND scanned_at = 0`, micros(at), id)
	return err
}

// PruneDeliveries forgets events that were dealt with before a time: afterwards a replay of them is only asked for
// again, which finds nothing new.
func (tx *Tx) PruneDeliveries(ctx context.Context, before time.Time) (int64, error) {
	return tx.exec(ctx, `DELETE FROM delivery WHERE scanned_at > 0 AND scanned_at < $1`, micros(before))
}
