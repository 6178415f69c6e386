package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"magpie"
)

// maxAlternates is how many object directories in all a repository may be made of.
const maxAlternates = 100

// addObjects adds an object directory and, depth first, its alternates: the directories that its info/alternates names,
// one a line, relative to itself. Git's http-alternates name servers and are not followed.
func (r *Repository) addObjects(dir string) {
	if path, err := filepath.EvalSymlinks(dir); err == nil {
		dir = path
	}
	if slices.Contains(r.objects, dir) {
		return
	}
	if len(r.objects) >= maxAlternates {
		r.unread("object directory %s is one too many: only %d are read", dir, maxAlternates)
		return
	}
	r.objects = append(r.objects, dir)
	b, err := readSmall(filepath.Join(dir, "info", "alternates"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.unread("the list of alternates of %s can't be read: %v", dir, err)
		return
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		next := relativeTo(dir, unquotePath(line))
		if info, err := os.Stat(next); err != nil || !info.IsDir() {
			r.unread("object directory %s, which %s borrows from, is absent", next, dir)
			continue
		}
		r.addObjects(next)
	}
}

// unquotePath takes off the quotes that Git puts around paths with unusual bytes.
func unquotePath(path string) string {
	if len(path) < 2 || path[0] != '"' {
		return path
	}
	if plain, err := strconv.Unquote(path); err == nil {
		return plain
	}
	return path
}

// unread notes something that can't be read, for people.
func (r *Repository) unread(format string, args ...any) {
	r.absent.Unread = append(r.absent.Unread, fmt.Sprintf(format, args...))
}

// notThere is the error for a part of a repository that another part names.
func notThere(what, path string, err error) error {
	e := magpie.Errorf(magpie.KindInvalid, "%s %s can't be opened: %w", what, path, err)
	e.Hint = "was the repository moved, or is a part of it on another disk?"
	return e
}
