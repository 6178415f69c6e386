package scan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/scan"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// TestPushIsStoredOnce counts what the server writes for a push besides its event: the scan, what it found and the end of
// its job in one transaction.
func TestPushIsStoredOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, storetest.SQLite(t), []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}})
	b.firstLook(false)
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.db.Collectors()...)
	before := writes(t, registry)
	b.accept(b.commit(map[string]string{"new.txt": key("new")}))
	b.settle()
	if diff := cmp.Diff([]string{"#1 new.txt:1 triggered magpie-bot"}, b.occurrences()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	after := writes(t, registry)
	for _, kind := range []string{"event", "shared"} {
		if n := after[kind] - before[kind]; n != 1 {
			t.Errorf("%d changes of the kind %s were stored, want 1", n, kind)
		}
	}
	found, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]magpie.Scan, error) { return tx.UnfinishedScans(t.Context(), b.repo) })
	if err != nil || len(found) != 0 {
		t.Errorf("unfinished scans: %v, %v", found, err)
	}
}

// writes returns how many changes of each kind waited for the writer.
func writes(t *testing.T, registry *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, f := range families {
		if f.GetName() != "magpie_database_write_wait_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			counts[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
		}
	}
	return counts
}

// TestPushThatFailsIsSeen has a full disk: the scan of a push says so at once, and goes on when there is room.
func TestPushThatFailsIsSeen(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n"}}}, func(t *testing.T, b *bundle) {
		b.firstLook(false)
		b.options = func(o *scan.Options) { o.Reserve = 1 << 60 }
		b.restart()
		b.accept(b.commit(map[string]string{"new.txt": key("new")}))
		var waiting magpie.Scan
		b.eventually("the scan says that there is no room", func() bool {
			all, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]magpie.Scan, error) { return tx.UnfinishedScans(t.Context(), b.repo) })
			if err != nil {
				t.Fatal(err)
			}
			if len(all) == 1 {
				waiting = all[0]
			}
			return waiting.Error != ""
		})
		if !strings.Contains(waiting.Error, "too full") || waiting.State != magpie.ScanRunning || waiting.Kind != magpie.ScanPush {
			t.Errorf("the scan of a %s is %s: %q", waiting.Kind, waiting.State, waiting.Error)
		}
		b.options = nil
		b.restart()
		b.settle()
		if diff := cmp.Diff([]string{"#1 new.txt:1 triggered magpie-bot"}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		ended, err := store.Query(t.Context(), b.db, func(tx *store.Tx) (magpie.Scan, error) { return tx.Scan(t.Context(), waiting.ID) })
		if err != nil || ended.State != magpie.ScanFinished || ended.Error != "" {
			t.Errorf("the scan is %s: %q, %v", ended.State, ended.Error, err)
		}
	})
}
