package pack

import (
	"sync"

	"magpie/internal/git"
)

// idSet is a set of object ids for concurrent use.
type idSet struct {
	shards [256]struct {
		mu  sync.Mutex
		ids map[git.ID]struct{}
	}
}

// add puts id into the set and reports whether it was new.
func (s *idSet) add(id git.ID) bool {
	shard := &s.shards[id.Shard()]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.ids == nil {
		shard.ids = map[git.ID]struct{}{}
	}
	before := len(shard.ids)
	shard.ids[id] = struct{}{}
	return len(shard.ids) > before
}

// repeated is the note on an object that was handed out before, which does not count.
type repeated struct{}

// distinct makes visitors of objects into visitors of versions that call them once for each object.
func distinct(newVisitor func(int) git.Visitor) func(int) git.VersionVisitor {
	seen := new(idSet)
	return func(worker int) git.VersionVisitor {
		visit := newVisitor(worker)
		return func(v *git.Version) (any, error) {
			id := v.ID()
			if !seen.add(id) {
				return repeated{}, nil
			}
			return nil, visit(git.Object{ID: id, Kind: v.Kind, Data: v.Data})
		}
	}
}
