package ignore

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"magpie/internal/git/gittest"
)

// TestPathsAsGitDoes compares the patterns with git check-ignore, on examples and on random ones.
func TestPathsAsGitDoes(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	for _, text := range []string{
		"a", "/a", "a/", "/a/", "a/b", "b/a", "*", "/*", "/*/", "*/", "!a", "*\n!a", "*\n!*/\n!a", "a\n!a/b", "/*\n!/a\n/a/*\n!/a/b",
		"**", "**/", "**/a", "a/**", "a/**/b", "/**/a", "a**", "**a", "a**/b", "a/**b", "b/**/", "**/a/**", "***/a", "a/***", "a/*/b", "a/*",
		"?", "a?", "??", "[ab]", "[!a]", "[^a]", "[a-b]", "[b-a]", "[]a]", "[a-]", "[-a]", "[[:alpha:]]", "[[:digit:]]", "[[:nonsense:]]",
		"[[:alpha]", "[a", "[", "[]", "[!]", "[a/b]", "a[/]b", `\a`, `\*`, `\!a`, `\#a`, `\`, `a\`, `a\ `, `a `, "a  ", `a\  `, "#a", "!#a", "!!a",
		" a", "a\r", "/", "//", "a//b", "./a", "../a", `[\a]`, `[\]]`, `[a\-b]`, `**\/a`, `a\/b`, "[*]", "*[*]", "\t", "a\t", "",
		"a/b/", "**/b/", "!/a/b/", "*\n!/a/", "A", "\xef\xbb\xbfa", "[!/]", "?/?", "a*b", "*a*", "*.*", "!", "!/", "[--a]", "[a-\\b]", "[[.a.]]", "[a-[:digit:]]",
	} {
		compare(t, dir, text)
	}
	random := rand.New(rand.NewPCG(7, 7))
	rounds := 120
	if testing.Short() {
		rounds = 40
	}
	for range rounds {
		compare(t, dir, randomIgnore(random))
	}
}

// pieces are what random patterns are made of.
var pieces = []string{"a", "b", "a", "b", "/", "/", "*", "**", "**/", "/**", "?", "[ab]", "[!b]", "[", "]", "-", "!", "\\", " ", "#", ".", "[[:alnum:]]", "c"}

func randomIgnore(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(4) {
		if r.IntN(4) == 0 {
			b.WriteByte('!')
		}
		for range 1 + r.IntN(5) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		b.WriteString([]string{"\n", "\n", "\n", "/\n", "\r\n"}[r.IntN(5)])
	}
	return b.String()
}

// names are what the paths of the tree are made of.
var names = []string{"a", "b", "ab", "-", "#a", "a ", "*", "]", "A", "a.b"}

// tree makes a repository with files at every path of up to three names.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("git", "init", "-q", dir)
	cmd.Env = gittest.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, a := range names {
		for _, b := range names {
			for _, c := range names[:5] {
				if err := os.MkdirAll(filepath.Join(dir, "d-"+a, b), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, "d-"+a, b, c))
				if len(a) == 1 && a != "*" {
					if err := os.MkdirAll(filepath.Join(dir, a, "d"+b), 0o700); err != nil {
						t.Fatal(err)
					}
					write(t, filepath.Join(dir, a, "d"+b, c))
					write(t, filepath.Join(dir, a, b))
				}
			}
		}
		if len(a) > 1 || a == "*" {
			write(t, filepath.Join(dir, a))
		}
	}
	return dir
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func compare(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, dir)
	want := checkIgnore(t, dir, files)
	p := parseIgnore(text)
	for _, file := range files {
		if _, got := p.match(file); got != want[file] {
			t.Errorf("patterns %q: %q is excluded: %t, git says %t", text, file, got, want[file])
			return
		}
	}
}

// parseIgnore reads a .gitignore.
func parseIgnore(text string) *paths {
	p := new(paths)
	for n, line := range splitLines([]byte(text)) {
		if pat, ok := parsePattern(line); ok {
			p.add(pat, n+1)
		}
	}
	return p
}

func filesOf(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git" && d.IsDir():
			return filepath.SkipDir
		case !d.IsDir() && d.Name() != ".gitignore":
			rel, err := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkIgnore asks git which files are excluded.
func checkIgnore(t *testing.T, dir string, files []string) map[string]bool {
	t.Helper()
	cmd := exec.Command("git", "-C", dir, "-c", "core.ignoreCase=false", "check-ignore", "--no-index", "-z", "--stdin")
	cmd.Env = gittest.Env()
	cmd.Stdin = strings.NewReader(strings.Join(files, "\x00") + "\x00")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Fatalf("git check-ignore: %v: %s", err, stderr.String())
	}
	excluded := map[string]bool{}
	for _, file := range strings.Split(string(out), "\x00") {
		excluded[file] = true
	}
	return excluded
}

// TestHostilePatternsTakeLinearTime runs patterns that make searches with repetition take for ever.
func TestHostilePatternsTakeLinearTime(t *testing.T) {
	t.Parallel()
	path := strings.Repeat("a", 4000) + "/" + strings.Repeat("b/", 40) + "c"
	for _, text := range []string{strings.Repeat("*a", 500) + "z", strings.Repeat("**/", 300) + "z", strings.Repeat("*", 1000) + "z", strings.Repeat("a*/**/", 100) + "z"} {
		if _, excluded := parseIgnore(text).match(path); excluded {
			t.Errorf("%.20q excludes the path", text)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"a/**/b", "[[:alpha:]-z]*", `\[`, "!**/", "[a-"} {
		f.Add(seed, "a/b/c")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p := parseIgnore(text)
		line, excluded := p.match(path)
		if excluded && !slices.Contains(p.lines, line) {
			t.Errorf("line %d of %q excludes %q, which is no pattern's", line, text, path)
		}
	})
}
