package perimeter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/bitbucketsim"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// told is what people heard about tokens.
type told struct {
	mu     sync.Mutex
	states []magpie.IntegrationState
	dates  map[string]int // calls by announcement of an expiry
}

func (l *told) invalid(_ context.Context, _ *store.Tx, i magpie.Integration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states = append(l.states, i.State)
	return nil
}

func (l *told) expires(_ context.Context, _ *store.Tx, i magpie.Integration, days int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dates[fmt.Sprintf("%s %d", i.TokenExpiresAt.UTC().Format(time.DateOnly), days)]++
	return nil
}

func (l *told) heard() []magpie.IntegrationState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.states)
}

func (l *told) announced() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for date := range l.dates {
		all = append(all, date)
	}
	slices.Sort(all)
	return all
}

// eachGrace runs test on both databases, with a grace period.
func eachGrace(t *testing.T, grace time.Duration, test func(b *bench, l *told)) {
	t.Helper()
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, l := start(t, bitbucketsim.Options{}, address(t)), &told{dates: map[string]int{}}
			keys := testKeys(t)
			db, jobs := storetest.Open(t, b.address, func(e *queue.Engine, db *store.DB) {
				o := b.options(db, keys)
				o.TokenGrace, o.OnTokenInvalid, o.OnTokenExpires = grace, l.invalid, l.expires
				b.Service = New(o)
				b.Service.Register(e)
			})
			b.db = db
			must(0, jobs.Start(b.ctx))
			test(b, l)
		})
	}
}

// pass lets time go by and waits until what became due is done.
func (b *bench) pass(d time.Duration) {
	b.Helper()
	b.clock.advance(d)
	must(0, b.Tick(b.ctx))
	b.eventually("idle jobs", b.jobsIdle)
}

// B33, B34, B36, B36a: a revoked token is asked again for ten minutes, then told about once; a new one resumes the work.
func TestRevokedTokenHasGrace(t *testing.T) {
	t.Parallel()
	eachGrace(t, 10*time.Minute, func(b *bench, l *told) {
		i := b.connected()
		b.sim.ResetCounts()
		must(0, b.sim.RevokeToken(b.token.ID))
		must(0, b.SyncNow(b.ctx, owner, i.ID))
		b.eventually("a refusal", func() bool { return !b.integrationRow(i.ID).AuthFailingSince.IsZero() })
		b.eventually("idle jobs", b.jobsIdle)
		row := b.integrationRow(i.ID)
		until := row.AuthFailingSince.Add(10 * time.Minute).Format("15:04 UTC")
		if row.State != magpie.IntegrationActive || !strings.Contains(row.StateReason, "refuses the token since "+row.AuthFailingSince.Format("2006-01-02 15:04 UTC")) ||
			!strings.Contains(row.StateReason, until) {
			b.Errorf("after one refusal the integration is %s (%s), want it active, asked again until %s", row.State, row.StateReason, until)
		}
		for n := range 9 {
			b.pass(time.Minute + 100*time.Millisecond)
			if row := b.integrationRow(i.ID); row.State != magpie.IntegrationActive || len(l.heard()) != 0 {
				b.Fatalf("after %d minutes the integration is %s, and %v was told", n+1, row.State, l.heard())
			}
		}
		b.pass(time.Minute)
		for range 3 {
			b.pass(defaultEvery)
		}
		row = b.integrationRow(i.ID)
		if got := l.heard(); row.State != magpie.IntegrationTokenInvalid || !slices.Equal(got, []magpie.IntegrationState{magpie.IntegrationTokenInvalid}) {
			b.Errorf("after ten minutes and longer the integration is %s, and %v was told, want that once", row.State, got)
		}
		if got := b.audited("integration.token_invalid"); len(got) != 1 {
			b.Errorf("audit rows %v, want one", got)
		}
		if n := len(b.repos()); n != 5 {
			b.Errorf("%d repositories are kept, want 5 (B35)", n)
		}
		must(b.sim.CreateRepo("ALPHA", "Meanwhile"))
		b.token = b.newToken("magpie")
		must(0, b.ReplaceToken(b.ctx, owner, i.ID, magpie.NewSecret(b.token.Text), time.Time{}))
		b.eventually("the new repository's hook", func() bool { return len(b.hooksOf(int64(b.simRepo("ALPHA", "Meanwhile")))) == 1 })
		if row := b.integrationRow(i.ID); row.State != magpie.IntegrationActive || row.StateReason != "" || !row.AuthFailingSince.IsZero() {
			b.Errorf("with the new token the integration is %+v", row)
		}
		got := b.audited("integration.token_replaced")
		if len(got) != 1 || got[0].Detail != "as magpie; administers 6 of 6 repositories" {
			b.Errorf("audit rows %v", got)
		}
	})
}

