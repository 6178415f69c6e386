package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"magpie"
	"magpie/internal/detect"
	"magpie/internal/git/pack"
	"magpie/internal/git/smarthttp"
	"magpie/internal/guard"
	"magpie/internal/ignore"
	"magpie/internal/report"
	"magpie/internal/rule"
	"magpie/internal/scan"
	"magpie/rules"
)

// scanCommand scans repositories, folders, files and standard input.
type scanCommand struct {
	Format      string   `enum:"text,json,jsonl,sarif,csv" default:"text" help:"Output: ${enum}."`
	ShowSecrets bool     `help:"Print the values that were found. Without it they are masked."`
	Rules       []string `type:"existingfile" placeholder:"FILE" help:"Further detectors, in the form of docs/rules.md."`
	NoHistory   bool     `help:"Scan the files of a repository as they are, not its history."`
	URL         string   `placeholder:"URL" help:"Scan the repository at this HTTPS clone address."`
	TokenFile   string   `type:"existingfile" placeholder:"FILE" help:"File with the access token for --url."`
	CAFile      []string `type:"existingfile" placeholder:"FILE" help:"Further certificate authorities for --url, in PEM."`
	Jobs        int      `short:"j" placeholder:"N" help:"How many cores to use. Default: all."`
	NoProgress  bool     `help:"Show no progress."`
	ignoreFlags
	Paths []string `arg:"" optional:"" name:"path" help:"Git repository or bundle (all of its history), folder or file, or - for standard input."`
}

// Run implements the command.
func (c *scanCommand) Run(p *process) error {
	if (len(c.Paths) == 0) == (c.URL == "") {
		return magpie.Errorf(magpie.KindInvalid, "give either one or more paths, or --url")
	}
	engine, err := newEngine(c.Rules)
	if err != nil {
		return err
	}
	sieve, err := newSieve(c.ignoreFlags, engine)
	if err != nil {
		return err
	}
	job := scanJob{command: c, process: p, engine: engine, sieve: sieve, started: time.Now()}
	if c.URL != "" {
		job.one(c.URL, job.remote)
	}
	for _, path := range c.Paths {
		job.one(path, job.local)
	}
	return job.finish()
}

// newEngine returns the built-in detectors and those in files.
func newEngine(files []string) (*detect.Engine, error) {
	all, err := rules.All()
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			problems = append(problems, magpie.Errorf(magpie.KindInvalid, "reading detectors: %w", err))
			continue
		}
		more, err := rule.Parse(file, data)
		if err != nil {
			problems = append(problems, err)
		}
		all = append(all, more...)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return detect.New(all, detect.Options{KeepIgnored: true})
}

// scanJob is one run of the command over all its paths.
type scanJob struct {
	command  *scanCommand
	process  *process
	engine   *detect.Engine
	sieve    *sieve
	started  time.Time
	findings []magpie.Finding
	summary  report.Summary
	failed   []error
	inFolder bool // the target at hand is a folder, whose own files say what to ignore
}

// grace is how long an interrupted scan may still look for the places of what it found.
const grace = 5 * time.Second

// one scans one target. What fails is kept for the end, so that the other targets are scanned all the same. After an
// interruption no other target is begun.
func (j *scanJob) one(target string, look func(target string, e scan.Examination) (scan.Result, error)) {
	if j.process.ctx.Err() != nil {
		j.fail(target, errors.New("not scanned, because of the interruption"))
		return
	}
	meter := new(scan.Meter)
	bar := startBar(j.process, target, meter, j.command.NoProgress)
	j.inFolder = false
	e := scan.Examination{Engine: j.engine, Workers: j.command.Jobs, Progress: meter, Grace: grace, Own: ignore.Names()}
	result, err := look(target, e)
	bar.stop()
	if err != nil && j.process.ctx.Err() != nil {
		err = errors.New("interrupted; what was found until then is printed")
	}
	if err != nil {
		j.fail(target, err)
	}
	progress := meter.Progress()
	j.summary.Blobs += progress.Blobs
	j.summary.Bytes += progress.BlobBytes
	j.summary.Skipped += result.SkippedCount
	for _, why := range result.Skipped {
		j.summary.Why = append(j.summary.Why, target+": "+why)
	}
	findings, err := j.sieve.sort(target, result.Places, j.sieve.own(target, result, j.inFolder))
	if err != nil {
		j.fail(target, err)
	}
	j.findings = append(j.findings, findings...)
}

