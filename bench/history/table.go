package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"magpie/bench/measure"
)

// printMachine says on what the figures were made, for they mean nothing elsewhere.
func (b *bench) printMachine(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "%d cores, %s/%s%s; %s; magpie %s\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, measure.Processor(),
		b.versionOf(ctx, "git", "--version"), strings.TrimPrefix(b.versionOf(ctx, b.magpie, "version"), "magpie "))
	for _, c := range peers() {
		if path, err := exec.LookPath(c.name); err == nil && b.peers && b.wants(c.name) {
			fmt.Fprintf(w, "%s: %s\n", c.name, b.versionOf(ctx, path, measure.VersionArgs(c.name)...))
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Fprintf(w, "load of the machine before: %s\n", strings.Join(strings.Fields(string(load))[:3], " "))
	}
	floor, err := measure.Run(ctx, measure.Process{Args: []string{"git", "--version"}, Env: b.env, Limit: b.limit, Dir: b.temp})
	if err != nil {
		return fmt.Errorf("running git: %w", err)
	}
	// A process inherits the memory of the one that started it for as long as it takes to start.
	_, err = fmt.Fprintf(w, "peaks below %.0f MB can't be told apart\n", float64(floor.Peak)/1e6)
	return err
}

// name prints what a line is about, so that it begins at the left although figures end at the right.
func name(s string) string { return fmt.Sprintf("%-22s", s) }

func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// printResult prints the tables of one repository.
func printResult(w io.Writer, r result) error {
	f := r.Facts
	fmt.Fprintf(w, "\n%s: %d objects (%d commits, %d trees, %d blobs, %d tags), pack %.1f MB, blobs expanded %.0f MB\n",
		f.Name, f.objects(), f.Commits, f.Trees, f.Blobs, f.Tags, float64(f.Pack)/1e6, float64(f.Expanded)/1e6)
	if err := printSeries(w, r); err != nil {
		return err
	}
	printNotes(w, r)
	if err := printScaling(w, r.Scaling); err != nil {
		return err
	}
	return printPush(w, r)
}

func printSeries(w io.Writer, r result) error {
	stream, local := find(r.Series, magpieStream), find(r.Series, magpieLocal)
	table := newTable(w)
	fmt.Fprintln(table, name("program")+"\truns\tCPU s\twall s\tpeak MB\tfindings\tsecrets\tCPU : stream\tCPU : local\t")
	for _, s := range r.Series {
		switch {
		case s.absent:
		case s.Failure != "":
			fmt.Fprintf(table, "%s\t%d\tfailed\t-\t-\t-\t-\t-\t-\t\n", name(s.Name), len(s.Runs))
		default:
			findings, secrets := counts(s)
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t\n", name(s.Name), len(s.Runs), seconds(s.cpu()), seconds(s.wall()),
				float64(s.peak())/1e6, findings, secrets, ratio(s, stream), ratio(s, local))
		}
	}
	return table.Flush()
}

// printNotes says below the table what has no place in it.
func printNotes(w io.Writer, r result) {
	if s := find(r.Series, magpieStream); s != nil && s.complete() {
		fmt.Fprintf(w, "  the server of %s, not counted: %s CPU s\n", magpieStream, seconds(s.server()))
	}
	var absent []string
	for _, s := range r.Series {
		switch {
		case s.absent:
			absent = append(absent, s.Name)
		case s.Failure != "":
			fmt.Fprintf(w, "  %s: %s\n", s.Name, measure.Shorten(s.Failure))
		case !s.steady():
			fmt.Fprintf(w, "  %s: not every run found the same\n", s.Name)
		}
	}
	if len(absent) > 0 {
		fmt.Fprintf(w, "  not on PATH: %s\n", strings.Join(absent, ", "))
	}
}

