package bitbucketsim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MoveRefs moves refs among objects that the repository holds already (full ref name → object id, "" deletes the ref)
// and fires the event of such a push. by is the slug of the pusher; empty is the first user. It writes the refs itself
// and runs no git process for that, so thousands of pushes a minute cost next to nothing; before 8.9, whose events carry
// no commits, the event costs none either. Where a packed ref would have to go, it fails and has moved nothing.
func (s *Server) MoveRefs(repoID int, by string, to map[string]string) ([]Change, error) {
	r := s.snapshot(repoID)
	s.mu.RLock()
	who := s.pusher(by)
	s.mu.RUnlock()
	if r == nil || who == nil {
		return nil, fmt.Errorf("moving refs of repository %d as %q: no such repository or user", repoID, by)
	}
	r.git.Lock()
	defer r.git.Unlock()
	before, err := s.refs(r.ID)
	if err != nil {
		return nil, err
	}
	after, err := s.moved(r.ID, before, to)
	if err != nil {
		return nil, fmt.Errorf("moving refs of repository %d: %w", r.ID, err)
	}
	changes := diffRefs(before, after)
	return changes, s.refsChanged(r, who, changes)
}

// moved writes refs and returns what all refs are then. The repository's lock must be held.
func (s *Server) moved(id int, before, to map[string]string) (map[string]string, error) {
	dir := s.gitDir(id)
	packed := map[string]string{}
	if err := packedRefs(filepath.Join(dir, "packed-refs"), packed); err != nil {
		return nil, err
	}
	for name, hash := range to {
		switch {
		case !strings.HasPrefix(name, "refs/") || strings.Contains(name, ".."):
			return nil, fmt.Errorf("%q is not a full ref name", name)
		case hash == "" && packed[name] != "":
			return nil, fmt.Errorf("%s is packed", name)
		case hash != "" && len(hash) != len(zeroHash):
			return nil, fmt.Errorf("%q is not an object id", hash)
		}
	}
	after := maps.Clone(before)
	for _, name := range slices.Sorted(maps.Keys(to)) {
		if err := writeRef(filepath.Join(dir, filepath.FromSlash(name)), to[name]); err != nil {
			return nil, err
		}
		if after[name] = to[name]; to[name] == "" {
			delete(after, name)
		}
	}
	return after, nil
}

// writeRef replaces a loose ref in one step, so that a running git sees the old one or the new one.
func writeRef(path, hash string) error {
	if hash == "" {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".lock", []byte(hash+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".lock", path)
}
