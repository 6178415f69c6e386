package store

import (
	"context"
	"time"

	"magpie"
)

// Delay is when an event was sent, in whole seconds of Bitbucket's clock, and when it came, by ours.
type Delay struct{ Sent, Received time.Time }

// DeliveryDelays returns at most limit events of an integration that came since a time and told when they were sent, the
// newest first.
func (tx *Tx) DeliveryDelays(ctx context.Context, id magpie.IntegrationID, since time.Time, limit int) ([]Delay, error) {
	return collect(ctx, tx, func(s scanner) (d Delay, err error) {
		err = s.Scan(timeColumn{&d.Sent}, timeColumn{&d.Received})
		return d, err
	}, `SELECT d.sent_at, d.received_at FROM delivery d JOIN repo r ON r.id = d.repo_id
		WHERE r.integration_id = $1 AND d.received_at >= $2 AND d.sent_at > 0 ORDER BY d.id DESC LIMIT $3`, id, micros(since), limit)
}

// ReposPushedLast returns monitored repositories of an integration with an installed webhook, the last pushed to first.
func (tx *Tx) ReposPushedLast(ctx context.Context, id magpie.IntegrationID, limit int) ([]magpie.Repo, error) {
	return collect(ctx, tx, scanRepo, `SELECT `+repoColumns+` FROM repo r JOIN project p ON p.id = r.project_id
		WHERE r.integration_id = $1 AND r.monitored AND r.hook_state = 'installed' AND r.state = 'available'
		ORDER BY r.last_push_at DESC, r.id LIMIT $2`, id, limit)
}
