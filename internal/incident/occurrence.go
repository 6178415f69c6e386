package incident

import (
	"context"
	"encoding/json"
	"fmt"

	"magpie"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Page selects a part of a list.
type Page struct {
	After magpie.OccurrenceID // the last one of the page before; empty for the first page
	Limit int                 // 1 to 200; 0 means 50
}

const (
	defaultPage = 50
	maxPage     = 200
)

// Occurrence is one place of a secret with the lines around it.
type Occurrence struct {
	magpie.Occurrence
	Repo      string // "KEY/slug"; empty if the repository is no longer known
	BrowseURL string // the repository's page at Bitbucket; empty if unknown
	Excerpt   magpie.Excerpt
}

// Occurrences returns a page of an incident's occurrences in the order in which they were found.
func (s *Service) Occurrences(ctx context.Context, id magpie.IncidentID, page Page) ([]Occurrence, error) {
	if page.Limit <= 0 {
		page.Limit = defaultPage
	}
	rows, err := store.Query(ctx, s.db, func(tx *store.Tx) ([]store.Occurrence, error) {
		return tx.Occurrences(ctx, id, page.After, min(page.Limit, maxPage))
	})
	if err != nil {
		return nil, err
	}
	list := make([]Occurrence, 0, len(rows))
	for _, row := range rows {
		excerpt, err := s.openExcerpt(row)
		if err != nil {
			return nil, err
		}
		list = append(list, Occurrence{Occurrence: row.Occurrence, Repo: row.Repo, BrowseURL: row.BrowseURL, Excerpt: excerpt})
	}
	return list, nil
}

func excerptPlace(id magpie.OccurrenceID) string {
	return seal.AAD("occurrence", "excerpt", string(id))
}

func (s *Service) sealExcerpt(id magpie.OccurrenceID, excerpt magpie.Excerpt) ([]byte, error) {
	text, err := json.Marshal(excerpt)
	if err != nil {
		return nil, fmt.Errorf("encoding the lines of occurrence %s: %w", id, err)
	}
	return s.keys.Seal(seal.Evidence, excerptPlace(id), magpie.NewSecret(text))
}

func (s *Service) openExcerpt(row store.Occurrence) (excerpt magpie.Excerpt, err error) {
	text, err := s.keys.Open(seal.Evidence, excerptPlace(row.ID), row.ExcerptSealed)
	if err != nil {
		return excerpt, err
	}
	if err := json.Unmarshal(text.Reveal(), &excerpt); err != nil {
		return excerpt, fmt.Errorf("decoding the lines of occurrence %s: %w", row.ID, err)
	}
	return excerpt, nil
}
