package scan_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/scan"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// gate lets some fetches through and keeps the others waiting for ever.
type gate struct {
	next http.RoundTripper
	left atomic.Int64 // fetches that may still pass
	held chan struct{}
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.ContentLength > 0 && isFetch(r) && g.left.Add(-1) < 0 {
		select {
		case g.held <- struct{}{}:
		default:
		}
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return g.next.RoundTrip(r)
}

func isFetch(r *http.Request) bool {
	body, err := r.GetBody()
	if err != nil {
		return false
	}
	defer body.Close()
	head := make([]byte, 18)
	n, _ := body.Read(head)
	return strings.Contains(string(head[:n]), "command=fetch")
}

// eachGenerated runs a test on both databases with a generated repository and lineRules.
func eachGenerated(t *testing.T, seed uint64, commits int, options func(*bundle, *scan.Options), test func(*testing.T, *bundle)) {
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bundle{t: t}
			b.startBitbucket(nil)
			b.generate(seed, commits)
			b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
			b.options = func(o *scan.Options) {
				o.Engine = lineEngine(t)
				o.Slicing.Backoff = time.Millisecond
				options(b, o)
			}
			b.startMagpie(address(t))
			test(t, b)
		})
	}
}

// everything describes all incidents and occurrences, without what depends on the order in which they came.
func (b *bundle) everything() []string {
	b.t.Helper()
	var all []string
	err := b.db.Read(b.t.Context(), func(tx *store.Tx) error {
		after := ""
		for {
			page, err := tx.Incidents(b.t.Context(), store.IncidentFilter{}, "", after, 100)
			if err != nil {
				return err
			}
			for _, v := range page.Incidents {
				first := strings.Join([]string{v.FirstRepo, v.FirstCommitAt.UTC().String(), v.Masked, string(v.Status)}, " ")
				found, err := tx.Occurrences(b.t.Context(), v.ID, "", 1000)
				if err != nil {
					return err
				}
				for _, o := range found {
					text, err := json.Marshal([]any{first, v.Occurrences, o.File, o.LineStart, o.ColumnStart, o.Blob, o.Commit, o.Author, o.CommitAt.UTC()})
					if err != nil {
						return err
					}
					all = append(all, string(text))
				}
			}
			if after = page.Next; after == "" {
				return nil
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func (b *bundle) historyScan() magpie.Scan {
	b.t.Helper()
	page, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) (store.ScanPage, error) {
		return tx.EndedScans(b.t.Context(), store.ScanFilter{}, "", 10)
	})
	if err != nil || len(page.Scans) != 1 {
		b.t.Fatalf("scans: %+v, %v, want one", page.Scans, err)
	}
	v, err := store.Query(b.t.Context(), b.db, func(tx *store.Tx) (magpie.Scan, error) { return tx.Scan(b.t.Context(), page.Scans[0].ID) })
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// undisturbed is what is found when nothing goes wrong, and the bytes that takes.
func undisturbed(t *testing.T, seed uint64, commits int) ([]string, int64) {
	t.Helper()
	b := &bundle{t: t}
	b.startBitbucket(nil)
	b.generate(seed, commits)
	b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
	b.options = func(o *scan.Options) { o.Engine = lineEngine(t) }
	b.startMagpie(storetest.SQLite(t))
	b.firstLook(true)
	sent, _ := b.sim.PackBytes()
	all := b.everything()
	if len(all) < 200 {
		t.Fatalf("only %d occurrences, too few to tell anything", len(all))
	}
	return all, sent
}

// TestHistoryOverABrokenConnection cuts the packs of a first scan at random places: in the end the incidents and
// occurrences are those of an undisturbed scan.
func TestHistoryOverABrokenConnection(t *testing.T) {
	const seed, commits = 21, 50
	want, size := undisturbed(t, seed, commits)
	for _, cuts := range []int{1, 5, 20} {
		options := func(b *bundle, o *scan.Options) {
			random := rand.New(rand.NewPCG(uint64(cuts), 7))
			var after []int64
			for range cuts {
				after = append(after, random.Int64N(size*9/10))
			}
			b.sim.SetPackTrouble(bitbucketsim.PackTrouble{After: after})
		}
		eachGenerated(t, seed, commits, options, func(t *testing.T, b *bundle) {
			b.firstLook(true)
			sent, cut := b.sim.PackBytes()
			v := b.historyScan()
			t.Logf("%d cuts: %d bytes sent in all, %.2f times the %d of one piece; %d recorded", cut, sent, float64(sent)/float64(size), size, v.Progress.BytesReceived)
			if cut == 0 {
				t.Error("nothing was cut")
			}
			if diff := cmp.Diff(want, b.everything()); diff != "" {
				t.Errorf("occurrences (-undisturbed +broken):\n%s", diff)
			}
			if v.State != magpie.ScanFinished || b.row().History != magpie.HistoryDone {
				t.Errorf("the scan is %s (%s), the history %s", v.State, v.Error, b.row().History)
			}
		})
	}
}

// TestHistoryGoesOnAfterACrash ends the service between slices, again and again, and goes on with a new one each time.
func TestHistoryGoesOnAfterACrash(t *testing.T) {
	const seed, commits = 22, 50
	want, size := undisturbed(t, seed, commits)
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bundle{t: t}
			b.startBitbucket(nil)
			b.generate(seed, commits)
			var held chan struct{} // of the present life
			b.options = func(o *scan.Options) {
				g := &gate{next: httpClient(t, b.sim).Transport, held: make(chan struct{}, 1)}
				g.left.Store(3) // one piece, or the commits and a slice or two
				held = g.held
				o.Engine = lineEngine(t)
				o.GitHTTP = func(context.Context, magpie.IntegrationID) (*http.Client, error) {
					return &http.Client{Transport: g}, nil
				}
				o.Slicing.AboveObjects, o.Slicing.Objects = 50, 100
			}
			b.startMagpie(address(t))
			b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
			b.write(func(tx *store.Tx) error { return b.scans.FirstLook(t.Context(), tx, b.repo, true) })
			restarts, before := 0, int64(0)
			for b.row().History != magpie.HistoryDone {
				select {
				case <-held:
				case <-time.After(20 * time.Millisecond):
					continue
				}
				if restarts++; restarts > 60 {
					t.Fatal("it never ends")
				}
				found := int64(len(b.everything()))
				if found < before {
					t.Errorf("after restart %d, %d occurrences of %d are left", restarts, found, before)
				}
				before = found
				b.restart()
			}
			b.settle()
			sent, _ := b.sim.PackBytes()
			t.Logf("%d restarts, %d bytes sent in all, %.2f times the %d of one piece", restarts, sent, float64(sent)/float64(size), size)
			if restarts < 2 {
				t.Errorf("only %d restarts", restarts)
			}
			if diff := cmp.Diff(want, b.everything()); diff != "" {
				t.Errorf("occurrences (-undisturbed +restarted):\n%s", diff)
			}
			if v := b.historyScan(); v.State != magpie.ScanFinished {
				t.Errorf("the scan is %s: %s", v.State, v.Error)
			}
		})
	}
}

// TestHistoryWaitsForRoom has a full disk: the scan waits and says why, and goes on when there is room.
func TestHistoryWaitsForRoom(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"old.txt": key("old")}}}, func(t *testing.T, b *bundle) {
		b.options = func(o *scan.Options) { o.Reserve = 1 << 60 }
		b.restart()
		b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
		b.write(func(tx *store.Tx) error { return b.scans.FirstLook(t.Context(), tx, b.repo, true) })
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
		if !strings.Contains(waiting.Error, "too full") || waiting.State != magpie.ScanRunning {
			t.Errorf("the scan is %s: %q", waiting.State, waiting.Error)
		}
		if sent, _ := b.sim.PackBytes(); sent != 0 {
			t.Errorf("%d bytes were fetched", sent)
		}
		b.options = nil
		b.restart()
		b.settle()
		if diff := cmp.Diff([]string{"#1 old.txt:1 triggered magpie-bot"}, b.occurrences()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestCancelBetweenSlices cancels a scan in slices: what was found stays, and no more comes.
func TestCancelBetweenSlices(t *testing.T) {
	options := func(b *bundle, o *scan.Options) {
		g := &gate{next: httpClient(b.t, b.sim).Transport, held: make(chan struct{}, 1)}
		g.left.Store(4)
		o.GitHTTP = func(context.Context, magpie.IntegrationID) (*http.Client, error) {
			return &http.Client{Transport: g}, nil
		}
		o.Slicing.AboveObjects, o.Slicing.Objects = 50, 100
	}
	eachGenerated(t, 23, 50, options, func(t *testing.T, b *bundle) {
		var id magpie.ScanID
		b.firstLook(false)
		b.write(func(tx *store.Tx) (err error) {
			id, err = b.scans.RequestHistory(t.Context(), tx, b.repo)
			return err
		})
		b.eventually("a slice is stored", func() bool { return len(b.everything()) > 0 })
		if err := b.scans.Cancel(t.Context(), magpie.User{ID: "u", Email: "a@example.com"}, id); err != nil {
			t.Fatal(err)
		}
		b.settle()
		if v := b.historyScan(); v.State != magpie.ScanCanceled || b.row().History != magpie.HistoryNone {
			t.Errorf("the scan is %s, the history %s", v.State, b.row().History)
		}
		position, err := store.Query(t.Context(), b.db, func(tx *store.Tx) (string, error) { return tx.ScanPosition(t.Context(), id) })
		if err != nil || position != "" {
			t.Errorf("position %q, %v, want none", position, err)
		}
	})
}

// TestPushOverABrokenConnection cuts the packs of a push: all of it is found, and the events are done.
func TestPushOverABrokenConnection(t *testing.T) {
	each(t, []bitbucketsim.Commit{{Files: map[string]string{"README": "hello\n", "old.env": key("old")}}}, func(t *testing.T, b *bundle) {
		b.options = func(o *scan.Options) { o.Slicing.Backoff = time.Millisecond }
		b.restart()
		b.firstLook(true)
		var commits []bitbucketsim.Commit
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			commits = append(commits, bitbucketsim.Commit{
				Files: map[string]string{name + ".env": key(name), "old.env": key("old") + strings.Repeat("\n# more", i+1), "noise": randomText(uint64(i), 20000)},
			})
		}
		b.sim.SetPackTrouble(bitbucketsim.PackTrouble{After: []int64{30000, 40000, 15000, 10}})
		b.accept(b.push(bitbucketsim.Push{Commits: commits}))
		b.settle()
		var got []string // without the numbers: all commits have the same date
		for _, o := range b.occurrences() {
			_, rest, _ := strings.Cut(o, " ")
			got = append(got, rest)
		}
		slices.Sort(got)
		want := []string{
			"a.env:1 triggered magpie-bot", "b.env:1 triggered magpie-bot", "c.env:1 triggered magpie-bot",
			"d.env:1 triggered magpie-bot", "e.env:1 triggered magpie-bot", "old.env:1 triggered magpie-bot",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, cut := b.sim.PackBytes(); cut < 3 {
			t.Errorf("%d packs were cut, want 3 at least", cut)
		}
		waiting, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]store.Delivery, error) {
			return tx.WaitingDeliveries(t.Context(), b.repo, 10)
		})
		if err != nil || len(waiting) != 0 {
			t.Errorf("%d events wait, %v", len(waiting), err)
		}
		if c := b.compare(); !c.Current {
			t.Errorf("the repository is not current: %+v", c)
		}
	})
}

