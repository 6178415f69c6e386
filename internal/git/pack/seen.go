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
