package bitbucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"magpie"
)

// bucket is a server with a token bucket, in virtual time.
type bucket struct {
	capacity, fill float64 // fill 0: no limit
	retryAfter     int     // seconds
	latency        time.Duration

	mu              sync.Mutex
	tokens          float64
	at              time.Time
	served, refused int
	refusedAt       time.Time
	longestUrgent   time.Duration
}

func newBucket(capacity, fill float64) *bucket {
	return &bucket{capacity: capacity, fill: fill, retryAfter: 5, latency: 50 * time.Millisecond, tokens: capacity, at: time.Now()}
}

// RoundTrip implements http.RoundTripper.
func (b *bucket) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(b.latency/2 + rand.N(b.latency))
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*b.fill, b.capacity)
	b.at = now
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: req}
	if b.fill > 0 && b.tokens < 1 {
		b.refused++
		b.refusedAt = now
		resp.StatusCode = http.StatusTooManyRequests
		resp.Header.Set("Retry-After", strconv.Itoa(b.retryAfter))
		return resp, nil
	}
	if b.served++; b.fill > 0 {
		b.tokens--
	}
	return resp, nil
}

func (b *bucket) setLimit(capacity, fill float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.capacity, b.fill, b.tokens = capacity, fill, capacity
}

// count returns what was served and refused since the last count.
func (b *bucket) count() (served, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	served, refused = b.served, b.refused
	b.served, b.refused = 0, 0
	return served, refused
}

// load keeps workers busy with requests at one server until ctx ends, and once in a while makes an urgent one.
func load(ctx context.Context, b *bucket, p *Pace, workers int) {
	rt := p.Transport(b)
	ask := func(ctx context.Context) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://bitbucket.example/", nil)
		if resp, err := rt.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
	}
	for range workers {
		go func() {
			for ctx.Err() == nil {
				ask(ctx)
			}
		}()
	}
	go func() {
		for ctx.Err() == nil {
			time.Sleep(4*time.Second + rand.N(2*time.Second))
			began := time.Now()
			if err := p.Wait(Urgent(ctx)); err != nil {
				continue
			}
			b.mu.Lock()
			if began.Sub(b.refusedAt) > time.Minute { // no one may send anything during a pause
				b.longestUrgent = max(b.longestUrgent, time.Since(began))
			}
			b.mu.Unlock()
		}
	}()
}

func TestPaceSettlesBelowTheLimit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		capacity, fill float64
		workers        int
		retryAfter     int
		processes      int
		least          float64 // requests a second
	}{
		{"default", 60, 5, 8, 5, 1, 4},
		{"one worker", 60, 5, 1, 5, 1, 4},
		{"many workers", 60, 5, 64, 5, 1, 4},
		{"short pauses", 60, 5, 8, 1, 1, 4},
		{"long pauses", 60, 5, 8, 30, 1, 4},
		{"small bucket", 8, 5, 8, 5, 1, 3.5},
		{"generous", 60, 50, 64, 5, 1, 33},
		{"slow", 60, 1, 8, 5, 1, 0.8},
		{"three processes", 60, 5, 8, 5, 3, 4},
		{"eight processes", 60, 20, 8, 5, 8, 12},
		{"no limit", 0, 0, 64, 5, 1, 33},
		{"three processes without limit", 0, 0, 64, 5, 3, 25},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBucket(tc.capacity, tc.fill)
				b.retryAfter = tc.retryAfter
				ctx, cancel := context.WithCancel(t.Context())
				store := &memoryStore{}
				for range tc.processes {
					o := PaceOptions{Store: store, Shared: tc.processes > 1}
					load(ctx, b, NewPace(o), tc.workers)
				}
				hours := 1.5
				if tc.least > 10 { // enough, and slow to simulate
					hours = 0.15
				}
				time.Sleep(time.Duration(hours * float64(time.Hour)))
				served, refused := b.count()
				cancel()
				time.Sleep(time.Minute)
				synctest.Wait()
				rate, share := float64(served)/(hours*3600), 100*float64(refused)/float64(served+refused)
				t.Logf("%.2f requests/s, %.2f %% refused (%d), urgent ones waited at most %v; the store was asked %.2f times/s", rate, share, refused, b.longestUrgent,
					float64(store.count())/(hours*3600))
				if rate < tc.least {
					t.Errorf("%.2f requests a second, want at least %.2f", rate, tc.least)
				}
				if share >= 1 {
					t.Errorf("%.2f %% of the requests were refused, want less than 1 %%", share)
				}
				if most := 2 * time.Second; b.longestUrgent > most {
					t.Errorf("an urgent request waited %v, want at most %v", b.longestUrgent, most)
				}
			})
		})
	}
}