func randomText(seed uint64, n int) string {
	random := rand.New(rand.NewPCG(seed, 3))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('!' + random.IntN(90))
	}
	return string(text)
}

// TestHistoryTellsPresence has secrets that stand on the default branch, were removed from it, or never were on it, and scans
// the history again after one that stood there is gone.
func TestHistoryTellsPresence(t *testing.T) {
	each(t, []bitbucketsim.Commit{
		{Files: map[string]string{"kept": key("kept"), "moved": key("moved"), "removed": key("removed")}},
		{Files: map[string]string{"elsewhere": key("moved")}, Delete: []string{"removed", "moved"}},
		{Branch: "side", Files: map[string]string{"side": key("side")}},
	}, func(t *testing.T, b *bundle) {
		b.firstLook(true)
		want := map[string]magpie.Presence{
			"kept": magpie.PresencePresent, "moved": magpie.PresencePresent, "elsewhere": magpie.PresencePresent,
			"removed": magpie.PresenceAbsent, "side": magpie.PresenceAbsent,
		}
		if d := cmp.Diff(want, b.presences()); d != "" {
			t.Errorf("presence differs (-want +got):\n%s", d)
		}
		b.push(bitbucketsim.Push{Commits: []bitbucketsim.Commit{{Delete: []string{"kept"}}}})
		b.write(func(tx *store.Tx) error {
			_, err := b.scans.RequestHistory(t.Context(), tx, b.repo)
			return err
		})
		b.settle()
		want["kept"] = magpie.PresenceAbsent
		if d := cmp.Diff(want, b.presences()); d != "" {
			t.Errorf("presence after the second scan differs (-want +got):\n%s", d)
		}
	})
}

// presences returns what is stored of the presence of the secrets in each file.
func (b *bundle) presences() map[string]magpie.Presence {
	b.t.Helper()
	got := map[string]magpie.Presence{}
	err := b.db.Read(b.t.Context(), func(tx *store.Tx) error {
		page, err := tx.Incidents(b.t.Context(), store.IncidentFilter{}, "", "", 100)
		if err != nil {
			return err
		}
		for _, v := range page.Incidents {
			all, err := tx.Occurrences(b.t.Context(), v.ID, "", 100)
			if err != nil {
				return err
			}
			for _, o := range all {
				got[o.File] = o.Presence
				if (o.Presence == magpie.PresenceUnknown) != o.PresenceAt.IsZero() {
					b.t.Errorf("%s: presence %q with the time %v", o.File, o.Presence, o.PresenceAt)
				}
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}
