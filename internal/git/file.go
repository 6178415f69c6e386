package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"magpie"
)

// errEnough ends a walk that has found what it looked for.
var errEnough = errors.New("found")

// ReadFiles reads files as they are at a commit: of the given paths those that are files of at most limit bytes. A file that
// is not there is not in the result; whole is false if it can't be told, because the source does not hold the commit, or
// not all that leads to the files, or a file is larger. It costs a walk for the commit, one for each level of folders, and
// one for the files, the last only if one of them exists.
func ReadFiles(ctx context.Context, src Source, commit magpie.Hash, paths []string, limit int) (files map[string][]byte, whole bool, err error) {
	id, err := ParseID(commit)
	if err != nil {
		return nil, false, err
	}
	files, whole = map[string][]byte{}, true
	var root ID
	err = readObjects(ctx, src, Commit, []ID{id}, func(o Object) error {
		c, err := ParseCommit(o.ID, o.Data)
		root = c.Tree
		return err
	})
	if err != nil || root.IsZero() {
		return files, false, err
	}
	// open holds, for each folder on the way, the paths that go on from it.
	open := map[ID][]wayTo{}
	for _, p := range paths {
		open[root] = append(open[root], wayTo{p, p})
	}
	blobs := map[ID][]string{}
	for len(open) > 0 {
		next := map[ID][]wayTo{}
		met := 0
		err := readObjects(ctx, src, Tree, keys(open), func(o Object) error {
			met++
			return followTree(o, src.Format(), open[o.ID], next, blobs)
		})
		if err != nil {
			return files, false, err
		}
		whole = whole && met == len(open)
		open = next
	}
	if len(blobs) == 0 {
		return files, whole, nil
	}
	met := 0
	err = readObjects(ctx, src, Blob, keys(blobs), func(o Object) error {
		met++
		for _, p := range blobs[o.ID] {
			if len(o.Data) > limit {
				whole = false
				continue
			}
			files[p] = slices.Clone(o.Data)
		}
		return nil
	})
	return files, whole && met == len(blobs), err
}

// wayTo is a path, and what is left of it from a folder on.
type wayTo struct{ path, rest string }

// followTree goes one step down each of the ways.
func followTree(o Object, format Format, ways []wayTo, next map[ID][]wayTo, blobs map[ID][]string) error {
	for e, err := range ParseTree(o.ID, o.Data, format) {
		if err != nil {
			return err
		}
		for _, w := range ways {
			name, rest, deeper := strings.Cut(w.rest, "/")
			switch {
			case string(e.Name) != name:
			case deeper && e.Mode.IsTree():
				next[e.ID] = append(next[e.ID], wayTo{w.path, rest})
			case !deeper && e.Mode.IsBlob() && e.Mode != ModeSymlink:
				blobs[e.ID] = append(blobs[e.ID], w.path)
			}
		}
	}
	return nil
}

func keys[V any](m map[ID]V) (ids []ID) {
	for id := range m {
		ids = append(ids, id)
	}
	return ids
}

// readObjects calls read, one after the other, for those of the wanted objects that the source holds, each once.
func readObjects(ctx context.Context, src Source, kind Kind, ids []ID, read func(Object) error) error {
	wanted := make(map[ID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	var mu sync.Mutex
	_, err := src.Walk(ctx, WalkOptions{Kinds: KindsOf(kind)}, func(int) Visitor {
		return func(o Object) error {
			if !wanted[o.ID] {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if len(ids) == 0 {
				return errEnough
			}
			i := slices.Index(ids, o.ID)
			if i < 0 { // it came before
				return nil
			}
			ids = slices.Delete(ids, i, i+1)
			if err := read(o); err != nil {
				return err
			}
			if len(ids) == 0 {
				return errEnough
			}
			return nil
		}
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("reading a file of a commit: %w", err)
	}
	return nil
}
