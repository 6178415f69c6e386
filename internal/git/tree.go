package git

import (
	"bytes"
	"errors"
	"iter"
)

// Mode is a tree entry's file mode.
type Mode uint32

// The modes Git writes. Old histories hold others, such as 0100664; IsTree and IsBlob look at the type bits only.
const (
	ModeTree       Mode = 0o040000
	ModeFile       Mode = 0o100644
	ModeExecutable Mode = 0o100755
	ModeSymlink    Mode = 0o120000
	ModeGitlink    Mode = 0o160000

	modeType Mode = 0o170000
)

// IsTree reports whether the entry is a directory.
func (m Mode) IsTree() bool { return m&modeType == ModeTree }

// IsGitlink reports whether the entry is a submodule: a commit of another repository.
func (m Mode) IsGitlink() bool { return m&modeType == ModeGitlink }

// IsBlob reports whether the entry is a file or a symbolic link.
func (m Mode) IsBlob() bool { return !m.IsTree() && !m.IsGitlink() }

// TreeEntry is one name in a directory.
type TreeEntry struct {
	Mode Mode
	Name []byte // part of the parsed data
	ID   ID
}

var errTreeEntry = errors.New("entry is cut short or has no mode or no name")

// ParseTree goes through the entries of a tree's content whose ids have the given format. At the first entry that
// makes no sense it yields an *ObjectError naming the tree and stops; the entries before it were good.
func ParseTree(id ID, data []byte, format Format) iter.Seq2[TreeEntry, error] {
	return func(yield func(TreeEntry, error) bool) {
		size := format.Size()
		for rest := data; len(rest) > 0; {
			e, n := parseEntry(rest, size)
			if n == 0 {
				yield(TreeEntry{}, corrupt(Tree, id, "at byte %d: %w", len(data)-len(rest), errTreeEntry))
				return
			}
			if !yield(e, nil) {
				return
			}
			rest = rest[n:]
		}
	}
}

// parseEntry reads the entry at the start of b and returns it with its length, or 0 if there is none.
func parseEntry(b []byte, size int) (TreeEntry, int) {
	mode, name, n := cutEntry(b, size)
	if n == 0 {
		return TreeEntry{}, 0
	}
	return TreeEntry{mode, name, IDFromBytes(b[n-size : n])}, n
}

// cutEntry reads mode and name of the entry at the start of b and returns them with the entry's length, whose last size
// bytes are the id, or 0 if there is none.
func cutEntry(b []byte, size int) (mode Mode, name []byte, n int) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '7' && i < 8; i++ {
		mode = mode<<3 | Mode(b[i]-'0')
	}
	if i == 0 || i >= len(b) || b[i] != ' ' {
		return 0, nil, 0
	}
	i++
	end := bytes.IndexByte(b[i:], 0)
	if end <= 0 || len(b)-(i+end+1) < size {
		return 0, nil, 0
	}
	return mode, b[i : i+end], i + end + 1 + size
}
