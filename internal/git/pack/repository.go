package pack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"magpie"
	"magpie/internal/git"
)

// Repository is a Git repository on disk. It implements git.Source: its walks go through all packs, loose objects and
// alternates. Nothing in it is ever changed or run. It holds no open files between calls.
type Repository struct {
	gitDir    string // of this worktree
	commonDir string // of all worktrees
	objects   []string
	format    git.Format
	limits    Limits
	absent    Absence
	reftable  bool

	mu    sync.Mutex
	packs map[string]*packFile // by path; their r is nil
}

// Absence says what a repository leaves out on purpose.
type Absence struct {
	Shallow []magpie.Hash // commits whose parents are absent
	Partial bool          // objects may be absent, to be fetched by git when needed
}

// maxAlternates is how many object directories in all a repository may be made of.
const maxAlternates = 20

// Open opens the repository at path: a working copy, a worktree of another one, a submodule, or a bare repository. An
// error of kind KindNotFound says that there is none.
func Open(path string, limits Limits) (*Repository, error) {
	gitDir, err := findGitDir(path)
	if err != nil {
		return nil, err
	}
	r := &Repository{gitDir: gitDir, commonDir: gitDir, limits: limits.withDefaults(), packs: map[string]*packFile{}}
	if b, err := readSmall(filepath.Join(gitDir, "commondir")); err == nil {
		r.commonDir = relativeTo(gitDir, strings.TrimSpace(string(b)))
	}
	if err := r.readConfig(); err != nil {
		return nil, err
	}
	if b, err := readSmall(filepath.Join(r.commonDir, "shallow")); err == nil {
		for line := range strings.FieldsSeq(string(b)) {
			if id, err := git.ParseID(line); err == nil {
				r.absent.Shallow = append(r.absent.Shallow, id.Hash())
			}
		}
	}
	r.addObjects(filepath.Join(r.commonDir, "objects"))
	return r, nil
}

// findGitDir returns the directory that holds HEAD for the repository at path.
func findGitDir(path string) (string, error) {
	if b, err := readSmall(filepath.Join(path, ".git")); err == nil {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: "); ok {
			return relativeTo(path, dir), nil
		}
	}
	for _, dir := range []string{filepath.Join(path, ".git"), path} {
		head, err := os.Stat(filepath.Join(dir, "HEAD"))
		if err != nil || !head.Mode().IsRegular() {
			continue
		}
		// A worktree's own directory has no objects, but names the one that has.
		for _, name := range []string{"objects", "commondir"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return dir, nil
			}
		}
	}
	return "", magpie.Errorf(magpie.KindNotFound, "%s is not a Git repository", path)
}

// relativeTo returns path, seen from dir if it is not absolute.
func relativeTo(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// addObjects adds an object directory and its alternates.
func (r *Repository) addObjects(dir string) {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if len(r.objects) >= maxAlternates || slices.Contains(r.objects, dir) {
		return
	}
	r.objects = append(r.objects, dir)
	b, err := readSmall(filepath.Join(dir, "info", "alternates"))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			r.addObjects(relativeTo(dir, line))
		}
	}
}

// readConfig takes from the repository's configuration how it is stored, and nothing else. Files it includes are not
// read.
func (r *Repository) readConfig() error {
	b, err := readSmall(filepath.Join(r.commonDir, "config"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the repository's configuration: %w", err)
	}
	for key, value := range configLines(string(b)) {
		switch {
		case key == "extensions.objectformat":
			if r.format, err = git.ParseFormat(value); err != nil {
				return magpie.Errorf(magpie.KindInvalid, "the repository has object format %q, which is not known", value)
			}
		case key == "extensions.refstorage":
			r.reftable = value == "reftable"
		case key == "extensions.partialclone":
			r.absent.Partial = true
		case strings.HasPrefix(key, "remote ") && strings.HasSuffix(key, ".promisor"):
			r.absent.Partial = r.absent.Partial || value == "true"
		}
	}
	return nil
}

// configLines goes through the settings of a Git configuration file, as "section.key" in lower case with their values.
func configLines(text string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		section := ""
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' || line[0] == ';' {
				continue
			}
			if line[0] == '[' {
				name, _, _ := strings.Cut(line[1:], "]")
				section = strings.ToLower(strings.TrimSpace(name))
				continue
			}
			key, value, found := strings.Cut(line, "=")
			if !found {
				value = "true"
			}
			value = strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
			if !yield(section+"."+strings.ToLower(strings.TrimSpace(key)), value) {
				return
			}
		}
	}
}