// memoryStore is a PaceStore with the latency of a database.
type memoryStore struct {
	mu    sync.Mutex
	state PaceState
	calls int
	err   error
}

func (m *memoryStore) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Change implements PaceStore.
func (m *memoryStore) Change(_ context.Context, change func(time.Time, *PaceState)) error {
	time.Sleep(3 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.err != nil {
		return m.err
	}
	change(time.Now(), &m.state)
	return nil
}

func TestPaceFollowsALimitThatChanges(t *testing.T) {
	t.Parallel()
	for _, processes := range []int{1, 3} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBucket(60, 50)
				ctx, cancel := context.WithCancel(t.Context())
				store := &memoryStore{}
				for range processes {
					load(ctx, b, NewPace(PaceOptions{Store: store, Shared: processes > 1}), 32)
				}
				for _, phase := range []struct {
					capacity, fill float64
					minutes        int
					least          float64
				}{{60, 50, 10, 30}, {60, 5, 60, 3.9}, {0, 0, 60, 8}, {10, 2, 60, 1.4}} {
					b.setLimit(phase.capacity, phase.fill)
					time.Sleep(time.Duration(phase.minutes) * time.Minute)
					served, refused := b.count()
					rate, share := float64(served)/float64(60*phase.minutes), 100*float64(refused)/float64(served+refused)
					t.Logf("%v/%v: %.2f requests/s, %.2f %% refused (%d)", phase.capacity, phase.fill, rate, share, refused)
					if rate < phase.least || share >= 2 {
						t.Errorf("%v/%v: %.2f requests/s, %.2f %% refused, want at least %.2f and less than 2 %%", phase.capacity, phase.fill, rate, share, phase.least)
					}
				}
				cancel()
				time.Sleep(time.Minute)
			})
		})
	}
}

// What a push or a person waits for goes before a thousand others, which nevertheless have a turn.
func TestPaceUrgentFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPace(PaceOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		var served atomic.Int64
		for range 1000 {
			go func() {
				if p.Wait(ctx) == nil {
					served.Add(1)
				}
			}()
		}
		time.Sleep(20 * time.Second)
		began := time.Now()
		for range reservedSlots {
			_ = p.Wait(Urgent(ctx))
		}
		if waited := time.Since(began); waited > 10*time.Millisecond {
			t.Errorf("%d urgent requests waited %v, want that slots were kept for them", reservedSlots, waited)
		}
		synctest.Wait()
		before := served.Load()
		for range 100 {
			_ = p.Wait(Urgent(ctx))
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("100 urgent requests took %v, want them at nearly the full rate of 5 a second", took)
		}
		if got := served.Load() - before; got < 3 || got > 6 {
			t.Errorf("%d background requests beside 100 urgent ones, want about 5", got)
		}
		cancel()
		synctest.Wait()
	})
}

// Refusals of requests that were under way together slow the pace down once.
func TestPaceTakesOneEpisodeForOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := hastyPace()
		p.known.rate = 20
		var tickets []ticket
		for range 10 {
			turn, _ := p.acquire(t.Context())
			tickets = append(tickets, turn)
		}
		time.Sleep(50 * time.Millisecond)
		for _, turn := range tickets {
			p.refused(turn, 5*time.Second)
			time.Sleep(10 * time.Millisecond)
		}
		if p.known.ceiling != 20 || p.known.rate != 14 {
			t.Errorf("after 10 refusals at once: rate %v below %v, want 14 below 20", p.known.rate, p.known.ceiling)
		}
		began := time.Now()
		if p.Wait(Urgent(t.Context())); time.Since(began) < 4*time.Second {
			t.Errorf("went on after %v, want after about 5 s", time.Since(began))
		}
	})
}

func TestPaceLeavesLongPausesToTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPace(PaceOptions{})
		waits := make(chan error, 1)
		p.known.burst = 1 // so that the second request waits
		p.free = time.Now().Add(time.Second)
		go func() { waits <- p.Wait(t.Context()) }()
		p.refused(ticket{at: time.Now()}, 600*time.Second)
		for name, err := range map[string]error{"one that waited": <-waits, "a new one": p.Wait(Urgent(t.Context()))} {
			if magpie.KindOf(err) != magpie.KindRateLimited {
				t.Errorf("%s: %v, want KindRateLimited", name, err)
			}
		}
		time.Sleep(10 * time.Minute)
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("after the pause: %v", err)
		}
	})
}

func TestPaceWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPace(PaceOptions{})
		p.free = time.Now().Add(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the deadline passed", err)
		}
		if n := p.background.Len(); n != 0 {
			t.Errorf("%d requests still wait", n)
		}
	})
}

// What was learned outlives the process and reaches the others.
func TestPaceIsLearnedOnce(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, store := newBucket(60, 5), &memoryStore{}
			ctx, cancel := context.WithCancel(t.Context())
			load(ctx, b, NewPace(PaceOptions{Store: store, Shared: shared}), 8)
			time.Sleep(time.Hour)
			cancel()
			time.Sleep(time.Minute)
			b.count()
			next := NewPace(PaceOptions{Store: store, Shared: shared})
			ctx, cancel = context.WithCancel(t.Context())
			load(ctx, b, next, 8)
			time.Sleep(5 * time.Minute)
			served, refused := b.count()
			cancel()
			time.Sleep(time.Minute)
			synctest.Wait()
			if rate := float64(served) / 300; rate < 4 || refused > 3 || next.known.ceiling == 0 {
				t.Errorf("shared %v: after a restart %.2f requests/s and %d refusals, ceiling %v; want at least 4, hardly any, and a known ceiling",
					shared, rate, refused, next.known.ceiling)
			}
		})
	}
}

func TestPaceGoesOnWithoutItsStore(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, store := newBucket(60, 5), &memoryStore{err: errors.New("the database is away")}
			ctx, cancel := context.WithCancel(t.Context())
			load(ctx, b, NewPace(PaceOptions{Store: store, Shared: shared}), 8)
			time.Sleep(time.Hour)
			served, refused := b.count()
			if rate := float64(served) / 3600; rate < 4 || float64(refused) > 0.01*float64(served) {
				t.Errorf("shared %v: %.2f requests/s and %d refusals, want at least 4 and few", shared, rate, refused)
			}
			if got, most := store.count(), 3600/int(storeRest.Seconds()); got > most+1 {
				t.Errorf("the store was asked %d times, want at most %d", got, most)
			}
			store.mu.Lock()
			store.err = nil
			store.mu.Unlock()
			time.Sleep(time.Hour)
			cancel()
			time.Sleep(time.Minute)
			synctest.Wait()
			if store.state.Ceiling == 0 || store.state.ChangedAt.IsZero() {
				t.Errorf("shared %v: %+v was stored once the store was back, want what was learned", shared, store.state)
			}
		})
	}
}

// An idle pace does not touch its store, and a busy one about once a second.
func TestPaceAsksItsStoreSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, store := newBucket(0, 0), &memoryStore{}
		p := NewPace(PaceOptions{Store: store, Shared: true})
		ctx, cancel := context.WithCancel(t.Context())
		load(ctx, b, p, 8)
		time.Sleep(10 * time.Minute)
		if perSecond := float64(store.count()) / 600; perSecond > 1.5 {
			t.Errorf("asked %.2f times a second, want about 1", perSecond)
		}
		cancel()
		time.Sleep(time.Minute)
		calls := store.count()
		time.Sleep(time.Hour)
		if got := store.count(); got != calls {
			t.Errorf("asked %d times while idle", got-calls)
		}
	})
}
