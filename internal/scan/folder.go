package scan

import (
	"context"
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
	"magpie/internal/detect"
	"magpie/internal/git"
)

// maxFileBytes is the largest file that is read, since a file is scanned in memory.
const maxFileBytes = 1 << 30

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
// then is examined.
func ExamineReader(r io.Reader, name string, e Examination) (Result, error) {
	x := newFolderExaminer(e)
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if len(data) > maxFileBytes {
		data = data[:maxFileBytes]
		x.skip(fmt.Sprintf("%s: what comes after the first %d MiB", name, maxFileBytes>>20))
	}
	x.content(x.Engine.NewScanner(), name, data)
	if err != nil {
		return x.result, fmt.Errorf("reading %s: %w", name, err)
	}
	return x.result, nil
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
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFileBytes {
		err = fmt.Errorf("larger than %d MiB", maxFileBytes>>20)
	}
	if err != nil {
		x.skip(fmt.Sprintf("%s: %v", path, err))
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		x.skip(fmt.Sprintf("%s: %v", path, err))
		return
	}
	name, err := filepath.Rel(root, path)
	if err != nil || name == "." {
		name = filepath.Base(path)
	}
	x.content(scanner, filepath.ToSlash(name), data)
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
