package app

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"magpie"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

var (
	sequences  = flag.Uint64("sequences", 0, "random delivery sequences to try on each database; 0 is a quick run")
	firstSeed  = flag.Uint64("seed", 0, "seed of the random sequences; 0 is another one each time")
	onlyNumber = flag.Int64("sequence", -1, "try this one alone")
)

// However the events of pushes come in, the outcome is that of their ordered delivery.
//
// What is promised: a commit is found if an accepted event names it or a descendant of it, wherever refs stand by then,
// or if a ref reaches it while a sweep looks. What is not: a commit that came and went between two sweeps while its
// event was lost. Nothing else is found, nothing twice, and people are told once.
func TestAnyDeliveryEndsAsOrdered(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for many seconds")
	}
	n, perWorld := uint64(12), uint64(12)
	if *sequences > 0 {
		n, perWorld = *sequences, 250
	}
	seed := *firstSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			if name == "postgres" && os.Getenv(storetest.PostgresEnv) == "" {
				t.Skipf("%s is not set; `make test` starts PostgreSQL and sets it", storetest.PostgresEnv)
			}
			r := &runner{t: t, address: address, seed: seed}
			if *onlyNumber >= 0 {
				r.alone(uint64(*onlyNumber))
				return
			}
			share := n
			if name == "postgres" { // the same code but for the database's own
				share = (n + 3) / 4
			}
			began := time.Now()
			for first := uint64(0); first < share; first += perWorld {
				r.world(first, min(perWorld, share-first))
				if t.Failed() {
					return
				}
			}
			took := time.Since(began)
			t.Logf("seed %d: %d sequences in %s (%.1f/s), %d pushes, %d events, %d sweeps, %d restarts; %d commits with secrets were promised, "+
				"all found; of %d whose events were lost and whose refs were gone before a sweep, %d were found nevertheless",
				seed, share, took.Round(time.Second), float64(share)/took.Seconds(), r.pushes, r.events, r.sweeps, r.restarts, r.promised, r.lost, r.lucky)
		})
	}
}

// runner tries sequences and counts what they came to.
type runner struct {
	t       *testing.T
	address func(*testing.T) string
	seed    uint64

	pushes, events, sweeps, restarts int
	promised, lost, lucky            int
}

// rounds is how many pieces a world's sequences are cut into; between them something may happen to all of them.
const rounds = 4

// world tries some sequences side by side in one world.
func (r *runner) world(first, count uint64) {
	var all []*sequence
	r.t.Run(fmt.Sprint(first), func(t *testing.T) {
		all = r.try(t, first, count, -1)
		for _, q := range all {
			if q.err != nil {
				t.Errorf("seed %d, sequence %d: %v\n%s", r.seed, q.index, q.err, strings.Join(q.trace, "\n"))
			}
		}
	})
	for _, q := range all {
		if q.err != nil {
			r.shrink(q)
			return // one is enough to read
		}
	}
}

func (r *runner) alone(index uint64) {
	for _, q := range r.try(r.t, index, 1, -1) {
		r.t.Logf("%s", strings.Join(q.trace, "\n"))
		if q.err != nil {
			r.t.Error(q.err)
		}
	}
}

// shrink looks for the shortest beginning of a sequence that fails by itself.
func (r *runner) shrink(q *sequence) {
	var shortest *sequence
	for steps := q.steps; steps > 0; steps-- {
		var again []*sequence
		r.t.Run(fmt.Sprintf("%d-cut-to-%d", q.index, steps), func(t *testing.T) { again = r.try(t, q.index, 1, steps) })
		if len(again) == 0 || again[0].err == nil {
			break
		}
		shortest = again[0]
	}
	if shortest == nil {
		r.t.Errorf("alone, sequence %d passes: it takes the others, or bad luck in time; -seed %d -sequences %d runs it among them", q.index, r.seed, q.index+1)
		return
	}
	r.t.Errorf("the shortest failing beginning of -seed %d -sequence %d:\n%s\n%v", r.seed, q.index, strings.Join(shortest.trace, "\n"), shortest.err)
}

// try runs sequences in a new world, cut to some steps unless that is negative.
func (r *runner) try(t *testing.T, first, count uint64, steps int) []*sequence {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	w := newWorld(t, ctx, r.address(t))
	all := make([]*sequence, count)
	err := each(count, func(i uint64) (err error) {
		all[i], err = newSequence(w, r.seed, first+i)
		return err
	})
	if err = errors.Join(err, w.idle()); err != nil {
		t.Fatalf("preparing repositories: %v", err)
	}
	chance := rand.New(rand.NewPCG(r.seed, ^(first / max(count, 1))))
	done := make([]int, count)
	for round := range rounds {
		r.happen(t, w, all, chance.IntN(10))
		again := make(chan struct{})
		if chance.IntN(4) == 0 { // in the middle of it
			pause := time.Duration(chance.IntN(300)) * time.Millisecond
			r.restarts++
			go func() { defer close(again); time.Sleep(pause); w.restart() }()
		} else {
			close(again)
		}
		err := each(count, func(i uint64) error {
			q := all[i]
			until := q.steps * (round + 1) / rounds
			if steps >= 0 {
				until = min(until, steps)
			}
			for ; done[i] < until && q.err == nil; done[i]++ {
				q.err = q.step()
			}
			return nil
		})
		<-again
		if err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
	r.finish(t, w, all)
	return all
}

// happen lets something happen to all sequences between two rounds.
func (r *runner) happen(t *testing.T, w *world, all []*sequence, what int) {
	switch {
	case what < 4:
		return
	case what < 7:
		if err := w.idle(); err != nil {
			t.Fatal(err)
		}
	case what < 9:
		r.sweep(t, w, all)
	default:
		r.restarts++
		w.restart()
	}
}

func (r *runner) sweep(t *testing.T, w *world, all []*sequence) {
	r.sweeps++
	if err := w.sweep(); err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		q.swept()
	}
}

