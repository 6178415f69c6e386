package ui

import (
	"time"

	"magpie"
	"magpie/internal/store"
)

// Pages builds the page structs from the store. Its methods only read.
type Pages struct {
	db   *store.DB
	opts Options
}

func newPages(opts Options) Pages { return Pages{db: opts.DB, opts: opts} }

func (p Pages) now() time.Time { return p.opts.Now() }

var openStatuses = []magpie.IncidentStatus{magpie.IncidentTriggered, magpie.IncidentAssigned}
