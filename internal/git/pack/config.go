package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// knownExtensions are the extensions of the repository format that change nothing in how it is read, or are dealt with.
var knownExtensions = []string{
	"noop", "noop-v1", "preciousobjects", "partialclone", "worktreeconfig", "objectformat", "compatobjectformat", "refstorage",
	"relativeworktrees", "submodulepathconfig",
}

// readConfig takes from the repository's configuration how it is stored, and nothing else. Files it includes are not
// read.
func (r *Repository) readConfig() error {
	b, err := readSmall(filepath.Join(r.commonDir, "config"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the repository's configuration: %w", err)
	}
	for key, value := range configLines(string(b)) {
		switch {
		case key == "extensions.objectformat":
			if r.format, err = git.ParseFormat(value); err != nil {
				return magpie.Errorf(magpie.KindInvalid, "the repository has object format %q, which is not known", value)
			}
		case key == "extensions.refstorage":
			r.refStorage, _, _ = strings.Cut(value, ":")
		case key == "extensions.partialclone":
			r.absent.Partial = true
		case strings.HasPrefix(key, "remote ") && strings.HasSuffix(key, ".promisor"):
			r.absent.Partial = r.absent.Partial || value == "true"
		case strings.HasPrefix(key, "extensions."):
			if name := strings.TrimPrefix(key, "extensions."); !slices.Contains(knownExtensions, name) {
				r.unread("the repository uses the extension %q, which is not known; something may be missing", name)
			}
		}
	}
	return nil
}

// configLines goes through the settings of a Git configuration file, as "section.key" in lower case with their values.
func configLines(text string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		section := ""
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				name, rest, _ := strings.Cut(line[1:], "]")
				section, line = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(rest)
			}
			if line == "" || line[0] == '#' || line[0] == ';' {
				continue
			}
			key, value, found := strings.Cut(line, "=")
			if !found {
				value = "true"
			}
			if !yield(section+"."+strings.ToLower(strings.TrimSpace(key)), configValue(value)) {
				return
			}
		}
	}
}

// configValue returns the value of a setting in lower case, without quotes and the comment behind it.
func configValue(text string) string {
	quoted := false
	end := strings.IndexFunc(text, func(c rune) bool {
		quoted = quoted != (c == '"')
		return !quoted && (c == '#' || c == ';')
	})
	if end >= 0 {
		text = text[:end]
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), `"`, ""))
}
