package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"magpie/bench/measure"
)

// contender is a program that scans a folder as it is.
type contender struct {
	name    string
	program string // a path, or a name that is looked for on PATH
	args    []string
	count   func(io.Reader) (measure.Tally, error)
	found   []int // exit statuses, beside 0, that mean success
}

// contenders returns Magpie and all peers. They get the options that make them look at the files and at no history, ask no
// network and print all they found, and are otherwise as they come. The folder goes behind the options.
func contenders(magpie string) []contender {
	report := []string{"dir", "--no-banner", "--log-level", "error", "--exit-code", "0", "--report-format", "json", "--report-path", "-"}
	return []contender{
		{name: "magpie", program: magpie, args: []string{"scan", "--no-progress", "--no-history", "--format", "jsonl"}, count: measure.CountMagpie, found: []int{1}},
		{name: "gitleaks", program: "gitleaks", args: report, count: measure.CountGitleaks},
		{name: "betterleaks", program: "betterleaks", args: report, count: measure.CountGitleaks},
		{name: "titus", program: "titus", args: []string{"scan", "--output", ":memory:", "--format", "json"}, count: measure.CountTitus},
		{name: "trufflehog", program: "trufflehog", args: []string{"filesystem", "--no-verification", "--no-update", "--no-color", "--json"}, count: measure.CountTrufflehog},
		{name: "kingfisher", program: "kingfisher", args: []string{"scan", "--no-validate", "--format", "jsonl"}, count: measure.CountLines, found: []int{200, 205}},
	}
}

// series is one program and all its runs on one folder.
type series struct {
	contender
	runs    []measure.Figures
	failure string // why there are no more runs
	absent  bool
}

func (s *series) cpu() time.Duration {
	return measure.Median(s.runs, func(f measure.Figures) time.Duration { return f.CPU })
}

// measureTrees scans each folder with each program, round after round, so that whatever else the machine does hits all.
func measureTrees(ctx context.Context, w io.Writer, o options, folders []string, temp string) error {
	for _, folder := range folders {
		folder, err := filepath.Abs(folder)
		if err != nil {
			return err
		}
		files, size, err := measureFolder(folder)
		if err != nil {
			return err
		}
		var all []*series
		for _, c := range contenders(o.magpie) {
			all = append(all, &series{contender: c})
		}
		for range o.runs {
			for _, s := range all {
				s.once(ctx, o, folder, temp)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		fmt.Fprintf(w, "\n%s: %d files, %.1f MB\n\n", filepath.Base(folder), files, float64(size)/1e6)
		if err := printTree(w, all); err != nil {
			return err
		}
		if all[0].failure != "" {
			return fmt.Errorf("magpie on %s: %s", filepath.Base(folder), all[0].failure)
		}
	}
	return nil
}

// once runs a program and notes what became of it.
func (s *series) once(ctx context.Context, o options, folder, temp string) {
	if s.absent || s.failure != "" {
		return
	}
	path, err := exec.LookPath(s.program)
	if err != nil {
		s.absent = true
		return
	}
	scratch, err := os.MkdirTemp(temp, "run-")
	if err != nil {
		s.failure = err.Error()
		return
	}
	defer func() { _ = os.RemoveAll(scratch) }() // as is the folder that it is in
	f, err := measure.Run(ctx, measure.Process{
		Args: slices.Concat([]string{path}, s.args, []string{folder}), Dir: scratch, Env: environment(), Found: s.found, Limit: o.limit, Count: s.count,
	})
	switch {
	case errors.Is(err, measure.ErrTooLong):
		s.failure = fmt.Sprintf("longer than %s", o.limit)
	case err != nil:
		s.failure = err.Error()
	default:
		s.runs = append(s.runs, f)
	}
}

// environment is the one at hand without settings for scanners.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GITLEAKS_") || strings.HasPrefix(v, "BETTERLEAKS_") || strings.HasPrefix(v, "MAGPIE_") || strings.HasPrefix(v, "GOMAXPROCS=")
	})
}

// measureFolder counts the regular files below a folder and their bytes, without Git's own.
func measureFolder(folder string) (files int, size int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err == nil {
			files, size = files+1, size+info.Size()
		}
		return err
	})
	return files, size, err
}

func printTree(w io.Writer, all []*series) error {
	t := newTable(w)
	fmt.Fprintf(t, "%s\tCPU s\twall s\tpeak MB\tfindings\tsecrets\tCPU : magpie\t\n", name("program"))
	var notes []string
	for _, s := range all {
		switch {
		case s.absent:
			continue
		case s.failure != "":
			fmt.Fprintf(t, "%s\tfailed\t\t\t\t\t\t\n", name(s.name))
			notes = append(notes, s.name+": "+s.failure)
			continue
		}
		wall := measure.Median(s.runs, func(f measure.Figures) time.Duration { return f.Wall })
		peak := measure.Median(s.runs, func(f measure.Figures) int64 { return f.Peak })
		found := s.runs[0].Found
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.0f\t%d\t%d\t%.1f\t\n", name(s.name), s.cpu().Seconds(), wall.Seconds(), float64(peak)/1e6,
			found.Findings, found.Secrets, ratio(s.cpu(), all[0].cpu()))
	}
	err := t.Flush()
	for _, note := range notes {
		fmt.Fprintln(w, note)
	}
	return err
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }
