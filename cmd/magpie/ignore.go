package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/ignore"
	"magpie/internal/report"
	"magpie/internal/scan"
)

// ignoreFlags say what a scan leaves out.
type ignoreFlags struct {
	IgnoreFile    []string `placeholder:"FILE" help:"Leave out what this file says, in the form of .magpieignore, .gitleaks.toml or .gitleaksignore."`
	IgnorePath    []string `placeholder:"PATTERN" help:"Leave out the files that match, in the form of a line of .gitignore."`
	NoIgnore      bool     `help:"Report also what comments and files in what is scanned say to ignore."`
	Baseline      string   `placeholder:"FILE" help:"Leave out the secrets in this baseline, and name those that are gone."`
	WriteBaseline string   `placeholder:"FILE" help:"Write all that is found and not ignored into this baseline; the exit status is then 0."`
}

// sieve leaves out what is known and accepted, for all paths of one run.
type sieve struct {
	flags    ignoreFlags
	engine   *detect.Engine
	rules    []magpie.RuleID
	given    []*ignore.List // by the command line
	baseline *ignore.BaselineFile
	leftOut  report.LeftOut
	expired  map[string]bool  // files whose expressions were too much work
	known    []magpie.Finding // those of the baseline
}

// newSieve reads the files that the command line names. What is wrong in one of them is an error: whoever names it can
// mend it.
func newSieve(flags ignoreFlags, engine *detect.Engine) (*sieve, error) {
	s := &sieve{flags: flags, engine: engine, expired: map[string]bool{}}
	for _, r := range engine.Rules() {
		s.rules = append(s.rules, r.ID)
	}
	var errs []error
	for _, name := range flags.IgnoreFile {
		data, err := readAtMost(name, ignore.MaxFileBytes)
		if err != nil {
			errs = append(errs, magpie.Errorf(magpie.KindInvalid, "reading what to ignore: %w", err))
			continue
		}
		list, problems := ignore.Parse(name, data, ignore.Options{Rules: s.rules, Open: openBeside(filepath.Dir(name))})
		s.given = append(s.given, list)
		errs = append(errs, asErrors(problems)...)
	}
	if len(flags.IgnorePath) > 0 {
		list, problems := ignore.ParsePaths("--ignore-path", flags.IgnorePath)
		s.given = append(s.given, list)
		errs = append(errs, asErrors(problems)...)
	}
	if flags.Baseline != "" {
		data, err := readAtMost(flags.Baseline, ignore.MaxBaselineBytes)
		if err != nil {
			errs = append(errs, magpie.Errorf(magpie.KindInvalid, "reading the baseline: %w", err))
		} else if s.baseline, err = ignore.ReadBaseline(flags.Baseline, data); err != nil {
			errs = append(errs, err)
		}
	}
	return s, errors.Join(errs...)
}

func asErrors(problems []ignore.Problem) (errs []error) {
	for _, p := range problems {
		errs = append(errs, magpie.Errorf(magpie.KindInvalid, "%s", p))
	}
	return errs
}

// readAtMost reads a file, and one byte more than most of one that is larger.
func readAtMost(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// openBeside returns a function that opens files in or below a folder, and none that lead out of it.
func openBeside(dir string) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a file", name)
		}
		return io.ReadAll(io.LimitReader(f, ignore.MaxFileBytes+1))
	}
}

// own returns what a target says for itself: the files in its folder, or those of the commit that the scan read.
func (s *sieve) own(target string, result scan.Result, inFolder bool) (lists []*ignore.List) {
	read := func(name string) ([]byte, error) {
		if data, ok := result.Own[name]; ok {
			return data, nil
		}
		return nil, fs.ErrNotExist
	}
	if inFolder {
		read = openBeside(target)
	}
	for _, name := range ignore.Names() {
		data, err := read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			s.problem(target, fmt.Sprintf("%s can't be read: %v", name, err))
			continue
		}
		list, problems := ignore.Parse(name, data, ignore.Options{Rules: s.rules, Open: read})
		lists = append(lists, list)
		for _, p := range problems {
			s.problem(target, p.String())
		}
	}
	return lists
}

func (s *sieve) problem(target, what string) {
	s.leftOut.Problems = append(s.leftOut.Problems, target+": "+what)
}

