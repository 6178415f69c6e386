package ui

import (
	"context"
	"sync"
	"time"

	"magpie"
	"magpie/internal/store"
)

// Pages builds the page structs from the store. Its methods only read.
type Pages struct {
	db   *store.DB
	opts Options
	open *openCounts
}

func newPages(opts Options) Pages { return Pages{db: opts.DB, opts: opts, open: &openCounts{}} }

// openCountsAge is for how long a count of a large instance's open incidents is shown before it is made anew.
const openCountsAge = 15 * time.Second

// openCounts remembers how many open incidents an integration has. Counting them visits each, which is the dearest part of
// the perimeter of a large instance, and the page asks every few seconds. The zero value remembers nothing.
type openCounts struct {
	mu    sync.Mutex
	known map[magpie.IntegrationID]openCount
}

type openCount struct {
	open int64
	at   time.Time
}

// of returns the count of an integration, at most openCountsAge old if it is a large one.
func (c *openCounts) of(ctx context.Context, tx *store.Tx, id magpie.IntegrationID, large bool, now time.Time) (int64, error) {
	c.mu.Lock()
	last, ok := c.known[id]
	c.mu.Unlock()
	if age := now.Sub(last.at); large && ok && age >= 0 && age < openCountsAge {
		return last.open, nil
	}
	open, err := tx.OpenIncidentsOf(ctx, id)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[magpie.IntegrationID]openCount{}
	}
	c.known[id] = openCount{open, now}
	return open, nil
}

func (p Pages) now() time.Time { return p.opts.Now() }

var openStatuses = []magpie.IncidentStatus{magpie.IncidentTriggered, magpie.IncidentAssigned}
