package archive

import (
	"context"
	"errors"
	"fmt"

	"magpie/internal/git"
	"magpie/internal/git/pack"
)

// packLimits bound what packs of Git may cost that lie in a tree as files.
var packLimits = pack.Limits{MaxObjects: maxMembers, MaxObjectBytes: 32 << 20, MaxExpansion: ratio, MaxRetained: 16 << 20}

// errMore says that objects after a damaged or absent part of a pack were not looked at.
var errMore = errors.New("what follows its last readable object is lost")

// gitPack emits the files, commits and tags that are in a pack of Git, put together from the deltas that they are stored as. What
// it is called, a file does not know.
func (w *walker) gitPack(data []byte) error {
	p, err := pack.Hold(context.Background(), data, packLimits)
	if p == nil {
		return err
	}
	return w.objects("pack", len(data), p, err)
}

// gitBundle emits what is in a bundle of Git, as gitPack does.
func (w *walker) gitBundle(data []byte) error {
	b, err := pack.HoldBundle(context.Background(), data, packLimits)
	if b == nil {
		return err
	}
	return w.objects("bundle", len(data), b, err)
}

// objects emits the objects of a source that is size bytes. damage is what was found wrong with it as a whole.
func (w *walker) objects(path string, size int, src git.Source, damage error) error {
	opts := git.WalkOptions{
		Kinds: git.KindsOf(git.Blob, git.Commit, git.Tag), Workers: 1,
		Skipped: func(e *git.ObjectError) { w.skip(path + ": " + e.Error()) },
	}
	_, err := src.Walk(context.Background(), opts, func(int) git.Visitor {
		return func(o git.Object) error {
			if err := errors.Join(w.budget.member(), w.budget.take(len(o.Data))); err != nil {
				return errBudget
			}
			if len(o.Data) > 0 {
				w.emit(Member{Path: fmt.Sprintf("%s:%s %.12s", path, o.Kind, o.ID), Data: o.Data, End: size})
			}
			return nil
		}
	})
	if damage != nil {
		w.skip(fmt.Sprintf("%s: %v: %v", path, errMore, damage))
	}
	return err
}
