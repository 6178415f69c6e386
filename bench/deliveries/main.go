// Command deliveries measures what becomes of webhooks under load: a simulated Bitbucket pushes to some hundred
// repositories and sends the events by its own engine, at most once each, as the real one does, to the real server, a
// process of its own that is killed now and then. At the end it compares the simulator's log with the server's database:
//
//   - every acknowledged event is stored, a scan has dealt with it, and every secret in the commits that it named, and in
//     all before them, is an incident;
//   - every ref stands where it was scanned, also where the event of its push was refused or skipped, thanks to the sweep.
//
// If either is untrue it says so and exits with status 1. Times are reported, never judged. Events that the server answers
// too slowly for Bitbucket to keep up are skipped by Bitbucket itself, as OVERFLOW: it keeps 250 in flight, and has no more
// deliveries under way than it has threads and connections to one host, whichever are fewer.
//
//	go run ./bench/deliveries [-magpie bin/magpie] [-rate 200] [-for 5m] [-kills 20] [-database postgres://…]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"time"

	"magpie/internal/bitbucketsim"
)

// options are the flags.
type options struct {
	magpie      string
	database    string
	repos       int
	rate        float64
	length      time.Duration
	kills       int
	threads     int
	connections int
	drain       time.Duration
	seed        uint64
}

func main() {
	var o options
	flag.StringVar(&o.magpie, "magpie", "bin/magpie", "the binary to measure")
	flag.StringVar(&o.database, "database", "", "URL of an empty PostgreSQL database; empty is SQLite")
	flag.IntVar(&o.repos, "repos", 300, "repositories with a webhook")
	flag.Float64Var(&o.rate, "rate", 200, "pushes a second")
	flag.DurationVar(&o.length, "for", 5*time.Minute, "how long to push")
	flag.IntVar(&o.kills, "kills", 0, "how often to kill the server, at random moments")
	flag.IntVar(&o.threads, "threads", 8, "deliveries at once; Bitbucket's default is 3 a node")
	flag.IntVar(&o.connections, "connections", 0, "connections to the server at once; Bitbucket's default is 5, and 0 is as many as deliveries")
	flag.DurationVar(&o.drain, "drain", 20*time.Minute, "how long the server may take for what is left at the end")
	flag.Uint64Var(&o.seed, "seed", 1, "another number makes other pushes and moments")
	flag.Parse()
	if o.connections == 0 {
		o.connections = o.threads
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "deliveries:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "magpie-deliveries-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := newBitbucket(o, dir)
	if err != nil {
		return fmt.Errorf("preparing the simulated Bitbucket: %w", err)
	}
	defer b.sim.Close()
	s, err := newServer(ctx, o, dir, b.sim)
	if err != nil {
		return err
	}
	defer s.kill()
	if err := s.connect(ctx, b); err != nil {
		return err
	}
	fmt.Printf("%d repositories with webhooks; %.0f pushes a second for %s, %d kills, %s\n", o.repos, o.rate, o.length, o.kills, s.engine())
	ready, err := load(ctx, o, b, s)
	if err != nil {
		return err
	}
	if err := b.delivered(ctx); err != nil {
		return err
	}
	outcome := b.outcome()
	outcome.print(ready)
	return settle(ctx, o, s, b, outcome)
}

// load pushes, and kills the server meanwhile. It returns how long the server took to answer again, each time.
func load(ctx context.Context, o options, b *bitbucket, s *server) (ready []time.Duration, err error) {
	rnd := rand.New(rand.NewPCG(o.seed, 1))
	var moments []time.Duration
	for range o.kills {
		moments = append(moments, time.Duration(rnd.Int64N(int64(o.length))))
	}
	slices.Sort(moments)
	began := time.Now()
	killed := make(chan error, 1)
	go func() {
		for _, m := range moments {
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(began.Add(m))):
			}
			took, err := s.restart(ctx)
			if err != nil {
				killed <- err
				return
			}
			ready = append(ready, took)
		}
		killed <- nil
	}()
	for made := 0; ; {
		passed := time.Since(began)
		if passed >= o.length || ctx.Err() != nil {
			break
		}
		for ; float64(made) < passed.Seconds()*o.rate; made++ {
			if err := b.push(); err != nil {
				return nil, errors.Join(err, <-killed)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	return ready, errors.Join(ctx.Err(), <-killed)
}

// settle waits until the server has dealt with everything, lets it sweep after a last start, and checks.
func settle(ctx context.Context, o options, s *server, b *bitbucket, out outcome) error {
	ctx, cancel := context.WithTimeout(ctx, o.drain)
	defer cancel()
	began := time.Now()
	waiting, err := s.idle(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("left to scan at the end: %d events; dealt with after %s\n", waiting, time.Since(began).Round(100*time.Millisecond))
	if _, err := s.restart(ctx); err != nil { // the sweep of its start finds what no event told
		return err
	}
	if _, err := s.idle(ctx); err != nil {
		return err
	}
	fmt.Printf("most memory of the server: %d MB\n", s.mostMemory())
	problems, err := check(ctx, s, b, out)
	if err != nil {
		return err
	}
	for _, p := range problems[:min(len(problems), 20)] {
		fmt.Println("wrong:", p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d things are not as they should be", len(problems))
	}
	return nil
}

// percentile returns one of the sorted times.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// outcome is what became of the deliveries, as Bitbucket saw it.
type outcome struct {
	all   []bitbucketsim.Delivery
	acked []bitbucketsim.Delivery
	times []time.Duration // of the acknowledged ones, sorted
	count map[string]int  // by outcome and, if there was one, status
}

func (b *bitbucket) outcome() outcome {
	out := outcome{all: b.sim.Deliveries(), count: map[string]int{}}
	for _, d := range out.all {
		if d.Outcome == bitbucketsim.Success {
			out.acked, out.times = append(out.acked, d), append(out.times, d.Duration)
			continue
		}
		name := d.Outcome
		if d.Status != 0 {
			name = fmt.Sprintf("%s %d", name, d.Status)
		}
		out.count[name]++
	}
	slices.Sort(out.times)
	return out
}

func (o outcome) print(ready []time.Duration) {
	fmt.Printf("events: %d, acknowledged %d", len(o.all), len(o.acked))
	for _, name := range slices.Sorted(keys(o.count)) {
		fmt.Printf(", %s %d", name, o.count[name])
	}
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	fmt.Printf("\nacknowledged after: p50 %s, p99 %s, most %s\n", round(percentile(o.times, .5)), round(percentile(o.times, .99)), round(percentile(o.times, 1)))
	if slices.Sort(ready); len(ready) > 0 {
		fmt.Printf("answering again after a kill: p50 %s, most %s\n", round(percentile(ready, .5)), round(ready[len(ready)-1]))
	}
}
