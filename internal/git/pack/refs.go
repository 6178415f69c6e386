package pack

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// Ref is one ref of a repository on disk.
type Ref struct {
	// Name is the full name, such as "refs/heads/main", or "HEAD". What other worktrees have for themselves starts with
	// "worktrees/", or "main-worktree/" seen from a linked one, as git names it.
	Name   string
	Hash   magpie.Hash // empty if it is broken or points to a ref that does not exist, as HEAD does in a new repository
	Target string      // the ref that a symbolic ref names; empty for all else
	Broken string      // why it can't be read, for people; empty for all else
}

// maxSymbolic is how many symbolic refs in a row are followed.
const maxSymbolic = 5

// Refs lists HEAD and all refs by name, with those of all worktrees. The error is for refs whose names are not even
// known; what can be read is returned with it.
func (r *Repository) Refs() ([]Ref, error) {
	refs := refSet{}
	var err error
	switch r.refStorage {
	case "", "files":
		err = r.fileRefs(refs)
	case "reftable":
		err = r.tableRefs(refs)
	default:
		err = magpie.Errorf(magpie.KindInvalid, "the repository keeps its refs as %q, which is not known", r.refStorage)
	}
	for name, ref := range refs {
		ref.Hash = refs.resolve(ref)
		refs[name] = ref
	}
	list := slices.Collect(maps.Values(refs))
	slices.SortFunc(list, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// refSet holds refs by name.
type refSet map[string]Ref

// privateRefs are the folders below refs that each worktree has for itself.
var privateRefs = []string{"refs/bisect", "refs/worktree", "refs/rewritten"}

// isPrivate reports whether each worktree has a ref of that name for itself.
func isPrivate(name string) bool {
	return !strings.HasPrefix(name, "refs/") ||
		slices.ContainsFunc(privateRefs, func(dir string) bool { return strings.HasPrefix(name, dir+"/") })
}

// worktree is where a worktree keeps what others don't see.
type worktree struct {
	prefix string // of the names of its refs; empty for the one that is open
	dir    string
}

// worktrees lists all worktrees, the open one first.
func (r *Repository) worktrees() ([]worktree, error) {
	all := []worktree{{"", r.gitDir}}
	if r.gitDir != r.commonDir {
		all = append(all, worktree{"main-worktree/", r.commonDir})
	}
	entries, err := os.ReadDir(filepath.Join(r.commonDir, "worktrees"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return all, fmt.Errorf("listing the worktrees: %w", err)
	}
	for _, e := range entries {
		if dir := filepath.Join(r.commonDir, "worktrees", e.Name()); e.IsDir() && !sameFile(dir, r.gitDir) {
			all = append(all, worktree{"worktrees/" + e.Name() + "/", dir})
		}
	}
	return all, nil
}

// sameFile reports whether two paths lead to the same file.
func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// fileRefs reads refs that are stored in files: one each, or many in packed-refs, over which the others win.
func (r *Repository) fileRefs(refs refSet) error {
	err := r.packedRefs(refs)
	trees, treesErr := r.worktrees()
	for _, tree := range trees {
		if tree.dir != r.commonDir {
			for _, dir := range privateRefs {
				refs.addFiles(tree.dir, dir, tree.prefix)
			}
		} else if tree.prefix != "" {
			for _, dir := range privateRefs {
				refs.addFiles(r.commonDir, dir, tree.prefix)
			}
		}
		refs.addFile(tree.prefix+"HEAD", tree.prefix, filepath.Join(tree.dir, "HEAD"))
	}
	shared := refSet{}
	shared.addFiles(r.commonDir, "refs", "")
	for name, ref := range shared {
		if r.gitDir == r.commonDir || !isPrivate(name) {
			refs[name] = ref
		}
	}
	return errors.Join(err, treesErr)
}

// packedRefs reads the file that holds many refs at once.
func (r *Repository) packedRefs(refs refSet) error {
	f, err := openRegular(filepath.Join(r.commonDir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' || line[0] == '^' {
			continue
		}
		digits, name, ok := strings.Cut(line, " ")
		if id, err := git.ParseID(digits); ok && err == nil {
			refs[name] = Ref{Name: name, Hash: id.Hash()}
			continue
		}
		name = fmt.Sprintf("packed-refs:%d", n)
		refs[name] = Ref{Name: name, Broken: "the line holds no ref"}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading packed-refs: %w", err)
	}
	return nil
}

// addFiles reads the files of the loose refs in a folder below root and gives their names a prefix.
func (s refSet) addFiles(root, dir, prefix string) {
	// Its function returns no error, so this does not either.
	_ = filepath.WalkDir(filepath.Join(root, filepath.FromSlash(dir)), func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(root, path)
		name := prefix + filepath.ToSlash(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist) || relErr != nil: // refs come and go while we look
		case err != nil:
			s[name] = Ref{Name: name, Broken: err.Error()}
		case !d.IsDir() && !strings.HasSuffix(path, ".lock"):
			s.addFile(name, prefix, path)
		}
		return nil
	})
}

// addFile reads the file of a loose ref.
func (s refSet) addFile(name, prefix, path string) {
	b, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s[name] = Ref{Name: name, Broken: err.Error()}
		return
	}
	text := strings.TrimSpace(string(b))
	if target, ok := strings.CutPrefix(text, "ref:"); ok {
		s[name] = Ref{Name: name, Target: ofWorktree(prefix, strings.TrimSpace(target))}
		return
	}
	digits, _, _ := strings.Cut(text, "\n")
	id, err := git.ParseID(strings.TrimSpace(digits))
	if err != nil {
		s[name] = Ref{Name: name, Broken: "its file holds no object id"}
		return
	}
	s[name] = Ref{Name: name, Hash: id.Hash()}
}

// ofWorktree returns how a ref that a worktree calls name is called here.
func ofWorktree(prefix, name string) string {
	if isPrivate(name) {
		return prefix + name
	}
	return name
}

// tableRefs reads refs that are stored in reftables: a stack for all worktrees, and one for each linked one.
func (r *Repository) tableRefs(refs refSet) error {
	trees, err := r.worktrees()
	troubles := []error{err}
	for _, tree := range trees {
		err := readStack(filepath.Join(tree.dir, "reftable"), r.format, func(ref Ref) {
			if tree.dir == r.commonDir && tree.prefix == "" || isPrivate(ref.Name) {
				ref.Name = tree.prefix + ref.Name
				if ref.Target != "" {
					ref.Target = ofWorktree(tree.prefix, ref.Target)
				}
				refs[ref.Name] = ref
			}
		})
		if err != nil {
			troubles = append(troubles, fmt.Errorf("reading the refs in %s: %w", filepath.Join(tree.dir, "reftable"), err))
		}
	}
	if r.gitDir != r.commonDir {
		troubles = append(troubles, readStack(filepath.Join(r.commonDir, "reftable"), r.format, func(ref Ref) {
			if !isPrivate(ref.Name) {
				refs[ref.Name] = ref
			}
		}))
	}
	return errors.Join(troubles...)
}

// resolve follows symbolic refs to an id.
func (s refSet) resolve(ref Ref) magpie.Hash {
	for range maxSymbolic {
		if ref.Target == "" {
			break
		}
		ref = s[ref.Target]
	}
	if ref.Target != "" {
		return "" // in a circle, or too many
	}
	return ref.Hash
}
