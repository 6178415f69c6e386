package pack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	gitDir     string // of this worktree
	commonDir  string // of all worktrees
	objects    []string
	format     git.Format
	limits     Limits
	absent     Absence
	refStorage string // "reftable", or as files if empty or "files"

	mu          sync.Mutex
	packs       map[string]*storedPack // by path
	midxTrouble []*git.ObjectError     // what was wrong with multi-pack-indexes when they were read last
}

// storedPack is a pack whose index was read; its r is nil between walks.
type storedPack struct {
	*packFile
	pruned bool // objects that another pack holds as well were left out
}

// Absence says what a repository leaves out, as far as that can be told without looking at its objects.
type Absence struct {
	Shallow []magpie.Hash // commits at the boundary of a shallow clone: their parents are absent on purpose
	Partial bool          // objects may be absent, to be fetched by git when needed
	Unread  []string      // what belongs to it but can't be read, such as absent alternates, and why, for people
}

// Open opens the repository at path: a working copy, a worktree of another one, a submodule, or a bare repository. An
// error of kind KindNotFound says that there is none, one of kind KindInvalid that there is one that can't be read.
func Open(path string, limits Limits) (*Repository, error) {
	gitDir, err := findGitDir(path)
	if err != nil {
		return nil, err
	}
	r := &Repository{gitDir: gitDir, commonDir: gitDir, limits: limits.withDefaults(), packs: map[string]*storedPack{}}
	b, err := readSmall(filepath.Join(gitDir, "commondir"))
	if err == nil {
		r.commonDir = relativeTo(gitDir, strings.TrimSpace(string(b)))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, notThere("the file", filepath.Join(gitDir, "commondir"), err)
	}
	objects := filepath.Join(r.commonDir, "objects")
	if _, err := os.ReadDir(objects); err != nil {
		return nil, notThere("the repository's object directory", objects, err)
	}
	if err := r.readConfig(); err != nil {
		return nil, err
	}
	r.readShallow()
	r.addObjects(objects)
	for _, dir := range r.objects {
		promised, err := filepath.Glob(filepath.Join(escapeGlob(dir), "pack", "*.promisor"))
		r.absent.Partial = r.absent.Partial || err == nil && len(promised) > 0
	}
	return r, nil
}

// escapeGlob makes a path stand for itself in a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// readShallow reads which commits are the boundary of a shallow clone.
func (r *Repository) readShallow() {
	path := filepath.Join(r.commonDir, "shallow")
	b, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.unread("the boundary of the shallow clone can't be read: %v", err)
		return
	}
	bad := 0
	for field := range strings.FieldsSeq(string(b)) {
		if id, err := git.ParseID(field); err == nil {
			r.absent.Shallow = append(r.absent.Shallow, id.Hash())
		} else {
			bad++
		}
	}
	if bad > 0 {
		r.unread("%d entries of %s are no commits", bad, path)
	}
}

// findGitDir returns the directory that holds HEAD for the repository at path.
func findGitDir(path string) (string, error) {
	if b, err := readSmall(filepath.Join(path, ".git")); err == nil {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: "); ok {
			dir = relativeTo(path, dir)
			if err := checkGitDir(dir); err != nil {
				return "", notThere("the repository that "+filepath.Join(path, ".git")+" names,", dir, err)
			}
			return dir, nil
		}
	}
	for _, dir := range []string{filepath.Join(path, ".git"), path} {
		if checkGitDir(dir) == nil {
			return dir, nil
		}
	}
	return "", magpie.Errorf(magpie.KindNotFound, "%s is not a Git repository", path)
}

// checkGitDir returns nil if dir holds what makes a repository.
func checkGitDir(dir string) error {
	head, err := os.Stat(filepath.Join(dir, "HEAD"))
	if err != nil {
		return err
	}
	if !head.Mode().IsRegular() {
		return errors.New("its HEAD is not a file")
	}
	// A worktree's own directory has no objects, but names the one that has.
	_, err = os.Stat(filepath.Join(dir, "objects"))
	if err != nil {
		_, err = os.Stat(filepath.Join(dir, "commondir"))
	}
	return err
}

// relativeTo returns path, seen from dir if it is not absolute.
func relativeTo(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
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
	b, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if len(b) > maxSmallFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxSmallFile>>20)
	}
	return b, err
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

// Walk implements git.Source. Objects that are stored several times are handed out once. A pack or directory that can't
// be read at all counts as one skipped object.
func (r *Repository) Walk(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.Visitor) (git.Report, error) {
	return r.WalkLineages(ctx, opts, distinct(newVisitor))
}

