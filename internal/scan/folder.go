package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"magpie"
	"magpie/internal/decode/archive"
	"magpie/internal/detect"
	"magpie/internal/git"
)

const (
	maxFileBytes      = 64 << 30 // largest file that is read
	maxContainerBytes = 1 << 30  // largest archive or document that is opened, since that is done in memory
	// wholeFileBytes is the largest file that is read at once; larger ones are scanned in pieces.
	wholeFileBytes = 2 * pieceBytes
	maxFileMatches = 10_000 // kept of one large file
)

// ExamineFolder finds the secrets in the files below root, or in root itself if it is a file, as they are now. Git's own
// folders are left out, and symbolic links are not followed. Files that can't be read are in the result, not the error. With
// an error comes what was found so far.
func ExamineFolder(ctx context.Context, root string, e Examination) (Result, error) {
	x := newFolderExaminer(e)
	paths := make(chan string)
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error {
		defer close(paths)
		return x.walk(workCtx, root, paths)
	})
	for range x.Workers {
		work.Go(func() error {
			scanner := x.Engine.NewScanner()
			for path := range paths {
				x.file(scanner, root, path)
			}
			return nil
		})
	}
	err := work.Wait()
	slices.SortFunc(x.result.Places, comparePlaces)
	x.Progress.Skipped.Store(x.result.SkippedCount)
	if err != nil {
		return x.result, fmt.Errorf("reading %s: %w", root, err)
	}
	return x.result, nil
}

// ExamineReader finds the secrets in everything that r gives, which findings call name. If r fails, what it gave until
// then is examined. What is large is put into a temporary file first.
func ExamineReader(r io.Reader, name string, e Examination) (Result, error) {
	x := newFolderExaminer(e)
	data, err := io.ReadAll(io.LimitReader(r, wholeFileBytes+1))
	if err == nil && len(data) > wholeFileBytes {
		err = x.spool(io.MultiReader(bytes.NewReader(data), r), name)
	} else {
		x.content(x.Engine.NewScanner(), name, data)
	}
	if err != nil {
		return x.result, fmt.Errorf("reading %s: %w", name, err)
	}
	return x.result, nil
}

// spool examines what r gives by way of a file that is gone when it returns.
func (x *folderExaminer) spool(r io.Reader, name string) (err error) {
	f, err := os.CreateTemp("", "magpie-input-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	size, failed := io.Copy(f, io.LimitReader(r, maxFileBytes+1))
	if size > maxFileBytes {
		size = maxFileBytes
		x.skip(fmt.Sprintf("%s: what comes after the first %d MiB", name, maxFileBytes>>20))
	}
	return errors.Join(failed, x.opened(x.Engine.NewScanner(), f, size, name))
}

type folderExaminer struct {
	Examination
	mu     sync.Mutex
	result Result
}

func newFolderExaminer(e Examination) *folderExaminer {
	if e.Progress == nil {
		e.Progress = new(Meter)
	}
	if e.Workers == 0 {
		e.Workers = runtime.GOMAXPROCS(0)
	}
	return &folderExaminer{Examination: e}
}

// walk sends the regular files below root.
func (x *folderExaminer) walk(ctx context.Context, root string, paths chan<- string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == root:
			return err
		case err != nil:
			x.skip(fmt.Sprintf("%s: %v", path, err))
			return nil
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		select {
		case paths <- path:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (x *folderExaminer) file(scanner *detect.Scanner, root, path string) {
	name, err := filepath.Rel(root, path)
	if err != nil || name == "." {
		name = filepath.Base(path)
	}
	if err := x.open(scanner, path, filepath.ToSlash(name)); err != nil {
		x.skip(fmt.Sprintf("%s: %v", path, err))
	}
}

func (x *folderExaminer) open(scanner *detect.Scanner, path, name string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return x.opened(scanner, f, info.Size(), name)
}

// opened examines the first size bytes of a file.
func (x *folderExaminer) opened(scanner *detect.Scanner, f io.ReaderAt, size int64, name string) error {
	if size > maxFileBytes {
		return fmt.Errorf("larger than %d MiB", maxFileBytes>>20)
	}
	whole := size <= wholeFileBytes
	if !whole {
		head := make([]byte, 64<<10)
		if _, err := f.ReadAt(head, 0); err != nil {
			return err
		}
		whole = archive.Detect(head) != ""
		if whole && size > maxContainerBytes {
			x.skip(fmt.Sprintf("%s: what is packed in it, since it is larger than %d MiB", name, maxContainerBytes>>20))
			whole = false
		}
	}
	content := io.NewSectionReader(f, 0, size)
	if !whole {
		return x.large(scanner, content, size, name)
	}
	data := make([]byte, size)
	n, err := io.ReadFull(content, data)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // it has become shorter
		x.content(scanner, name, data[:n])
		return nil
	}
	return err
}

// large examines a file in pieces.
func (x *folderExaminer) large(scanner *detect.Scanner, r io.Reader, size int64, name string) error {
	p, blob, err := scanPieces(scanner, r, size, x.Context, maxFileMatches)
	x.Progress.Blobs.Add(1)
	x.Progress.BlobBytes.Add(p.base + int64(len(p.buf)))
	for _, why := range p.skipped {
		x.skip(name + ": " + why)
	}
	var places []Place
	for _, f := range p.findings {
		if x.Engine.Allowed(f.rule, name) {
			f.finding.File, f.finding.Blob = name, blob
			places = append(places, Place{Finding: f.finding})
		}
	}
	x.add(places)
	return err
}

func (x *folderExaminer) content(scanner *detect.Scanner, name string, data []byte) {
	matches := scanner.Scan(data)
	x.Progress.Blobs.Add(1)
	x.Progress.BlobBytes.Add(int64(len(data)))
	for _, why := range scanner.Skipped() {
		x.skip(name + ": " + why)
	}
	// Masking needs all matches, also those whose rule is silent here.
	findings := Findings(data, matches, scanner.Covered(), x.Context)
	var places []Place
	var blob magpie.Hash
	for i, f := range findings {
		if !x.Engine.Allowed(matches[i].Rule, name) {
			continue
		}
		if blob == "" {
			blob = git.NewHasher(git.SHA1).Sum(git.Blob, data).Hash()
		}
		f.File, f.Blob = name, blob
		places = append(places, Place{Finding: f})
	}
	x.add(places)
}

func (x *folderExaminer) add(places []Place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.Places = append(x.result.Places, places...)
	x.Progress.Findings.Add(int64(len(places)))
}

func (x *folderExaminer) skip(why string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.skip(why)
}