func printScaling(w io.Writer, all []*series) error {
	if len(all) == 0 {
		return nil
	}
	table := newTable(w)
	fmt.Fprintln(table, name("cores")+"\tCPU s\twall s\twall of 1 core : this\t")
	for _, s := range all {
		if !s.complete() {
			fmt.Fprintf(table, "%s\tfailed\t-\t-\t\n", s.Name)
			continue
		}
		speedup := "-"
		if all[0].complete() {
			speedup = fmt.Sprintf("%.2f", all[0].wall().Seconds()/s.wall().Seconds())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t\n", name(s.Name), seconds(s.cpu()), seconds(s.wall()), speedup)
	}
	return table.Flush()
}

func printPush(w io.Writer, r result) error {
	switch {
	case r.PushFailure != "":
		_, err := fmt.Fprintf(w, "push: %s\n", measure.Shorten(r.PushFailure))
		return err
	case len(r.Pushes) == 0:
		return nil
	}
	first := r.Pushes[0]
	fmt.Fprintf(w, "push of %d commits: %d objects, %.2f MB, %d findings in commits; the server, not counted: %s CPU s\n", r.Pushed.Commits,
		first.Objects, float64(first.Pack)/1e6, first.Findings, seconds(measure.Median(r.Pushes, func(p pushFigures) time.Duration { return p.Server })))
	table := newTable(w)
	fmt.Fprintln(table, name("push")+"\tCPU s\twall s\tpeak MB\t")
	fmt.Fprintf(table, "%s\t%s\t-\t-\t\n", name("asking and receiving"), fine(measure.Median(r.Pushes, func(p pushFigures) time.Duration { return p.Receive })))
	fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\t\n", name("after the pack is here"), fine(measure.Median(r.Pushes, func(p pushFigures) time.Duration { return p.Examine })),
		fine(measure.Median(r.Pushes, func(p pushFigures) time.Duration { return p.Wall })), float64(measure.Median(r.Pushes, func(p pushFigures) int64 { return p.Peak }))/1e6)
	fmt.Fprintf(table, "%s\t%s\t-\t-\t\n", name("the same once more"), fine(measure.Median(r.Pushes, func(p pushFigures) time.Duration { return p.Again })))
	return table.Flush()
}

// printGrowth prints how each program's cost grows from the smallest repository to the largest.
func printGrowth(w io.Writer, all []result) error {
	list := growths(all)
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\ngrowth: CPU s for a million objects and for 100 MB of pack; powers from one repository to the next, and of all")
	table := newTable(w)
	fmt.Fprintln(table, name("program")+"\trepository\tobjects\tpack MB\tCPU s\tCPU s/M objects\tCPU s/100 MB\tpower of objects\tpower of pack\t")
	for _, g := range list {
		objects, packs := g.points(objectsOf), g.points(packOf)
		for i, row := range g.rows {
			byObjects, byPack := math.NaN(), math.NaN()
			if i > 0 {
				byObjects, byPack = slope(objects[i-1], objects[i]), slope(packs[i-1], packs[i])
			}
			fmt.Fprintf(table, "%s\t%s\t%d\t%.1f\t%s\t%.2f\t%.2f\t%s\t%s\t\n", name(g.program), row.facts.Name, row.facts.objects(), float64(row.facts.Pack)/1e6,
				seconds(row.cpu), row.cpu.Seconds()/objectsOf(row.facts)*1e6, row.cpu.Seconds()/packOf(row.facts)*1e8, power(byObjects), power(byPack))
		}
		fmt.Fprintf(table, "%s\tall\t\t\t\t\t\t%s\t%s\t\n", name(g.program), power(fit(objects)), power(fit(packs)))
	}
	return table.Flush()
}

func find(all []*series, name string) *series {
	if i := slices.IndexFunc(all, func(s *series) bool { return s.Name == name }); i >= 0 {
		return all[i]
	}
	return nil
}

// counts prints what a program found in its last run.
func counts(s *series) (findings, secrets string) {
	t := s.Runs[len(s.Runs)-1].Found
	switch {
	case t == nil:
		return "-", "-"
	case t.Secrets < 0:
		return strconv.Itoa(t.Findings), "-"
	}
	return strconv.Itoa(t.Findings), strconv.Itoa(t.Secrets)
}

// ratio prints how many times the CPU time of base a program took.
func ratio(s, base *series) string {
	if base == nil || !base.complete() || base.cpu() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", s.cpu().Seconds()/base.cpu().Seconds())
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

// fine prints times of which a hundredth of a second is much.
func fine(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func power(p float64) string {
	if math.IsNaN(p) {
		return "-"
	}
	return fmt.Sprintf("%.2f", p)
}