// fail keeps why a target was not scanned to the end.
func (j *scanJob) fail(target string, err error) {
	j.failed = append(j.failed, fmt.Errorf("scanning %s: %w", target, err))
	j.summary.Failures = append(j.summary.Failures, fmt.Sprintf("%s: %s", target, readableError(err)))
}

// firstPlaces keeps, of each match in each version of a file, the first commit that brought that version to a path.
func firstPlaces(places []scan.Place) []magpie.Finding {
	type key struct {
		blob         magpie.Hash
		file         string
		line, column int
		rule         magpie.RuleID
	}
	seen := map[key]bool{}
	var findings []magpie.Finding
	for _, p := range places {
		k := key{p.Blob, p.File, p.LineStart, p.ColumnStart, p.Rule}
		if !seen[k] {
			seen[k] = true
			findings = append(findings, p.Finding)
		}
	}
	return findings
}

func (j *scanJob) local(path string, e scan.Examination) (scan.Result, error) {
	if path == "-" {
		return scan.ExamineReader(untilDone(j.process.ctx, j.process.stdin), "-", e)
	}
	if pack.IsBundle(path) {
		if j.command.NoHistory {
			return scan.Result{}, magpie.Errorf(magpie.KindInvalid, "%s is a bundle, which holds nothing but history", path)
		}
		return scan.ExamineBundle(j.process.ctx, path, e)
	}
	if !j.command.NoHistory {
		repository, err := pack.Open(path, pack.Limits{})
		if err == nil {
			defer repository.Close()
			if j.inFolder = isWorkTree(path); j.inFolder {
				e.Own = nil
			}
			return scan.ExamineRepository(j.process.ctx, repository, e)
		}
		if magpie.KindOf(err) != magpie.KindNotFound {
			return scan.Result{}, err
		}
	}
	info, err := os.Stat(path)
	j.inFolder = err == nil && info.IsDir()
	result, err := scan.ExamineFolder(j.process.ctx, path, e)
	if errors.Is(err, os.ErrNotExist) {
		err = &magpie.Error{Kind: magpie.KindInvalid, Message: "there is no " + path, Err: err}
	}
	return result, err
}

// isWorkTree reports whether a repository's files stand at its path, not only its objects.
func isWorkTree(path string) bool {
	_, err := os.Lstat(filepath.Join(path, ".git"))
	return err == nil
}

// untilDone gives what r gives until ctx ends, also while r makes it wait, as a terminal does.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		stop()
		_ = in.CloseWithError(err) // which says that it ended, if err is nil
	}()
	return out
}

// remote scans all that the refs of a repository at a server reach, as the server's own first scans do.
func (j *scanJob) remote(target string, e scan.Examination) (scan.Result, error) {
	client, err := j.connect(target)
	if err != nil {
		return scan.Result{}, err
	}
	ctx := j.process.ctx
	listing, err := client.LsRefs(ctx)
	if err != nil {
		return scan.Result{}, err
	}
	want := scan.Want{Format: listing.Format}
	seen := map[magpie.Hash]bool{}
	for _, ref := range listing.Refs {
		if ref.Name == "HEAD" {
			e.Default, e.OwnAt = ref.Target, ref.Hash
		} else {
			e.Refs = append(e.Refs, magpie.Tip{Ref: ref.Name, Hash: ref.Hash})
		}
		if !seen[ref.Hash] {
			seen[ref.Hash] = true
			want.Tips = append(want.Tips, ref.Hash)
		}
	}
	var result scan.Result
	if len(want.Tips) == 0 {
		return result, nil
	}
	fetcher := &scan.Fetcher{
		Client: client, Examination: e, Room: scan.NewRoom("", 0),
		// Somebody waits, and nobody comes back later by itself.
		Slicing: scan.Slicing{Tries: 3, Patience: 5 * time.Minute},
	}
	err = fetcher.Scan(ctx, want, scan.Position{}, func(_ context.Context, s scan.Slice) error {
		result.Add(s.Result)
		return nil
	})
	return result, err
}