// finish lets what is still on the wire arrive, or not, sweeps a last time, and compares.
func (r *runner) finish(t *testing.T, w *world, all []*sequence) {
	_ = each(uint64(len(all)), func(i uint64) error {
		if q := all[i]; q.err == nil && q.rnd.IntN(4) > 0 {
			q.err = q.deliverAll()
		}
		return nil
	})
	r.sweep(t, w, all)
	for _, q := range all {
		if q.err == nil {
			q.err = r.compare(w, q)
		}
	}
	if err := w.toldOnce(); err != nil {
		t.Errorf("seed %d: %v", r.seed, err)
	}
}

// compare checks what was found in a sequence's repository.
func (r *runner) compare(w *world, q *sequence) error {
	found, err := w.found(q.repo.id)
	if err != nil {
		return err
	}
	may, must := q.expected(q.may), q.expected(q.must&q.may)
	have := map[occurrence]bool{}
	for _, o := range found {
		if have[o] {
			return fmt.Errorf("found twice: %+v", o)
		}
		have[o] = true
		if !may[o] {
			return fmt.Errorf("found, but no ref ever reached it: %+v", o)
		}
	}
	for o := range must {
		if !have[o] {
			return fmt.Errorf("promised, but not found: %+v; %d of %d promised ones were found", o, len(have), len(must))
		}
	}
	for i, v := range q.nodes {
		for _, o := range found {
			if bit := uint64(1) << i; o.commit == v.hash && q.must&bit == 0 && q.may&bit != 0 {
				r.lucky++
			}
		}
	}
	r.pushes += strings.Count(strings.Join(q.trace, "\n"), "push ")
	r.events += len(q.arrived)
	r.promised += len(must)
	r.lost += len(may) - len(must)
	return nil
}

// each calls fn for 0 … n-1, some at a time.
func each(n uint64, fn func(uint64) error) error {
	var g errgroup.Group
	g.SetLimit(4)
	for i := range n {
		g.Go(func() error { return fn(i) })
	}
	return g.Wait()
}

// found returns all occurrences in a repository.
func (w *world) found(repo magpie.RepoID) ([]occurrence, error) {
	return query(w, func(s interface{ Scan(...any) error }) (o occurrence, err error) {
		err = s.Scan(&o.secret, &o.file, &o.commit, &o.line)
		return o, err
	}, `SELECT i.masked, o.file, o.commit_hash, o.line_start FROM occurrence o JOIN incident i ON i.id = o.incident_id WHERE o.repo_id = $1`, repo)
}

// toldOnce checks that people are told once about each incident, by a mail of its own or in a digest, that each incident
// counts its occurrences right, and that none came back.
func (w *world) toldOnce() error {
	wrong, err := query(w, func(s interface{ Scan(...any) error }) (text string, err error) {
		var number, mails, occurrences, counted int64
		var status string
		err = s.Scan(&number, &status, &mails, &counted, &occurrences)
		return fmt.Sprintf("incident %d is %s, was told %d times, and counts %d of %d occurrences", number, status, mails, counted, occurrences), err
	}, `SELECT number, status, mails, counted, stands FROM (
			SELECT number, status, i.occurrences AS counted,
				(SELECT count(*) FROM alert a WHERE a.subject_id = i.id) + (SELECT count(*) FROM alert_digest d WHERE d.incident_id = i.id) AS mails,
				(SELECT count(*) FROM occurrence o WHERE o.incident_id = i.id) AS stands
			FROM incident i) x
		WHERE mails <> 1 OR counted <> stands OR status <> $1`, string(magpie.IncidentTriggered))
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

// query reads rows as no other code needs them.
func query[T any](w *world, scan func(interface{ Scan(...any) error }) (T, error), text string, arg any) ([]T, error) {
	var all []T
	err := w.read(func(tx *store.Tx) error {
		switch native := tx.Native().(type) {
		case *sql.Tx:
			rows, err := native.QueryContext(w.ctx, text, arg)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				v, err := scan(rows)
				if err != nil {
					return err
				}
				all = append(all, v)
			}
			return rows.Err()
		case pgx.Tx:
			rows, err := native.Query(w.ctx, text, arg)
			if err != nil {
				return err
			}
			all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
			return err
		}
		return errors.New("unknown database")
	})
	return all, err
}