// What a token's owner was denied for a while works again with the same token, without anybody's doing here (B11, B33).
func TestOwnerComesBack(t *testing.T) {
	t.Parallel()
	eachGrace(t, 0, func(b *bench, l *told) {
		i := b.connected()
		for round := range 2 {
			must(0, b.sim.SetActive("magpie", false))
			b.pass(defaultEvery)
			if got := l.heard(); b.integrationRow(i.ID).State != magpie.IntegrationTokenInvalid || len(got) != round+1 {
				b.Fatalf("without its owner the token is %s, and %v was told", b.integrationRow(i.ID).State, got)
			}
			must(0, b.sim.SetActive("magpie", true))
			b.pass(defaultEvery)
			if row := b.integrationRow(i.ID); row.State != magpie.IntegrationActive || row.StateReason != "" || !row.AuthFailingSince.IsZero() {
				b.Errorf("with its owner the token is %+v", row)
			}
			if got := b.audited("integration.token_valid"); len(got) != round+1 || got[0].Detail != "the token works again" {
				b.Errorf("audit rows %v, want %d", got, round+1)
			}
		}
	})
}

// The semantics of the grace period, step by step on a clock of its own.
func TestGracePeriod(t *testing.T) {
	t.Parallel()
	const (
		active, invalid  = magpie.IntegrationActive, magpie.IntegrationTokenInvalid
		licence, blocked = magpie.IntegrationNoLicence, magpie.IntegrationNoPermission
		silent           = magpie.IntegrationUnreachable
	)
	type step struct {
		after   time.Duration
		trouble error // nil means that it works
		state   magpie.IntegrationState
		told    int // in all
	}
	refused := magpie.Errorf(magpie.KindTokenInvalid, "the token was revoked")
	unlicensed := magpie.Errorf(magpie.KindNoLicence, "no licence")
	down := magpie.Errorf(magpie.KindUnavailable, "it answers with status 503")
	slow := magpie.Errorf(magpie.KindRateLimited, "too often")
	certificate := magpie.Errorf(magpie.KindUnavailable, "the certificate expired")
	powerless := &lostPermission{why: magpie.Errorf(magpie.KindForbidden, "no permission")}
	ours := fmt.Errorf("the disk is full")
	m := time.Minute
	cases := map[string][]step{
		"refused for ten minutes":         {{0, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {1 * m, refused, invalid, 1}, {m, refused, invalid, 1}},
		"a success between":               {{0, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, nil, active, 0}, {m, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {m, refused, invalid, 1}},
		"silence neither adds nor resets": {{0, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {m, down, silent, 0}, {600 * m, slow, silent, 0}, {m, certificate, silent, 0}, {m, refused, active, 0}, {m, refused, invalid, 1}},
		"we were down ourselves":          {{0, refused, active, 0}, {600 * m, refused, active, 0}, {2 * m, refused, active, 0}, {2 * m, refused, active, 0}, {3 * m, refused, invalid, 1}},
		"our own trouble":                 {{0, refused, active, 0}, {3 * m, ours, active, 0}},
		"only silence":                    {{0, down, silent, 0}, {600 * m, down, silent, 0}, {m, nil, active, 0}},
		"silence after the death":         {{0, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {3 * m, refused, active, 0}, {m, refused, invalid, 1}, {m, down, invalid, 1}, {m, refused, invalid, 1}},
		"licence":                         {{0, unlicensed, active, 0}, {3 * m, unlicensed, active, 0}, {3 * m, unlicensed, active, 0}, {3 * m, unlicensed, active, 0}, {m, unlicensed, licence, 1}, {m, unlicensed, licence, 1}, {m, nil, active, 1}, {m, unlicensed, active, 1}},
		"permission":                      {{0, powerless, active, 0}, {3 * m, powerless, active, 0}, {3 * m, powerless, active, 0}, {3 * m, powerless, active, 0}, {m, powerless, blocked, 1}, {m, down, blocked, 1}, {m, nil, active, 1}},
		"worse than before":               {{0, powerless, active, 0}, {3 * m, powerless, active, 0}, {3 * m, powerless, active, 0}, {3 * m, powerless, active, 0}, {m, powerless, blocked, 1}, {m, refused, invalid, 2}},
	}
	// An integration for each case, one after the other, with one clock that only goes on.
	eachGrace(t, 10*m, func(b *bench, l *told) {
		for name, steps := range cases {
			i := magpie.Integration{ID: magpie.IntegrationID(name), Mode: magpie.ModeInstance, BaseURL: "https://bitbucket.example/" + name, State: active, CreatedAt: time.Now()}
			b.write(func(tx *store.Tx) error { return tx.InsertIntegration(b.ctx, i, []byte("sealed")) })
			before := len(l.heard())
			for n, s := range steps {
				b.clock.advance(s.after)
				if s.trouble == nil {
					must(0, b.reached(b.ctx, b.integrationRow(i.ID), bitbucket.Instance{}))
				} else {
					b.write(func(tx *store.Tx) error {
						_, err := b.setTrouble(b.ctx, tx, i.ID, s.trouble)
						return err
					})
				}
				if row, heard := b.integrationRow(i.ID), l.heard()[before:]; row.State != s.state || len(heard) != s.told {
					b.Errorf("%s: step %d (%v): the integration is %s (%s) and %v was told, want %s and %d", name, n, s.trouble, row.State, row.StateReason, heard, s.state, s.told)
					break
				}
			}
		}
	})
}

// How soon is asked again.
func TestRetries(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		grace time.Duration
		kind  magpie.Kind
		want  time.Duration
	}{
		"grace of ten minutes":  {10 * time.Minute, magpie.KindTokenInvalid, time.Minute},
		"grace of ten seconds":  {10 * time.Second, magpie.KindTokenInvalid, 2 * time.Second},
		"grace of a moment":     {time.Millisecond, magpie.KindTokenInvalid, time.Second},
		"no grace":              {0, magpie.KindTokenInvalid, 0},
		"no licence":            {0, magpie.KindNoLicence, 5 * time.Minute},
		"no licence, but grace": {10 * time.Minute, magpie.KindNoLicence, time.Minute},
		"no answer":             {10 * time.Minute, magpie.KindUnavailable, time.Minute},
		"our own trouble":       {10 * time.Minute, magpie.KindInternal, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, bitbucketsim.Options{}, storetest.SQLite(t))
			b.run()
			b.opts.TokenGrace = tc.grace
			i := magpie.Integration{ID: "i", Mode: magpie.ModeInstance, BaseURL: "https://bitbucket.example", State: magpie.IntegrationActive, CreatedAt: time.Now()}
			b.write(func(tx *store.Tx) error { return tx.InsertIntegration(b.ctx, i, []byte("sealed")) })
			b.write(func(tx *store.Tx) error {
				got, err := b.setTrouble(b.ctx, tx, "i", magpie.Errorf(tc.kind, "trouble"))
				if got != tc.want {
					t.Errorf("asked again in %s, want %s", got, tc.want)
				}
				return err
			})
		})
	}
}

// Permission that is taken away from a living token is noticed, told once, and given back without anybody's doing here.
func TestPermissionTakenAway(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		take, give func(b *bench) error
		reason     string
		blind      bool
	}{
		"repository admin": {
			func(b *bench) error { return b.sim.SetTokenPermissions(b.token.ID, "REPO_READ", "PROJECT_READ") },
			func(b *bench) error { return b.sim.SetTokenPermissions(b.token.ID, "REPO_ADMIN", "PROJECT_READ") },
			"no Repository admin permission any more", false,
		},
		"project read": {
			func(b *bench) error { return b.sim.SetTokenPermissions(b.token.ID, "REPO_ADMIN") },
			func(b *bench) error { return b.sim.SetTokenPermissions(b.token.ID, "REPO_ADMIN", "PROJECT_READ") },
			"no Project read permission any more", false,
		},
		"the user's own": {
			func(b *bench) error { return b.sim.SetGlobalPermission("magpie", "") },
			func(b *bench) error { return b.sim.SetGlobalPermission("magpie", "SYS_ADMIN") },
			"sees none of the monitored repositories any more", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachGrace(t, 0, func(b *bench, l *told) {
				i := b.connected()
				must(0, tc.take(b))
				b.sim.ResetCounts()
				b.pass(defaultEvery)
				b.pass(defaultEvery)
				row := b.integrationRow(i.ID)
				if got := l.heard(); row.State != magpie.IntegrationNoPermission || !strings.Contains(row.StateReason, tc.reason) || len(got) != 1 {
					b.Errorf("the integration is %s (%s), and %v was told; want no_permission (… %s …), told once", row.State, row.StateReason, got, tc.reason)
				}
				if got := b.audited("integration.no_permission"); len(got) != 1 {
					b.Errorf("audit rows %v, want one", got)
				}
				if n := b.looks.comparisons(); !tc.blind {
					_, before := b.sweeps()
					must(0, b.SweepNow(b.ctx, owner))
					if v := b.swept(before); v.Compared != 5 || b.looks.comparisons() != n+5 {
						b.Errorf("sweep %+v: what the token can read is to be compared still", v)
					}
				}
				for _, r := range b.repos() {
					if r.State != magpie.RepoAvailable {
						b.Errorf("%s is %s (%s): what the token sees no more must not be taken for gone", r.FullName(), r.State, r.StateReason)
					}
				}
				must(0, tc.give(b))
				b.pass(defaultEvery)
				b.settled(i.ID)
				if row := b.integrationRow(i.ID); row.State != magpie.IntegrationActive || row.StateReason != "" || len(b.audited("integration.token_valid")) != 1 {
					b.Errorf("with its permissions again the integration is %+v", row)
				}
				for _, r := range b.repos() {
					b.checkHooked(r, true)
				}
			})
		})
	}
}