// connect opens the address given by --url. A person typed it on their own machine, so private addresses are fine.
func (j *scanJob) connect(target string) (*smarthttp.Client, error) {
	roots, err := guard.LoadRoots(j.command.CAFile...)
	if err != nil {
		return nil, err
	}
	allow, err := guard.ParseAllow("private", "loopback")
	if err != nil {
		return nil, err
	}
	client := guard.New(guard.Options{RootCAs: roots, AllowPrivate: allow}).Client(0)
	var token magpie.Secret
	if j.command.TokenFile != "" {
		data, err := os.ReadFile(j.command.TokenFile)
		if err != nil {
			return nil, magpie.Errorf(magpie.KindInvalid, "reading the token: %w", err)
		}
		token = magpie.NewSecret(bytes.TrimSpace(data))
	}
	return smarthttp.New(smarthttp.Options{HTTP: client, URL: target, Token: token})
}

// errNotFinished is why a scan ends with its own exit status although it may have found something.
var errNotFinished = errors.New("not everything could be scanned")

// finish prints everything and gives the exit status.
func (j *scanJob) finish() error {
	j.summary.Findings, j.summary.Secrets = len(j.findings), report.CountSecrets(j.findings)
	j.summary.Duration = time.Since(j.started)
	var told bytes.Buffer
	baselineErr := j.sieve.finish(&told, j.findings, len(j.failed) == 0)
	j.summary.LeftOut = j.sieve.leftOut
	opts := report.Options{
		Format: report.Format(j.command.Format), ShowSecrets: j.command.ShowSecrets, Version: version(),
		Color: isTerminal(j.process.stdout) && os.Getenv("NO_COLOR") == "", Rules: reportRules(j.engine),
	}
	if err := report.Write(j.process.stdout, j.findings, j.summary, opts); err != nil {
		return err
	}
	j.printSummary()
	if _, err := told.WriteTo(j.process.stderr); err != nil {
		return err
	}
	switch {
	case baselineErr != nil:
		return baselineErr
	case len(j.failed) > 0:
		return fmt.Errorf("%w: %w", errNotFinished, errors.Join(j.failed...))
	case len(j.findings) > 0 && j.command.WriteBaseline == "":
		return errSecretsFound
	default:
		return nil
	}
}

func (j *scanJob) printSummary() {
	s := j.summary
	fmt.Fprintf(j.process.stderr, "%s in %s; %s or versions of files, %s, in %s\n",
		count(s.Secrets, "secret"), count(s.Findings, "place"), count(s.Blobs, "file"), size(s.Bytes), s.Duration.Round(time.Millisecond))
	if s.Skipped > 0 {
		fmt.Fprintf(j.process.stderr, "%s could not be read:\n", count(s.Skipped, "thing"))
		for _, why := range s.Why[:min(len(s.Why), 20)] {
			fmt.Fprintf(j.process.stderr, "  %s\n", why)
		}
	}
}

// reportRules describes the engine's detectors for the output.
func reportRules(engine *detect.Engine) []report.Rule {
	var all []report.Rule
	for _, r := range engine.Rules() {
		all = append(all, report.Rule{
			ID: r.ID, Title: r.Title, Description: r.Description, Remediation: r.Remediation,
			References: r.References, Severity: r.Severity,
		})
	}
	return all
}

// readableError is what an output file says of an error.
func readableError(err error) string {
	if e, ok := errors.AsType[*magpie.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// count prints how many things there are.
func count[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// size prints a number of bytes for people.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	return strings.Replace(fmt.Sprintf("%.1f %s", v, units[i]), ".0 ", " ", 1)
}
