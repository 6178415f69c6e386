package ui

import (
	"context"
	"fmt"
	"time"

	"magpie"
	"magpie/internal/perimeter"
)

// tuningRow is how fast the webhooks of one integration come.
type tuningRow struct {
	perimeter.Tuning
	URL   string
	Since timestamp
}

// tunings measures the webhooks of all integrations that are there to stay.
func (p Pages) tunings(ctx context.Context, cards []integrationCard, now time.Time) (rows []tuningRow, err error) {
	for _, card := range cards {
		if card.Removing {
			continue
		}
		t, err := p.tuning.of(card.ID, now, func() (perimeter.Tuning, error) { return p.opts.Perimeter.Tuning(ctx, card.ID) })
		switch kind := magpie.KindOf(err); {
		case kind == magpie.KindNotFound || kind == magpie.KindConflict:
			continue // it was removed just now
		case err != nil:
			return nil, err
		}
		rows = append(rows, tuningRow{Tuning: t, URL: card.BaseURL, Since: at(t.Since, now)})
	}
	return rows, nil
}

// delay returns how long an event was under way. Bitbucket tells the second in which it sent it, so less can't be told.
func delay(d time.Duration) string {
	if d < time.Second {
		return "under 1 s"
	}
	return took(d)
}

// eventRate returns events a second, measured over ten seconds.
func eventRate(perSecond float64) string {
	if perSecond < 1 {
		return plural(int64(perSecond*60+0.5), "event") + " a minute"
	}
	return fmt.Sprintf("%.1f events a second", perSecond)
}
