package scan

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// maxDeliveries is how many waiting events one push scan deals with; for further ones another follows.
const maxDeliveries = 1000

// workPush looks at what is new in a repository since the tips it was looked at up to. It costs a listing and a fetch, and
// its requests go before those of syncs, sweeps and histories.
func (s *Service) workPush(ctx context.Context, run *queue.Run[pushJob]) error {
	release, err := s.turns.take(ctx, run.Args.RepoID)
	if err != nil {
		return err
	}
	defer release()
	waits, err := store.Query(ctx, s.DB, func(tx *store.Tx) (bool, error) { return tx.DeliveriesWait(ctx, run.Args.RepoID) })
	if err != nil {
		return err
	}
	if !waits { // another job dealt with them after this one was born
		return s.end(ctx, magpie.Scan{ID: run.Args.ScanID}, magpie.ScanFinished, "", completes(run))
	}
	began := time.Now()
	if rest := s.rests.left(run.Args.RepoID, began); rest > 0 {
		return run.Later(rest)
	}
	defer func() { s.rests.begin(run.Args.RepoID, time.Now(), time.Since(began)) }()
	ctx = bitbucket.Urgent(ctx) // somebody just pushed
	return s.scanNew(ctx, run.Args.RepoID, attempt{scan: run.Args.ScanID, number: run.Attempt, last: run.Last, complete: completes(run)})
}

// scanNew scans what is new in a repository, if it is still watched.
func (s *Service) scanNew(ctx context.Context, id magpie.RepoID, a attempt) error {
	r, watched, err := s.open(ctx, id)
	if err != nil {
		return err
	}
	if !watched {
		return s.end(ctx, magpie.Scan{ID: a.scan}, magpie.ScanCanceled, r.unwatched(), a.complete)
	}
	return s.scanPush(ctx, a, r)
}

const notMonitored = "the repository is no longer monitored"

// attempt is one run of a job that scans.
type attempt struct {
	scan     magpie.ScanID
	number   int  // from 1
	last     bool // a failure of this one is final
	complete completer
}

// How long a scan asks for hashes that may be gone, when that fails although the refs were listed, before it makes do
// with what the refs reach. That a server could not be reached for a while is no reason to: nobody would ever ask for
// them again.
const (
	optionalAttempts = 4
	optionalPatience = time.Hour      // if there is more to fetch, which should not wait for them any longer
	optionalAlone    = 24 * time.Hour // if there is nothing else
)

// makesDo reports whether an attempt goes on without the hashes that may be gone, after trouble with fetching them.
func makesDo(trouble error, number int, f fetch) bool {
	if len(f.optional) == 0 {
		return false
	}
	switch magpie.KindOf(trouble) {
	case magpie.KindInvalid, magpie.KindNotFound, magpie.KindForbidden, magpie.KindConflict, magpie.KindTooLarge:
		return true // it would be the same every time
	case magpie.KindTokenInvalid, magpie.KindNoLicence:
		return false
	}
	patience := optionalPatience
	if len(f.request.Wants) == 0 {
		patience = optionalAlone
	}
	return number >= optionalAttempts && time.Since(f.since) > patience
}

func (s *Service) scanPush(ctx context.Context, a attempt, r remote) error {
	known, deliveries, taken, err := s.known(ctx, r.repo)
	if err != nil {
		return err
	}
	if !taken {
		return s.askFirstLook(ctx, r)
	}
	// The refs are listed after the events are read: what an event announced is then in the listing, or gone.
	seen, err := s.tips(ctx, r)
	if err != nil {
		return err
	}
	now := seen.tips
	record := record{repo: r.repo, known: known, tips: changed(known, now), gone: gone(known, now), deliveries: deliveries, seen: seen}
	want := plan(known, now, deliveries)
	want.request.Format = seen.format
	record.unannounced = unannounced(want.request.Wants, deliveries)
	if len(deliveries) > 0 {
		want.since = deliveries[0].ReceivedAt
	}
	want.optional = slices.DeleteFunc(want.optional, func(h magpie.Hash) bool { return len(h) != 2*seen.format.Size() })
	record.scan = magpie.Scan{
		ID: a.scan, RepoID: r.repo.ID, Kind: magpie.ScanPush, State: magpie.ScanRunning, CreatedAt: time.Now(), StartedAt: time.Now(),
	}
	if want.empty() {
		return s.finish(ctx, record, a.complete)
	}
	record.begun = true // its row is stored with its end, or after a second
	return s.scan(ctx, r, want, record, a)
}

