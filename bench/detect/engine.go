package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"magpie/bench/measure"
	"magpie/internal/detect"
	"magpie/internal/detect/detecttest"
	"magpie/internal/rule"
	"magpie/rules"
)

// leastTime is how long something short is repeated to be measured.
const leastTime = 60 * time.Millisecond

// cpuOf returns the CPU time that f takes, garbage collection included: the median of several times, in each of which it runs
// as often as it takes to tell.
func cpuOf(times int, f func()) (time.Duration, error) {
	var all []time.Duration
	for range times {
		before, err := measure.Used(syscall.RUSAGE_SELF)
		if err != nil {
			return 0, err
		}
		runs := 0
		for start := time.Now(); runs == 0 || time.Since(start) < leastTime; runs++ {
			f()
		}
		after, err := measure.Used(syscall.RUSAGE_SELF)
		if err != nil {
			return 0, err
		}
		all = append(all, (after-before)/time.Duration(runs))
	}
	return measure.Median(all, func(d time.Duration) time.Duration { return d }), nil
}

// measureHostile scans lines without breaks that are hard on a scanner, of several sizes.
func measureHostile(ctx context.Context, w io.Writer, o options) error {
	e, all, err := builtIn()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nlines without a break: MB of text a CPU second, and the power with which time grows with size\n\n")
	t := newTable(w)
	fmt.Fprintf(t, "%s", name("line of"))
	for _, size := range o.sizes {
		fmt.Fprintf(t, "\t%d KiB", size>>10)
	}
	fmt.Fprintf(t, "\tpower\tfindings\tleft out\t\n")
	for _, shape := range detecttest.Shapes(literals(all)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := measureShape(t, o, e, shape); err != nil {
			return err
		}
	}
	return t.Flush()
}

func measureShape(t io.Writer, o options, e *detect.Engine, shape detecttest.Shape) error {
	s := e.NewScanner()
	fmt.Fprint(t, name(shape.Name))
	var took []time.Duration
	for _, size := range o.sizes {
		text := shape.Text(size)
		s.Scan(text) // compiles what it needs
		d, err := cpuOf(o.runs, func() { s.Scan(text) })
		if err != nil {
			return err
		}
		took = append(took, d)
		fmt.Fprintf(t, "\t%.0f", float64(len(text))/1e6/d.Seconds())
	}
	last := len(o.sizes) - 1
	power := math.Log(ratio(took[last], took[0])) / math.Log(float64(o.sizes[last])/float64(o.sizes[0]))
	found := len(s.Scan(shape.Text(1 << 20)))
	left := ""
	if len(s.Skipped()) > 0 {
		left = "some, and told"
	}
	_, err := fmt.Fprintf(t, "\t%.2f\t%d\t%s\t\n", power, found, left)
	return err
}

// builtIn returns the engine with all built-in detectors.
func builtIn() (*detect.Engine, []*rule.Rule, error) {
	all, err := rules.All()
	if err != nil {
		return nil, nil, err
	}
	e, err := detect.New(all, detect.Options{})
	return e, all, err
}

// literals returns what the rules look for, without doubles.
func literals(all []*rule.Rule) []string {
	var texts []string
	for _, r := range all {
		r.Anchors(func(text string, _ bool) { texts = append(texts, text) })
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// measureStart measures loading all detectors, and the program with a file that holds nothing.
func measureStart(ctx context.Context, w io.Writer, o options, temp string) error {
	folder, err := os.MkdirTemp(temp, "empty-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("nothing\n"), 0o600); err != nil {
		return err
	}
	s := series{contender: contenders(o.magpie)[0]}
	for range 4 * o.runs {
		s.once(ctx, o, folder, temp)
	}
	if s.failure != "" {
		return fmt.Errorf("magpie on one small file: %s", s.failure)
	}
	wall := measure.Median(s.runs, func(f measure.Figures) time.Duration { return f.Wall })
	load, err := cpuOf(o.runs, func() { _, _, err = builtIn() })
	if err != nil {
		return err
	}
	all, err := rules.All()
	fmt.Fprintf(w, "\nstarting with %d detectors that look for %d literals: the program on one small file %.0f ms of CPU, %.0f ms of wall time; loading the detectors, again in one process, %.1f ms of CPU\n",
		len(all), len(literals(all)), 1e3*s.cpu().Seconds(), 1e3*wall.Seconds(), 1e3*load.Seconds())
	return err
}

// fewRules is how many detectors are compared with all.
const fewRules = 1000

// measureRules scans the folders in this process with the first thousand detectors and with all, by turns.
func measureRules(ctx context.Context, w io.Writer, o options, folders []string) error {
	_, all, err := builtIn()
	if err != nil {
		return err
	}
	if len(all) <= fewRules {
		return fmt.Errorf("there are only %d detectors", len(all))
	}
	fmt.Fprintf(w, "\ndetectors: CPU seconds of scanning in one process\n\n")
	t := newTable(w)
	fmt.Fprintf(t, "%s\tthe first %d\tall %d\tslower by\t\n", name("folder"), fewRules, len(all))
	for _, folder := range folders {
		files, err := readFolder(folder)
		if err != nil {
			return err
		}
		few, many, err := compareRules(ctx, o, all, files)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.0f %%\t\n", name(filepath.Base(folder)), few.Seconds(), many.Seconds(), 100*(ratio(many, few)-1))
	}
	return t.Flush()
}

func compareRules(ctx context.Context, o options, all []*rule.Rule, files [][]byte) (few, many time.Duration, err error) {
	var took [2][]time.Duration
	var scanners [2]*detect.Scanner
	for i, n := range []int{fewRules, len(all)} {
		e, err := detect.New(all[:n], detect.Options{})
		if err != nil {
			return 0, 0, err
		}
		scanners[i] = e.NewScanner()
	}
	for range 1 + o.runs { // the first time compiles what it needs
		for i, s := range scanners {
			d, err := cpuOf(1, func() {
				for _, f := range files {
					s.Scan(f)
				}
			})
			if err != nil {
				return 0, 0, err
			}
			took[i] = append(took[i], d)
		}
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
	}
	same := func(d time.Duration) time.Duration { return d }
	return measure.Median(took[0][1:], same), measure.Median(took[1][1:], same), nil
}

// readFolder reads the files below a folder, without Git's own.
func readFolder(folder string) (files [][]byte, err error) {
	err = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		files = append(files, data)
		return err
	})
	return files, err
}
