package ui

import (
	"sync"
	"time"

	"magpie"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

// Pages builds the page structs from the store. Its methods only read.
type Pages struct {
	db     *store.DB
	opts   Options
	open   *memory[int64]            // open incidents of a large integration
	tuning *memory[perimeter.Tuning] // of an integration
}

func newPages(opts Options) Pages {
	return Pages{db: opts.DB, opts: opts, open: &memory[int64]{keep: 15 * time.Second}, tuning: &memory[perimeter.Tuning]{keep: 30 * time.Second}}
}

// memory remembers a figure of each integration for a while: one that visits very many rows, on a page that asks for itself
// every few seconds.
type memory[V any] struct {
	keep time.Duration

	mu    sync.Mutex
	known map[magpie.IntegrationID]remembered[V]
}

type remembered[V any] struct {
	value V
	at    time.Time
}

// of returns an integration's figure, which read makes anew if what is remembered is too old.
func (m *memory[V]) of(id magpie.IntegrationID, now time.Time, read func() (V, error)) (V, error) {
	m.mu.Lock()
	last, ok := m.known[id]
	m.mu.Unlock()
	if age := now.Sub(last.at); ok && age >= 0 && age < m.keep {
		return last.value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[magpie.IntegrationID]remembered[V]{}
	}
	m.known[id] = remembered[V]{value, now}
	return value, nil
}

func (p Pages) now() time.Time { return p.opts.Now() }

var openStatuses = []magpie.IncidentStatus{magpie.IncidentTriggered, magpie.IncidentAssigned}