// sort returns the findings that are to be reported.
func (s *sieve) sort(target string, places []scan.Place, own []*ignore.List) ([]magpie.Finding, error) {
	theirs, ours := new(ignore.Set), new(ignore.Set)
	for _, l := range own {
		theirs.Add(l)
	}
	for _, l := range s.given {
		ours.Add(l)
	}
	var kept, ignored []scan.Place
	for _, p := range places {
		held := false
		if s.baseline != nil {
			var err error
			if held, err = s.baseline.Holds(p.Secret.Reveal()); err != nil {
				return nil, err
			}
		}
		p.Ignored = s.judge(p.Finding, theirs)
		if p.Ignored.Kind != "" && s.flags.NoIgnore {
			p.Ignored.Kind = "" // so that it is only told
		}
		if v := ours.Match(s.question(p.Finding)); p.Ignored.Kind == "" && len(v) > 0 {
			p.Ignored = magpie.Ignored{Kind: string(v[0].Kind), By: v[0].By}
		}
		if p.Ignored.Kind == "" && held {
			p.Ignored.Kind = string(ignore.Baseline)
		}
		if p.Ignored.Kind == "" {
			kept = append(kept, p)
		} else {
			ignored = append(ignored, p)
		}
	}
	for _, name := range append(theirs.Spent(), ours.Spent()...) {
		if !s.expired[target+name] {
			s.expired[target+name] = true
			s.problem(target, name+": its expressions are too much work and were not compared with all that was found")
		}
	}
	findings := firstPlaces(kept)
	for _, f := range firstPlaces(append(kept, ignored...))[len(findings):] {
		s.count(f)
	}
	return findings, nil
}

// judge returns by whose word in what is scanned a finding is to be ignored.
func (s *sieve) judge(f magpie.Finding, theirs *ignore.Set) magpie.Ignored {
	if f.Comment != "" {
		return magpie.Ignored{Kind: string(ignore.Comment), By: "the comment " + f.Comment}
	}
	if v := theirs.Match(s.question(f)); len(v) > 0 {
		return magpie.Ignored{Kind: string(v[0].Kind), By: v[0].By}
	}
	return magpie.Ignored{}
}

// question is what entries need to know of a finding.
func (s *sieve) question(f magpie.Finding) ignore.Finding { return scan.IgnoreQuestion(s.engine, f) }

func (s *sieve) count(f magpie.Finding) {
	switch ignore.Kind(f.Ignored.Kind) {
	case ignore.Comment:
		s.leftOut.Comments++
	case ignore.Path:
		s.leftOut.Paths++
	case ignore.Single:
		s.leftOut.Findings++
	case ignore.Baseline:
		s.leftOut.Baseline++
		s.known = append(s.known, f)
	}
}

// finish writes the baseline, if that is wanted, and tells what was left out.
func (s *sieve) finish(w io.Writer, findings []magpie.Finding, complete bool) error {
	if s.baseline != nil && complete {
		s.leftOut.Stale = s.baseline.Stale()
	}
	s.print(w)
	if s.flags.WriteBaseline == "" || !complete {
		return nil
	}
	b := ignore.NewBaseline()
	if s.baseline != nil {
		b = s.baseline.Fresh()
	}
	for _, f := range append(findings, s.known...) {
		if err := b.Put(f); err != nil {
			return err
		}
	}
	data, err := b.Encode()
	if err != nil {
		return err
	}
	if err := replaceFile(s.flags.WriteBaseline, data); err != nil {
		return magpie.Errorf(magpie.KindInvalid, "writing the baseline: %w", err)
	}
	fmt.Fprintf(w, "baseline %s: %s\n", s.flags.WriteBaseline, count(b.Len(), "secret"))
	return nil
}

// maxStale is how many secrets that are gone from a baseline are named.
const maxStale = 20

func (s *sieve) print(w io.Writer) {
	var parts []string
	for _, part := range []struct {
		n  int
		by string
	}{
		{s.leftOut.Comments, "comments"},
		{s.leftOut.Paths, "paths and detectors"},
		{s.leftOut.Findings, "values and places"},
		{s.leftOut.Baseline, "the baseline"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d by %s", part.n, part.by))
		}
	}
	if len(parts) > 0 {
		hint := ""
		if s.leftOut.Comments+s.leftOut.Paths+s.leftOut.Findings > 0 && !s.flags.NoIgnore {
			hint = " (--no-ignore reports what comments and files in what is scanned say to ignore)"
		}
		fmt.Fprintf(w, "left out: %s%s\n", strings.Join(parts, ", "), hint)
	}
	for _, p := range s.leftOut.Problems {
		fmt.Fprintln(w, magpie.Printable(p))
	}
	if len(s.leftOut.Stale) == 0 {
		return
	}
	verb := "is"
	if len(s.leftOut.Stale) > 1 {
		verb = "are"
	}
	fmt.Fprintf(w, "%s of the baseline %s %s found no more:\n", count(len(s.leftOut.Stale), "secret"), s.flags.Baseline, verb)
	for _, gone := range s.leftOut.Stale[:min(len(s.leftOut.Stale), maxStale)] {
		fmt.Fprintf(w, "  %s\n", magpie.Printable(gone))
	}
	if more := len(s.leftOut.Stale) - maxStale; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

// replaceFile puts a file in place of what was there, whole or not at all.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".magpie-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
