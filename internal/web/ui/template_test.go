package ui

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func templates(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.templ")
	if err != nil || len(names) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	all := map[string]string{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(content)
	}
	return all
}

// TestTemplatesStayInThePolicy refuses in the templates what the Content-Security-Policy would stop in the browser, and
// what templ's escaping does not cover.
func TestTemplatesStayInThePolicy(t *testing.T) {
	t.Parallel()
	forbidden := map[string]*regexp.Regexp{
		"unescaped output":         regexp.MustCompile(`templ\.Raw|@templ\.JSON|templ\.Unsafe`),
		"a hand-made address":      regexp.MustCompile(`templ\.SafeURL\(|templ\.URL\(`),
		"an inline style":          regexp.MustCompile(`\sstyle=|<style`),
		"an inline script":         regexp.MustCompile(`<script[^>]*>[^<]|\son[a-z]+=|hx-on|templ\.JSFuncCall|^script `),
		"an address as plain text": regexp.MustCompile(`(href|action|src)="[^#]`),
		"something from elsewhere": regexp.MustCompile(`(src|href)=\{?\s*"https?:`),
		"an expression for htmx":   regexp.MustCompile(`hx-vals=.?js:|hx-trigger="[^"]*\[|hx-confirm=.?js:`),
	}
	for name, content := range templates(t) {
		for what, pattern := range forbidden {
			if found := pattern.FindString(content); found != "" {
				t.Errorf("%s has %s: %q", name, what, found)
			}
		}
		for _, tag := range regexp.MustCompile(`(?s)<[a-z]+\s[^>]*?\shx-(?:get|post)=.*?>`).FindAllString(content, -1) {
			if !strings.Contains(tag, "hx-nonce={ templ.GetNonce(ctx) }") {
				t.Errorf("%s has an element of htmx without a nonce: %s", name, tag)
			}
		}
		for _, tag := range regexp.MustCompile(`(?s)target="_blank"[^>]*>`).FindAllString(content, -1) {
			if !strings.Contains(content, `rel="noreferrer noopener" `+strings.SplitN(tag, ">", 2)[0]) {
				t.Errorf("%s opens a tab that can reach back: %s", name, tag)
			}
		}
	}
}

// TestAssetsExist asserts that every static file a template names is there.
func TestAssetsExist(t *testing.T) {
	t.Parallel()
	for name, content := range templates(t) {
		for _, match := range regexp.MustCompile(`asset\("([^"]+)"\)`).FindAllStringSubmatch(content, -1) {
			if asset(match[1]) == "" {
				t.Errorf("%s asks for static/%s, which is not there", name, match[1])
			}
		}
	}
}

// TestVendoredFilesAreUnchanged compares what is not ours with the list of what it was when it was taken.
func TestVendoredFilesAreUnchanged(t *testing.T) {
	t.Parallel()
	list, err := staticFiles.ReadFile("static/VENDORED.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		content, err := staticFiles.ReadFile("static/" + fields[1])
		if err != nil {
			t.Fatal(err)
		}
		listed[fields[1]] = true
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != fields[0] {
			t.Errorf("%s is not what %s holds", fields[1], fields[2])
		}
	}
	names, err := filepath.Glob("static/*.min.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !listed[filepath.Base(name)] {
			t.Errorf("%s is not listed in VENDORED.txt", name)
		}
	}
}

// TestTemplatesAreGenerated asserts that the Go code of the templates is what the generator makes of them.
func TestTemplatesAreGenerated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range templates(t) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	generate := exec.Command("go", "run", "github.com/a-h/templ/cmd/templ", "generate", "-path", dir)
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("generating: %v\n%s", err, out)
	}
	for name := range templates(t) {
		code := strings.TrimSuffix(name, ".templ") + "_templ.go"
		want, err := os.ReadFile(filepath.Join(dir, code))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(code)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(withoutPaths(got), withoutPaths(want)) {
			t.Errorf("%s is not current: run go run github.com/a-h/templ/cmd/templ generate", code)
		}
	}
}

// withoutPaths removes the file names that generated code holds, which depend on where the generator ran.
func withoutPaths(code []byte) []byte {
	return regexp.MustCompile("FileName: [`\"][^`\"]*[`\"]").ReplaceAll(code, nil)
}
