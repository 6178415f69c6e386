package pack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// Bundle is a file made by git bundle: refs, and a pack of what they reach. It implements git.Source. Close closes its
// file.
type Bundle struct {
	file   io.Closer // nil if it is not ours
	header bundleHeader
	pack   *packFile
}

// bundleHeader is what stands before the pack.
//
//	"# v2 git bundle\n" or "# v3 git bundle\n" {"@" capability ["=" value] "\n"} {"-" id " " comment "\n"} {id " " ref "\n"} "\n" pack
type bundleHeader struct {
	format        git.Format
	filter        string // what was left out, as git describes it
	prerequisites []magpie.Hash
	refs          []Ref
	size          int64 // of the header in bytes
}

const (
	// maxBundleLine is the longest line of a bundle's header, in bytes.
	maxBundleLine = 64 << 10
	// maxBundleLines is how many lines the header may have.
	maxBundleLines = 10_000_000
)

// errBundle says that a bundle's header makes no sense.
var errBundle = errors.New("not a valid bundle")

// IsBundle reports whether the file at path starts as a bundle does.
func IsBundle(path string) bool {
	f, err := openRegular(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len("# v2 git bundle\n"))
	if _, err := io.ReadFull(f, head); err != nil {
		return false
	}
	return bundleVersion(string(head)) > 0
}

// bundleVersion returns the version that the first line of a bundle names, or 0.
func bundleVersion(line string) int {
	switch line {
	case "# v2 git bundle\n":
		return 2
	case "# v3 git bundle\n":
		return 3
	}
	return 0
}

// OpenBundle opens the bundle at path and reads its pack once to find the objects; progress, if not nil, is told how far
// it is. A bundle that can't be read is an error of kind KindInvalid, or KindTooLarge if it is beyond a limit.
func OpenBundle(ctx context.Context, path string, limits Limits, progress func(bytes, done, total int64)) (*Bundle, error) {
	if progress == nil {
		progress = func(_, _, _ int64) {}
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("opening the bundle: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the bundle: %w", err), f.Close())
	}
	b, err := readBundle(ctx, f, info.Size(), limits.withDefaults(), progress)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.file = f
	return b, nil
}

// readBundle reads the header of the bundle of size bytes in r, and its pack once. With an error it returns the bundle too if the
// beginning of its pack could be read.
func readBundle(ctx context.Context, r io.ReaderAt, size int64, limits Limits, progress func(bytes, done, total int64)) (*Bundle, error) {
	b := &Bundle{}
	var err error
	if b.header, err = readBundleHeader(bufio.NewReaderSize(io.NewSectionReader(r, 0, size), maxBundleLine)); err != nil {
		return nil, magpie.Errorf(magpie.KindInvalid, "the bundle can't be read: %w", err)
	}
	size -= b.header.size
	data := io.NewSectionReader(r, b.header.size, size)
	x, err := indexReader(ctx, data, size, b.header.format, limits, progress)
	if _, ok := errors.AsType[*Error](err); ok && magpie.KindOf(err) == magpie.KindInternal {
		err = magpie.Errorf(magpie.KindInvalid, "the bundle can't be read: %w", err)
	}
	if x == nil {
		return nil, err
	}
	b.pack = newPackFile(data, x, b.header.format, limits)
	return b, err
}

// readBundleHeader reads a bundle up to its pack.
func readBundleHeader(r *bufio.Reader) (bundleHeader, error) {
	var h bundleHeader
	version := 0
	for n := range maxBundleLines {
		line, err := r.ReadSlice('\n')
		h.size += int64(len(line))
		switch {
		case err != nil:
			return h, fmt.Errorf("%w: its header ends too early or has a line of more than %d bytes", errBundle, maxBundleLine)
		case n == 0:
			if version = bundleVersion(string(line)); version == 0 {
				return h, fmt.Errorf("%w: it starts with neither v2 nor v3", errBundle)
			}
			continue
		case len(line) == 1:
			return h, nil
		}
		if err := h.line(string(line[:len(line)-1]), version); err != nil {
			return h, err
		}
	}
	return h, fmt.Errorf("%w: its header has more than %d lines", errBundle, maxBundleLines)
}

// line reads one line of the header after the first.
func (h *bundleHeader) line(line string, version int) error {
	switch {
	case line[0] == '@' && version == 3:
		key, value, _ := strings.Cut(line[1:], "=")
		switch key {
		case "object-format":
			format, err := git.ParseFormat(value)
			h.format = format
			return err
		case "filter":
			h.filter = value
			return nil
		}
		return fmt.Errorf("%w: it needs %.64q, which is not known", errBundle, key)
	case line[0] == '-':
		digits, _, _ := strings.Cut(line[1:], " ")
		hash, err := h.id(digits)
		h.prerequisites = append(h.prerequisites, hash)
		return err
	}
	digits, name, found := strings.Cut(line, " ")
	hash, err := h.id(digits)
	if err != nil || !found || name == "" {
		return errors.Join(fmt.Errorf("%w: a line of its header names no ref", errBundle), err)
	}
	h.refs = append(h.refs, Ref{Name: name, Hash: hash})
	return nil
}

// id reads an object id of the bundle's format.
func (h *bundleHeader) id(digits string) (magpie.Hash, error) {
	id, err := git.ParseID(digits)
	if err == nil && id.Format() != h.format {
		err = fmt.Errorf("%w: an id is not %s", errBundle, h.format)
	}
	return id.Hash(), err
}

// Close closes the bundle's file. It must not be called during a walk.
func (b *Bundle) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// Format returns the object format.
func (b *Bundle) Format() git.Format { return b.header.format }

// Refs lists the refs of the bundle as they stand in it.
func (b *Bundle) Refs() []Ref { return b.header.refs }

// Prerequisites lists the commits that are not in the bundle, although what is in it builds on them.
func (b *Bundle) Prerequisites() []magpie.Hash { return b.header.prerequisites }

// Filter says what was left out of the bundle on purpose, in git's words; empty if nothing was.
func (b *Bundle) Filter() string { return b.header.filter }

// Walk implements git.Source. Objects that are stored as differences from others that are not in the bundle are reported
// as skipped.
func (b *Bundle) Walk(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.Visitor) (git.Report, error) {
	return b.WalkLineages(ctx, opts, distinct(newVisitor))
}

// WalkLineages implements git.LineageSource, as Walk does git.Source.
func (b *Bundle) WalkLineages(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.VersionVisitor) (git.Report, error) {
	return b.pack.walk(ctx, opts, newVisitor)
}
