package ignore

import (
	"strings"
)

// maxPattern is the length in bytes beyond which a pattern is refused: matching takes time in proportion to it.
const maxPattern = 1024

// pattern is one line of a .gitignore: which paths it is about, and whether it excludes them or takes them in again.
type pattern struct {
	negated bool
	dirOnly bool // it ended with a slash
	base    bool // it holds no slash, so it is about the last part of a path
	glob    glob
}

// parsePattern reads a line of a .gitignore, without its line end. ok is false for lines that say nothing: empty ones and
// comments.
func parsePattern(line string) (p pattern, ok bool) {
	if strings.HasPrefix(line, "#") {
		return p, false
	}
	line = trimSpaces(line)
	if line == "" {
		return p, false
	}
	if line[0] == '!' {
		p.negated = true
		line = line[1:]
	}
	if strings.HasSuffix(line, "/") {
		p.dirOnly = true
		line = line[:len(line)-1]
	}
	p.base = !strings.Contains(line, "/")
	if !p.base {
		line = strings.TrimPrefix(line, "/")
	}
	p.glob = compileGlob(line, !p.base)
	return p, true
}

// trimSpaces cuts the spaces at the end of a line that no backslash keeps.
func trimSpaces(line string) string {
	end := len(line)
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			if end == len(line) {
				end = i
			}
			continue
		case '\\':
			i++ // what follows is meant as it stands
		}
		end = len(line)
	}
	return line[:end]
}

// match reports whether the pattern is about the path itself; what lies in an excluded folder is not its concern.
func (p *pattern) match(path string, dir bool) bool {
	if p.dirOnly && !dir {
		return false
	}
	if p.base {
		path = path[strings.LastIndexByte(path, '/')+1:]
	}
	return p.glob.match(path)
}

// paths is the patterns of one file, or of one detector in it, in order.
type paths struct {
	patterns []pattern
	lines    []int // where each stands
}

func (p *paths) add(pat pattern, line int) {
	p.patterns = append(p.patterns, pat)
	p.lines = append(p.lines, line)
}

// match reports whether a file is excluded, as Git decides it, and by the pattern of which line. From the root
// down the last pattern that matches decides about a folder, and nothing in an excluded one is taken in again.
func (p *paths) match(path string) (line int, excluded bool) {
	for i := 0; i < len(path); i++ {
		if path[i] == '/' {
			if n := p.last(path[:i], true); n >= 0 && !p.patterns[n].negated {
				return p.lines[n], true
			}
		}
	}
	n := p.last(path, false)
	if n < 0 || p.patterns[n].negated {
		return 0, false
	}
	return p.lines[n], true
}

// last returns the last pattern that matches, or -1.
func (p *paths) last(path string, dir bool) int {
	for n := len(p.patterns) - 1; n >= 0; n-- {
		if p.patterns[n].match(path, dir) {
			return n
		}
	}
	return -1
}
