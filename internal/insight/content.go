package insight

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"magpie"
	"magpie/internal/detect"
)

// place is where a file's content can be fetched.
type place struct {
	key, slug string
	commit    magpie.Hash
}

// baseCommit is where a pull request left its target, asked for when it is first needed.
type baseCommit struct {
	named magpie.Hash // what the list of changes was made against, if Bitbucket says so
	pull  int64
	known knowledge
	asked bool
	base  magpie.Hash
}

// fetchBase returns a file's content as it was before a pull request.
func (c *collector) fetchBase(ctx context.Context, b *baseCommit, path string, want magpie.Hash) ([]byte, bool, error) {
	key, slug := c.target.repo.ProjectKey, c.target.repo.Slug
	if !b.named.IsZero() {
		data, ok, err := c.fetch(ctx, path, want, place{key, slug, b.named})
		if err != nil || ok {
			return data, ok, err
		}
	}
	if !b.asked {
		b.asked = true
		var err error
		if b.base, err = c.client.MergeBase(ctx, key, slug, b.pull); err != nil && !unreadable(err) {
			return nil, false, err
		}
	}
	if b.base.IsZero() || b.base == b.named {
		return nil, false, nil
	}
	return c.fetch(ctx, path, want, place{key, slug, b.base})
}

// fetch returns a file's content from the first place that has it. It reports false if none has just what is wanted, as
// where a file is too large, or is kept outside of Git.
func (c *collector) fetch(ctx context.Context, path string, want magpie.Hash, places ...place) ([]byte, bool, error) {
	for _, p := range slices.Compact(places) {
		if c.fetched++; c.fetched > maxFiles {
			return nil, false, nil
		}
		data, err := c.client.File(ctx, p.key, p.slug, path, p.commit)
		switch {
		case unreadable(err):
		case err != nil:
			return nil, false, err
		case blobHash(data, want) == want:
			return data, true, nil
		}
	}
	return nil, false, nil
}

// unreadable reports whether asking again would not help.
func unreadable(err error) bool {
	switch magpie.KindOf(err) {
	case magpie.KindForbidden, magpie.KindNotFound, magpie.KindInvalid, magpie.KindConflict, magpie.KindTooLarge:
		return true
	}
	return false
}

// blobHash returns the id that Git gives to content, in the format of another id.
func blobHash(data []byte, like magpie.Hash) magpie.Hash {
	var h hash.Hash = sha1.New()
	if len(like) == 2*sha256.Size {
		h = sha256.New()
	}
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return magpie.Hash(hex.EncodeToString(h.Sum(nil)))
}

// scan returns the lines at which each secret stands in a file, by the secret's fingerprint.
func (s *Service) scan(path string, data []byte) map[string][]int {
	found := map[string][]int{}
	lines := detect.NewLines(data)
	for _, m := range s.opts.Engine.NewScanner().Scan(data) {
		if !s.opts.Engine.Allowed(m.Rule, path) {
			continue
		}
		mark := s.opts.Keys.Fingerprint(magpie.NewSecret(m.Secret))
		if line, _, _, _ := lines.Range(m); !slices.Contains(found[mark], line) {
			found[mark] = append(found[mark], line)
		}
	}
	return found
}

// distinct returns values sorted, each once.
func distinct[T magpie.Hash | string](values []T) []T {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}
