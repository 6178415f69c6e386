package perimeter

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"magpie"
	"magpie/internal/store"
)

// Bitbucket's defaults of the two properties that bound how fast it delivers webhooks.
const (
	WebhookThreads     = 3 // plugin.webhooks.io.threads
	WebhookConnections = 5 // plugin.webhooks.http.connection.host.max
)

const (
	tuningPeriod   = 7 * 24 * time.Hour
	tuningEvents   = 5000            // the newest that are looked at
	tuningEnough   = 20              // events below which nothing is advised
	slowDelivery   = 5 * time.Second // the delay of the 95th of 100 events above which something is
	tuningWindow   = 10 * time.Second
	assumedService = 250 * time.Millisecond // that a thread is busy with one event, connection and answer, to be careful
	mostThreads    = 24
)

// Tuning is how fast Bitbucket delivers events, as measured by what its events say about themselves, and what follows.
type Tuning struct {
	Deliveries  int       // events that were measured
	Since       time.Time // of the oldest of them; zero if there are none
	Median      time.Duration
	P95         time.Duration // 95 of 100 events took at most that long
	Longest     time.Duration
	Peak        float64       // events a second in the busiest ten seconds
	Skew        time.Duration // by which Bitbucket's clock is ahead of ours as far as one can tell; taken off the delays
	Slow        bool          // something should be done
	Threads     int           // advised plugin.webhooks.io.threads; WebhookThreads where the default does
	Connections int           // advised plugin.webhooks.http.connection.host.max
	Advice      string        // in words
}

// Tuning measures the delays of the deliveries of the last seven days and says which two properties of Bitbucket to
// change, if any. An event tells the second in which it was sent, so delays are exact to a second.
func (s *Service) Tuning(ctx context.Context, id magpie.IntegrationID) (Tuning, error) {
	delays, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]store.Delay, error) {
		if _, err := liveIntegration(ctx, tx, id); err != nil {
			return nil, err
		}
		return tx.DeliveryDelays(ctx, id, s.opts.Now().Add(-tuningPeriod), tuningEvents)
	})
	return tuningOf(delays), err
}

// tuningOf sums up delays, the newest first.
func tuningOf(delays []store.Delay) Tuning {
	t := Tuning{Deliveries: len(delays), Threads: WebhookThreads, Connections: WebhookConnections}
	if len(delays) < tuningEnough {
		t.Advice = fmt.Sprintf("Too few events to tell yet: %d of the %d that it takes.", len(delays), tuningEnough)
		if len(delays) == 0 {
			return t
		}
	}
	took := make([]time.Duration, len(delays))
	for i, d := range delays {
		took[i] = d.Received.Sub(d.Sent)
	}
	slices.Sort(took)
	if took[0] < 0 { // nothing comes before it was sent
		t.Skew = -took[0]
	}
	for i := range took {
		took[i] += t.Skew
	}
	t.Since = delays[len(delays)-1].Received
	t.Median, t.P95, t.Longest = took[len(took)/2], took[(len(took)-1)*95/100], took[len(took)-1]
	t.Peak = peak(delays)
	if t.Advice == "" {
		t.advise()
	}
	return t
}

// peak returns the most events a second that were sent within tuningWindow.
func peak(delays []store.Delay) float64 {
	sent := make([]time.Time, len(delays))
	for i, d := range delays {
		sent[i] = d.Sent
	}
	slices.SortFunc(sent, time.Time.Compare)
	most, from := 0, 0
	for i := range sent {
		for sent[i].Sub(sent[from]) >= tuningWindow {
			from++
		}
		most = max(most, i-from+1)
	}
	return float64(most) / tuningWindow.Seconds()
}

// advise decides what to change. Threads must be free for twice the events of the busiest time; where that can't be why
// deliveries are late, the threads wait for other receivers, and doubling them helps.
func (t *Tuning) advise() {
	t.Slow = t.P95 > slowDelivery
	if !t.Slow {
		t.Advice = fmt.Sprintf("Deliveries are fast: 95 of 100 come within %s. Nothing needs to be changed.", rounded(t.P95))
		return
	}
	needed := int(math.Ceil(2 * t.Peak * assumedService.Seconds()))
	t.Threads = min(max(needed, 2*WebhookThreads), mostThreads)
	t.Connections = max(t.Threads, WebhookConnections)
	t.Advice = fmt.Sprintf("Deliveries are late: 5 of 100 take longer than %s. Let an administrator of Bitbucket set plugin.webhooks.io.threads=%d and "+
		"plugin.webhooks.http.connection.host.max=%d in bitbucket.properties, if the host has processors to spare, and restart it.",
		rounded(t.P95), t.Threads, t.Connections)
	if needed <= WebhookThreads {
		t.Advice += " Our events alone need fewer threads, so other webhooks that answer slowly are in the way; look at theirs as well."
	}
}

// rounded is a delay as people want to read it.
func rounded(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
