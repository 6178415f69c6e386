package pack

import (
	"bytes"
	"context"
	"hash"

	"magpie/internal/git"
)

// Held is a pack whose bytes are at hand, such as one that lies in a tree as a file. It implements git.LineageSource, and needs
// no closing.
type Held struct {
	pack   *packFile
	format git.Format
}

// Hold reads the pack data once to find its objects. What its object format is, is told by its trailer. With an error of the kinds
// that Spool returns comes what could be read before that place, if anything; or else nil.
func Hold(ctx context.Context, data []byte, limits Limits) (*Held, error) {
	limits = limits.withDefaults()
	format := git.SHA1
	if n := len(data) - git.SHA256.Size(); n > 0 {
		if h := git.SHA256.New(); matches(h, data[:n], data[n:]) {
			format = git.SHA256
		}
	}
	r := bytes.NewReader(data)
	x, err := indexReader(ctx, r, int64(len(data)), format, limits, func(_, _, _ int64) {})
	if x == nil {
		return nil, err
	}
	return &Held{pack: newPackFile(r, x, format, limits), format: format}, err
}

// HoldBundle reads the bundle data as OpenBundle does one on disk. With an error comes what could be read, as from Hold.
func HoldBundle(ctx context.Context, data []byte, limits Limits) (*Bundle, error) {
	return readBundle(ctx, bytes.NewReader(data), int64(len(data)), limits.withDefaults(), func(_, _, _ int64) {})
}

// matches reports whether the hash of data is sum.
func matches(h hash.Hash, data, sum []byte) bool {
	h.Write(data)
	return bytes.Equal(h.Sum(nil), sum)
}

// Format returns the pack's object format.
func (h *Held) Format() git.Format { return h.format }

// Walk implements git.Source.
func (h *Held) Walk(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.Visitor) (git.Report, error) {
	return h.WalkLineages(ctx, opts, distinct(newVisitor))
}

// WalkLineages implements git.LineageSource.
func (h *Held) WalkLineages(ctx context.Context, opts git.WalkOptions, newVisitor func(worker int) git.VersionVisitor) (git.Report, error) {
	return h.pack.walk(ctx, opts, newVisitor)
}