// Repositories that are gone from Bitbucket, or that single ones can't be administered, say nothing about the token.
func TestNotThePermission(t *testing.T) {
	t.Parallel()
	eachGrace(t, 0, func(b *bench, l *told) {
		must(b.sim.CreateUser(bitbucketsim.User{Name: "lead"}))
		must(0, b.sim.GrantProject("lead", "ALPHA", "PROJECT_ADMIN"))
		must(0, b.sim.GrantProject("lead", "BETA", "PROJECT_ADMIN"))
		b.token = b.newToken("lead")
		i := b.connect(magpie.ModeProject)
		for _, p := range b.available(i.ID) {
			b.install(i.ID, p.ID, true)
		}
		must(0, b.sim.GrantProject("lead", "ALPHA", "PROJECT_READ"))
		b.sync(i.ID)
		if row := b.integrationRow(i.ID); row.State != magpie.IntegrationActive {
			b.Errorf("with one of two projects the integration is %s (%s)", row.State, row.StateReason)
		}
		must(0, b.sim.DeleteProject("ALPHA"))
		must(0, b.sim.DeleteProject("BETA"))
		b.sync(i.ID)
		if row := b.integrationRow(i.ID); row.State != magpie.IntegrationActive || len(l.heard()) != 0 {
			b.Errorf("without any repository left the integration is %s (%s)", row.State, row.StateReason)
		}
	})
}