// WalkLineages implements git.LineageSource, as Walk does git.Source.
func (r *Repository) WalkLineages(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.VersionVisitor) (git.Report, error) {
	run := newRun(ctx, opts, newVisitor)
	loose, unlisted := r.looseFiles()
	run.total.Store(int64(len(loose)))
	done := map[string]bool{}
	// A repack by someone else may replace packs while we read, so look again until there is nothing new.
	for range 3 {
		all, unlistedPacks := r.packPaths()
		paths := slices.DeleteFunc(all, func(p string) bool { return done[p] })
		if len(paths) == 0 {
			unlisted = append(unlisted, unlistedPacks...)
			break
		}
		if err := r.walkPacks(ctx, run, paths, done); err != nil {
			return run.report, err
		}
	}
	for _, err := range unlisted {
		run.skip(unreadable("", err))
	}
	run.walkLoose(loose, r.format, r.limits)
	return run.finish()
}

// unreadable is the error of something that holds objects, whatever they are.
func unreadable(name string, err error) *git.ObjectError {
	if name != "" {
		err = fmt.Errorf("%s can't be read: %w", name, err)
	}
	return &git.ObjectError{Offset: -1, Reason: git.ReasonCorrupt, Err: err}
}

// walkPacks walks the packs at paths and adds those that were there to done.
func (r *Repository) walkPacks(ctx context.Context, run *run, paths []string, done map[string]bool) error {
	tables := r.openMidxs(run, paths)
	before := run.report.Skipped
	for _, path := range paths {
		if err := r.preparePack(ctx, run, path, tables); err != nil {
			return err
		}
	}
	for _, path := range paths {
		there, err := r.walkPack(ctx, run, path)
		if err != nil {
			return err
		}
		done[path] = there
	}
	if run.report.Skipped == before {
		return nil
	}
	// An object that could not be read may be whole in a pack from which it was left out.
	for _, path := range paths {
		if p := r.stored(path); p == nil || !p.pruned {
			continue
		}
		r.forget(path)
		if err := r.preparePack(ctx, run, path, nil); err != nil {
			return err
		}
		if _, err := r.walkPack(ctx, run, path); err != nil {
			return err
		}
	}
	return nil
}

// packPaths lists the packs there are now, and the errors of directories that can't be listed.
func (r *Repository) packPaths() (paths []string, unlisted []error) {
	for _, dir := range r.objects {
		files, err := os.ReadDir(filepath.Join(dir, "pack"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			unlisted = append(unlisted, err)
		}
		for _, f := range files {
			if filepath.Ext(f.Name()) == ".pack" {
				paths = append(paths, filepath.Join(dir, "pack", f.Name()))
			}
		}
	}
	return paths, unlisted
}

// stored returns the pack at path if its index was read.
func (r *Repository) stored(path string) *storedPack {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.packs[path]
}

// forget makes the index of the pack at path be read again.
func (r *Repository) forget(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.packs, path)
}

// preparePack reads a pack's index, once. Objects that tables find in another pack are left out, where nothing else is
// built from them.
func (r *Repository) preparePack(ctx context.Context, run *run, path string, tables midxs) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.packs[path]
	if p == nil {
		f, err := openRegular(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		var x *index
		var pruned bool
		if err == nil {
			defer f.Close()
			x, pruned, err = r.indexFile(ctx, f, path, tables)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			run.skip(unreadable(filepath.Base(path), err))
			return nil
		}
		p = &storedPack{newPackFile(f, x, r.format, r.limits), pruned}
		if _, err := p.prepare(ctx); err != nil {
			return err
		}
		p.r = nil
		r.packs[path] = p
	}
	run.total.Add(p.graph.count(run.opts.Kinds))
	return nil
}

// walkPack walks one pack if it was prepared, and reports whether it is there.
func (r *Repository) walkPack(_ context.Context, run *run, path string) (there bool, err error) {
	p := r.stored(path)
	f, err := openRegular(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case p == nil:
		return true, nil // and was reported
	case err != nil:
		return true, fmt.Errorf("opening a pack: %w", err)
	}
	defer f.Close()
	run.walkPack(&packFile{r: f, index: p.index, format: p.format, limits: p.limits}, p.graph)
	return true, run.failure()
}

// indexFile makes the index of a pack file, from its .idx file where that is good, or else by reading all of it.
func (r *Repository) indexFile(ctx context.Context, f *os.File, path string, tables midxs) (x *index, pruned bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	x, ids, err := readIdx(idxPath(path), f, info.Size(), r.format, r.limits)
	if err == nil {
		return x, tables.prune(path, x, ids), nil
	}
	x, err = indexReader(ctx, f, info.Size(), r.format, r.limits, func(_, _, _ int64) {})
	return x, false, err
}

// idxPath returns where the .idx file of the pack at path is.
func idxPath(path string) string { return strings.TrimSuffix(path, ".pack") + ".idx" }

// indexReader makes the index of a pack of size bytes by reading all of it.
func indexReader(ctx context.Context, r io.ReaderAt, size int64, format git.Format, limits Limits, progress func(bytes, done, total int64)) (*index, error) {
	in := newTee(bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<20), nil, format, limits.MaxPackBytes)
	return scanIndex(ctx, in, format, limits, nil, progress)
}
