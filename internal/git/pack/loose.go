package pack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"magpie/internal/git"
)

// looseFile is an object that lies in a file of its own: a zlib stream of "<kind> <size>\x00<content>".
type looseFile struct {
	dir  string // of the first two digits
	name string // the other digits
}

// id returns the id that the file's name tells.
func (f looseFile) id() (git.ID, error) { return git.ParseID(filepath.Base(f.dir) + f.name) }

// looseFiles lists the loose objects there are now, and the errors of directories that can't be listed.
func (r *Repository) looseFiles() (files []looseFile, unlisted []error) {
	for _, dir := range r.objects {
		for shard := range 256 {
			sub := filepath.Join(dir, fmt.Sprintf("%02x", shard))
			entries, err := os.ReadDir(sub)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				unlisted = append(unlisted, err)
			}
			for _, e := range entries {
				if len(e.Name()) == 2*r.format.Size()-2 && !e.IsDir() {
					files = append(files, looseFile{sub, e.Name()})
				}
			}
		}
	}
	return files, unlisted
}

// walkLoose hands out loose objects with all visitors.
func (r *run) walkLoose(files []looseFile, format git.Format, limits Limits) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, visit := range r.visitors {
		wg.Go(func() {
			l := looseReader{run: r, hasher: git.NewHasher(format), limits: limits}
			for !r.stop.Load() {
				n := next.Add(1) - 1
				if n >= int64(len(files)) {
					break
				}
				if err := l.read(files[n], visit); err != nil {
					r.fail(err)
				}
				if n&127 == 0 && r.ctx.Err() != nil {
					r.fail(r.ctx.Err())
				}
			}
			r.count(l.objects, l.bytes, l.objects)
		})
	}
	wg.Wait()
}

// looseReader reads loose objects for one visitor.
type looseReader struct {
	run     *run
	hasher  *git.Hasher
	limits  Limits
	inflate inflater
	head    bufio.Reader
	buf     []byte

	objects, bytes int64
}

var (
	errLooseHeader = errors.New("loose object has no readable header")
	errLooseName   = errors.New("its file holds something else, which was looked at")
)

// read hands one object out. The error ends the walk.
func (l *looseReader) read(file looseFile, visit git.VersionVisitor) error {
	path := filepath.Join(file.dir, file.name)
	id, err := file.id()
	if err != nil {
		return nil // not an object: git names its temporary files otherwise, but others may not
	}
	f, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // packed by someone else meanwhile
	}
	if err != nil {
		l.run.skip(&git.ObjectError{ID: id, Offset: -1, Reason: git.ReasonCorrupt, Err: err})
		return nil
	}
	defer f.Close()
	kind, size, err := l.open(f)
	switch {
	case err != nil:
		l.run.skip(&git.ObjectError{ID: id, Offset: -1, Reason: git.ReasonCorrupt, Err: err})
		return nil
	case !l.run.opts.Kinds.Has(kind):
		return nil
	case size > l.limits.MaxObjectBytes:
		l.run.skip(&git.ObjectError{ID: id, Kind: kind, Size: size, Offset: -1, Reason: git.ReasonTooLarge})
		return nil
	}
	if size > bigObject {
		l.run.big.Lock()
		defer l.run.big.Unlock()
		defer func() { l.buf = nil }()
	}
	return l.hand(id, kind, size, visit)
}

// open reads the header of a loose object.
func (l *looseReader) open(f io.Reader) (git.Kind, int64, error) {
	if l.inflate.disk == nil {
		l.inflate.disk = bufio.NewReaderSize(nil, 64<<10)
	}
	l.inflate.disk.Reset(f)
	if err := l.inflate.reset(l.inflate.disk); err != nil {
		return 0, 0, err
	}
	l.head.Reset(l.inflate.zr)
	head, err := l.head.Peek(40)
	end := bytes.IndexByte(head, 0)
	if end < 0 {
		return 0, 0, errors.Join(errLooseHeader, err)
	}
	name, digits, _ := bytes.Cut(head[:end], []byte{' '})
	kind := git.ParseKind(string(name))
	size, err := strconv.ParseInt(string(digits), 10, 64)
	if kind == 0 || err != nil || size < 0 {
		return 0, 0, errLooseHeader
	}
	_, err = l.head.Discard(end + 1)
	return kind, size, err
}

// hand reads the content and gives it to the visitor. The buffer grows with what is really there, not with what the
// header says.
func (l *looseReader) hand(id git.ID, kind git.Kind, size int64, visit git.VersionVisitor) error {
	data := bytes.NewBuffer(l.buf[:0])
	n, err := io.Copy(data, io.LimitReader(&l.head, size+1))
	if err == nil && n != size {
		err = errInflateShort
	}
	if err != nil {
		l.run.skip(&git.ObjectError{ID: id, Kind: kind, Size: size, Offset: -1, Reason: git.ReasonCorrupt, Err: err})
		return nil
	}
	l.buf = data.Bytes()
	v := git.NewVersion(kind, l.buf, l.hasher)
	if v.ID() != id {
		l.run.skip(&git.ObjectError{ID: id, Kind: kind, Size: size, Offset: -1, Reason: git.ReasonCorrupt, Err: errLooseName})
	}
	note, err := visit(&v)
	if note != any(repeated{}) {
		l.objects++
		l.bytes += size
	}
	return err
}
