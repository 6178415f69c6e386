package pack

import (
	"bufio"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// Ref is one ref of a repository on disk.
type Ref struct {
	Name   string      // full, such as "refs/heads/main", or "HEAD"
	Hash   magpie.Hash // empty if it points to a ref that does not exist, as HEAD does in a new repository
	Target string      // the ref that a symbolic ref names; empty for all else
}

// maxSymbolic is how many symbolic refs in a row are followed.
const maxSymbolic = 5

// Refs lists HEAD and all refs by name. Files that are no refs are left out.
func (r *Repository) Refs() ([]Ref, error) {
	if r.reftable {
		return nil, &magpie.Error{
			Kind:    magpie.KindInvalid,
			Message: "the repository keeps its refs in a reftable, which can't be read",
			Hint:    "git refs migrate --ref-format=files converts it",
		}
	}
	refs := map[string]Ref{}
	if err := r.packedRefs(refs); err != nil {
		return nil, err
	}
	root := filepath.Join(r.commonDir, "refs")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // refs come and go while we look
		}
		rel, err := filepath.Rel(r.commonDir, path)
		if err == nil {
			addRef(refs, filepath.ToSlash(rel), path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	addRef(refs, "HEAD", filepath.Join(r.gitDir, "HEAD"))
	for name, ref := range refs {
		ref.Hash = resolve(refs, ref)
		refs[name] = ref
	}
	list := slices.Collect(maps.Values(refs))
	slices.SortFunc(list, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// packedRefs reads the file that holds many refs at once.
func (r *Repository) packedRefs(refs map[string]Ref) error {
	f, err := openRegular(filepath.Join(r.commonDir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		digits, name, ok := strings.Cut(lines.Text(), " ")
		if id, err := git.ParseID(digits); ok && err == nil {
			refs[name] = Ref{Name: name, Hash: id.Hash()}
		}
	}
	return lines.Err()
}

// addRef reads the file of a loose ref.
func addRef(refs map[string]Ref, name, path string) {
	b, err := readSmall(path)
	if err != nil {
		return
	}
	text := strings.TrimSpace(string(b))
	if target, ok := strings.CutPrefix(text, "ref:"); ok {
		refs[name] = Ref{Name: name, Target: strings.TrimSpace(target)}
		return
	}
	digits, _, _ := strings.Cut(text, "\n")
	if id, err := git.ParseID(strings.TrimSpace(digits)); err == nil {
		refs[name] = Ref{Name: name, Hash: id.Hash()}
	}
}

// resolve follows symbolic refs to an id.
func resolve(refs map[string]Ref, ref Ref) magpie.Hash {
	for range maxSymbolic {
		if ref.Target == "" {
			break
		}
		ref = refs[ref.Target]
	}
	return ref.Hash
}