// A token that sees less than the old one is taken, and the record says so. Another user's is fine.
func TestLesserToken(t *testing.T) {
	t.Parallel()
	eachGrace(t, 0, func(b *bench, _ *told) {
		must(b.sim.CreateUser(bitbucketsim.User{Name: "lead"}))
		must(0, b.sim.GrantProject("lead", "ALPHA", "PROJECT_ADMIN"))
		i := b.connect(magpie.ModeProject)
		for _, p := range b.available(i.ID) {
			if p.Key == "ALPHA" || p.Key == "BETA" {
				b.install(i.ID, p.ID, true)
			}
		}
		b.token = b.newToken("lead")
		must(0, b.ReplaceToken(b.ctx, owner, i.ID, magpie.NewSecret(b.token.Text), time.Time{}))
		got := b.audited("integration.token_replaced")
		if len(got) != 1 || got[0].Detail != "as lead; administers 2 of 2 repositories, but not 2 of those that are monitored" {
			b.Errorf("audit rows %v", got)
		}
		b.eventually("the new owner", func() bool { return b.integrationRow(i.ID).TokenUser == "lead" && b.jobsIdle() })
	})
}

// A known end is announced 14 and 3 days ahead, once each, however often is looked and whatever was slept through.
func TestExpiryIsAnnounced(t *testing.T) {
	t.Parallel()
	const none, h = 0, time.Hour
	type look struct {
		after time.Duration
		want  []int // announced so far
	}
	for name, tc := range map[string]struct {
		expires time.Duration // from now; 0 means never
		looks   []look
	}{
		"watched all the time":      {20 * day, []look{{none, nil}, {5 * day, nil}, {1*day + h, []int{14}}, {h, []int{14}}, {10 * day, []int{14}}, {day, []int{14, 3}}, {2 * day, []int{14, 3}}, {5 * day, []int{14, 3}}}},
		"down on the day":           {20 * day, []look{{10 * day, []int{14}}, {9*day + h, []int{14, 3}}}},
		"down over both":            {20 * day, []look{{19 * day, []int{3}}, {h, []int{3}}}},
		"connected two days ahead":  {2 * day, []look{{none, []int{3}}, {h, []int{3}}}},
		"connected after the date":  {-day, []look{{none, nil}, {h, nil}}},
		"never":                     {0, []look{{none, nil}, {1000 * day, nil}}},
		"past without a refusal":    {2 * day, []look{{3 * day, []int{3}}, {30 * day, []int{3}}}},
		"connected some days ahead": {7 * day, []look{{none, []int{14}}, {3 * day, []int{14}}, {day + h, []int{14, 3}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachGrace(t, 0, func(b *bench, l *told) {
				must(0, b.prepare(b.ctx))
				expires := time.Time{}
				if tc.expires != 0 {
					expires = b.clock.now().Add(tc.expires)
				}
				i, err := b.Connect(b.ctx, owner, ConnectInput{Mode: magpie.ModeProject, URL: b.sim.URL(), Token: magpie.NewSecret(b.token.Text), TokenExpires: expires})
				must(0, err)
				if got := b.integrationRow(i.ID).TokenExpiresAt; !got.Equal(expires.Truncate(time.Microsecond)) {
					b.Errorf("the token expires at %s, want %s", got, expires)
				}
				for n, look := range tc.looks {
					b.pass(look.after)
					var want []string
					for _, days := range look.want {
						want = append(want, fmt.Sprintf("%s %d", expires.UTC().Format(time.DateOnly), days))
					}
					slices.Sort(want)
					if got := l.announced(); !slices.Equal(got, want) {
						b.Fatalf("look %d: announced %v, want %v", n, got, want)
					}
				}
			})
		})
	}
}

// The date can be told and corrected, is another one for another token, and a dead token's is of no interest.
func TestExpiryChanges(t *testing.T) {
	t.Parallel()
	eachGrace(t, 0, func(b *bench, l *told) {
		i := b.connected()
		must(0, b.prepare(b.ctx))
		soon := b.clock.now().Add(2 * day).Truncate(time.Microsecond)
		must(0, b.SetTokenExpiry(b.ctx, owner, i.ID, soon))
		want := []string{soon.UTC().Format(time.DateOnly) + " 3"}
		if got := l.announced(); !slices.Equal(got, want) {
			b.Errorf("announced %v, want %v at once", got, want)
		}
		if got := b.audited("integration.token_expiry"); len(got) != 1 || got[0].Detail != "the token expires on "+soon.UTC().Format("2006-01-02 15:04 UTC") || got[0].Actor != owner.Email {
			b.Errorf("audit rows %v", got)
		}
		b.token = b.newToken("magpie")
		must(0, b.ReplaceToken(b.ctx, owner, i.ID, magpie.NewSecret(b.token.Text), time.Time{}))
		if got := b.integrationRow(i.ID).TokenExpiresAt; !got.IsZero() {
			b.Errorf("the new token expires at %s, want never", got)
		}
		b.eventually("idle jobs", b.jobsIdle)
		must(0, b.sim.RevokeToken(b.token.ID))
		b.pass(defaultEvery)
		must(0, b.SetTokenExpiry(b.ctx, owner, i.ID, soon.Add(5*day)))
		if got := l.announced(); !slices.Equal(got, want) {
			b.Errorf("announced %v for a dead token, want %v from before", got, want)
		}
	})
}

// A licence that lapses keeps the token: it is told with its own words, and ends by itself when the licence is back.
func TestLicenceLapses(t *testing.T) {
	t.Parallel()
	eachGrace(t, 0, func(b *bench, l *told) {
		i := b.connected()
		must(0, b.sim.SetLicensed("magpie", false))
		b.pass(defaultEvery)
		b.pass(licenceEvery)
		row := b.integrationRow(i.ID)
		if got := l.heard(); row.State != magpie.IntegrationNoLicence || !strings.Contains(row.StateReason, "licence") || !slices.Equal(got, []magpie.IntegrationState{magpie.IntegrationNoLicence}) {
			b.Errorf("without a licence the integration is %s (%s), and %v was told", row.State, row.StateReason, got)
		}
		must(0, b.sim.SetLicensed("magpie", true))
		b.pass(licenceEvery + time.Second)
		if row := b.integrationRow(i.ID); row.State != magpie.IntegrationActive || row.StateReason != "" {
			b.Errorf("with a licence again the integration is %s (%s)", row.State, row.StateReason)
		}
		if got := b.audited("integration.token_valid"); len(got) != 1 || got[0].Detail != "the token's user has a licence again" {
			b.Errorf("audit rows %v", got)
		}
	})
}

// Where Bitbucket lets a token see its own end, that is what counts, at once and with each sync.
func TestBitbucketTellsExpiry(t *testing.T) {
	t.Parallel()
	eachGrace(t, 0, func(b *bench, l *told) {
		ends := b.clock.now().Add(13 * day).Truncate(time.Millisecond)
		connect := func(mode magpie.Mode, said time.Time) magpie.Integration {
			return must(b.Connect(b.ctx, owner, ConnectInput{Mode: mode, URL: b.sim.URL(), Token: magpie.NewSecret(b.token.Text), TokenExpires: said}))
		}
		b.sim.SetTokensSeeTokens(true)
		p := must(b.Check(b.ctx, magpie.ModeInstance, b.sim.URL(), magpie.NewSecret(b.token.Text)))
		if !p.TokenNeverExpires || !p.TokenExpires.IsZero() {
			b.Errorf("probe %+v, want a token that never expires", p)
		}
		b.token = must(b.sim.CreateToken(bitbucketsim.TokenSpec{User: "magpie", Permissions: []string{"REPO_ADMIN", "PROJECT_READ"}, Expiry: ends}))
		told := connect(magpie.ModeProject, ends.Add(100*day))
		if !told.TokenExpiresAt.Equal(ends) || !slices.Equal(l.announced(), []string{ends.UTC().Format(time.DateOnly) + " 14"}) {
			b.Errorf("the token expires at %s, announced %v; want %s, announced", told.TokenExpiresAt, l.announced(), ends)
		}
		b.sim.SetTokensSeeTokens(false)
		said := ends.Add(day)
		untold := connect(magpie.ModeProject, said)
		b.synced(untold.ID)
		if got := b.integrationRow(untold.ID).TokenExpiresAt; !got.Equal(said) {
			b.Errorf("the token expires at %s, want %s as the person says", got, said)
		}
		b.sim.SetTokensSeeTokens(true)
		b.sync(untold.ID)
		if got := b.integrationRow(untold.ID).TokenExpiresAt; !got.Equal(ends) {
			b.Errorf("after a sync the token expires at %s, want %s as Bitbucket says", got, ends)
		}
	})
}