// maxSmallFile bounds the files of a repository that are read whole.
const maxSmallFile = 16 << 20

// readSmall reads a regular file. Anything else, such as a pipe that would keep us waiting, is refused.
func readSmall(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSmallFile))
}

// openRegular opens a regular file for reading.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	return os.Open(path)
}

// Close ends the use of the repository.
func (r *Repository) Close() error { return nil }

// Format returns the repository's object format.
func (r *Repository) Format() git.Format { return r.format }

// Absent says what the repository leaves out on purpose, so that not finding something can be told apart from damage.
func (r *Repository) Absent() Absence { return r.absent }

// Walk implements git.Source. Objects that are stored several times are handed out once. A pack that can't be read at
// all counts as one skipped object.
func (r *Repository) Walk(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.Visitor) (git.Report, error) {
	return r.WalkLineages(ctx, opts, distinct(newVisitor))
}

// WalkLineages implements git.LineageSource, as Walk does git.Source.
func (r *Repository) WalkLineages(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.VersionVisitor) (git.Report, error) {
	run := newRun(ctx, opts, newVisitor)
	loose := r.looseFiles()
	run.total.Store(int64(len(loose)))
	done := map[string]bool{}
	// A repack by someone else may replace packs while we read, so look again until there is nothing new.
	for range 3 {
		paths := slices.DeleteFunc(r.packPaths(), func(p string) bool { return done[p] })
		for _, path := range paths {
			done[path] = true
			if err := r.preparePack(ctx, run, path); err != nil {
				return run.report, err
			}
		}
		for _, path := range paths {
			if err := r.walkPack(ctx, run, path); err != nil {
				return run.report, err
			}
		}
		if len(paths) == 0 {
			break
		}
	}
	run.walkLoose(loose, r.format, r.limits)
	return run.finish()
}

// packPaths lists the packs there are now.
func (r *Repository) packPaths() []string {
	var paths []string
	for _, dir := range r.objects {
		files, err := os.ReadDir(filepath.Join(dir, "pack"))
		if err != nil {
			continue
		}
		for _, f := range files {
			if filepath.Ext(f.Name()) == ".pack" {
				paths = append(paths, filepath.Join(dir, "pack", f.Name()))
			}
		}
	}
	return paths
}

// preparePack reads a pack's index, once.
func (r *Repository) preparePack(ctx context.Context, run *run, path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packs[path]
	if p == nil {
		f, err := openRegular(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		var x *index
		if err == nil {
			defer f.Close()
			x, err = indexFile(ctx, f, strings.TrimSuffix(path, ".pack")+".idx", r.format, r.limits)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			run.skip(&git.ObjectError{
				Offset: -1, Reason: git.ReasonCorrupt, Err: fmt.Errorf("%s can't be read: %w", filepath.Base(path), err),
			})
			return nil
		}
		p = newPackFile(f, x, r.format, r.limits)
		if _, err := p.prepare(ctx); err != nil {
			return err
		}
		p.r = nil
		r.packs[path] = p
	}
	run.total.Add(p.graph.count(run.opts.Kinds))
	return nil
}

// walkPack walks one pack that was prepared.
func (r *Repository) walkPack(_ context.Context, run *run, path string) error {
	r.mu.Lock()
	p := r.packs[path]
	r.mu.Unlock()
	if p == nil {
		return nil
	}
	f, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening a pack: %w", err)
	}
	defer f.Close()
	run.walkPack(&packFile{r: f, index: p.index, format: p.format, limits: p.limits}, p.graph)
	return run.failure()
}

// indexFile makes the index of a pack file, from its .idx file where that is good, or else by reading all of it.
func indexFile(ctx context.Context, f *os.File, idxPath string, format git.Format, limits Limits) (*index, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if x, err := readIdx(idxPath, f, info.Size(), format, limits); err == nil {
		return x, nil
	}
	in := newTee(bufio.NewReaderSize(io.NewSectionReader(f, 0, info.Size()), 1<<20), nil, format, limits.MaxPackBytes)
	return scanIndex(ctx, in, format, limits, func(_, _, _ int64) {})
}