// unannounced reports whether something is to be fetched that none of the waiting events named.
func unannounced(wants []magpie.Hash, deliveries []store.Delivery) bool {
	named := map[magpie.Hash]bool{}
	for _, d := range deliveries {
		for _, h := range d.Push.Hashes() {
			named[h] = true
		}
	}
	return slices.ContainsFunc(wants, func(h magpie.Hash) bool { return !named[h] })
}

// askFirstLook makes sure that the first look at a repository is on its way, whatever became of an earlier one, and
// makes this scan wait for it: without a baseline all history would look new.
func (s *Service) askFirstLook(ctx context.Context, r remote) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error { return s.FirstLook(ctx, tx, r.repo.ID, r.autoscan) })
	if err != nil {
		return err
	}
	return magpie.Errorf(magpie.KindUnavailable, "the first look at %s is not done yet", r.repo.FullName())
}

// known returns up to where a repository has been looked at, the events that wait for a look, and whether the baseline
// is taken.
func (s *Service) known(ctx context.Context, repo magpie.Repo) (tips []store.Tip, deliveries []store.Delivery, taken bool, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		if taken, err = tx.BaselineTaken(ctx, repo.ID); err != nil {
			return err
		}
		if tips, err = tx.Tips(ctx, repo.ID); err != nil {
			return err
		}
		deliveries, err = tx.WaitingDeliveries(ctx, repo.ID, maxDeliveries)
		return err
	})
	return tips, deliveries, taken, err
}

// plan decides what to ask for: every ref that stands elsewhere than where it was looked at, every hash that an event
// names and that is not known, and not what the known tips reach.
//
// A baseline tip was never scanned itself. If an event brought it, the event came before the baseline was taken, and it
// is asked for, against what the event says stood there before.
func plan(known []store.Tip, now []magpie.Tip, deliveries []store.Delivery) fetch {
	scanned, baseline := map[magpie.Hash]bool{}, map[magpie.Hash]bool{}
	for _, t := range known {
		if t.ScannedAt.IsZero() {
			baseline[t.Hash] = true
		} else {
			scanned[t.Hash] = true
		}
	}
	var f fetch
	asked := map[magpie.Hash]bool{}
	for _, hash := range distinct(now) {
		if !scanned[hash] && !baseline[hash] {
			asked[hash] = true
			f.request.Wants = append(f.request.Wants, hash)
		}
	}
	// From the newest event to the oldest, so that of several events before the baseline only the first one's old hash
	// is left as what was there before.
	before := map[magpie.Hash]bool{}
	for _, d := range slices.Backward(deliveries) {
		for _, c := range slices.Backward(d.Push.Changes) {
			early := (baseline[c.To] || before[c.To]) && !c.From.IsZero()
			delete(before, c.To)
			for _, hash := range []magpie.Hash{c.To, c.From} {
				switch {
				case hash.IsZero() || asked[hash] || scanned[hash]:
				case early && hash == c.From:
					before[hash] = true
				case baseline[hash] && hash != c.To:
				default:
					asked[hash] = true
					f.optional = append(f.optional, hash)
				}
			}
		}
	}
	slices.Reverse(f.optional)
	for _, t := range known {
		if !asked[t.Hash] {
			f.request.Haves = append(f.request.Haves, t.Hash)
		}
	}
	for _, hash := range slices.Sorted(maps.Keys(before)) {
		if !asked[hash] {
			f.request.Haves = append(f.request.Haves, hash)
		}
	}
	return f
}

// changed returns the refs that are new or moved since they were looked at.
func changed(known []store.Tip, now []magpie.Tip) []magpie.Tip {
	at := map[string]magpie.Hash{}
	for _, t := range known {
		at[t.Ref] = t.Hash
	}
	var moved []magpie.Tip
	for _, t := range now {
		if at[t.Ref] != t.Hash {
			moved = append(moved, t)
		}
	}
	return moved
}

// gone returns the known refs that exist no more.
func gone(known []store.Tip, now []magpie.Tip) []string {
	exists := map[string]bool{}
	for _, t := range now {
		exists[t.Ref] = true
	}
	var refs []string
	for _, t := range known {
		if !exists[t.Ref] && !strings.HasPrefix(t.Ref, keptBaseline) {
			refs = append(refs, t.Ref)
		}
	}
	return refs
}
