package perimeter

import (
	"strings"
	"testing"
	"time"

	"magpie/internal/store"
)

// delays makes n events, one every gap, the newest first, each of which took as long as said.
func delays(n int, gap time.Duration, took func(i int) time.Duration) (all []store.Delay) {
	at := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	for i := range n {
		sent := at.Add(-time.Duration(i) * gap)
		all = append(all, store.Delay{Sent: sent, Received: sent.Add(took(i))})
	}
	return all
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func TestTuning(t *testing.T) {
	for _, tt := range []struct {
		name    string
		delays  []store.Delay
		slow    bool
		threads int
		says    string
	}{
		{"nothing yet", nil, false, 3, "Too few"},
		{"too few", delays(19, time.Second, always(time.Minute)), false, 3, "Too few"},
		{"fast", delays(100, time.Second, always(time.Second)), false, 3, "Nothing needs"},
		{"a few late", delays(100, time.Second, func(i int) time.Duration { return time.Duration(i/97) * time.Minute }), false, 3, "Nothing needs"},
		{"late though few", delays(100, time.Minute, always(20*time.Second)), true, 6, "other webhooks"},
		{"late and many", delays(400, 50*time.Millisecond, always(20*time.Second)), true, 10, "io.threads=10"},
		{"far too many", delays(5000, time.Millisecond, always(time.Minute)), true, mostThreads, "connection.host.max=24"},
		{"a clock ahead", delays(100, time.Second, always(-30*time.Second)), false, 3, "Nothing needs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tuningOf(tt.delays)
			if got.Slow != tt.slow || got.Threads != tt.threads || !strings.Contains(got.Advice, tt.says) {
				t.Errorf("tuning = %+v, want slow %t, %d threads, and %q said", got, tt.slow, tt.threads, tt.says)
			}
		})
	}
}
