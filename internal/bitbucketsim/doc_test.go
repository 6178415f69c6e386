package bitbucketsim

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocNamesWhatExists keeps the list of switches true: each test it names exists, and so does each method; and each
// Set method is in it.
func TestDocNamesWhatExists(t *testing.T) {
	doc := string(must(os.ReadFile("doc.go")))
	declared := map[string]bool{}
	for _, file := range must(filepath.Glob("*.go")) {
		syntax := must(parser.ParseFile(gotoken.NewFileSet(), file, nil, 0))
		for _, d := range syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				declared[f.Name.Name] = true
			}
		}
	}
	for _, name := range regexp.MustCompile(`\b(Test|Set)[A-Z]\w+`).FindAllString(doc, -1) {
		if !declared[name] {
			t.Errorf("doc.go names %s, which does not exist", name)
		}
	}
	for name := range declared {
		if strings.HasPrefix(name, "Set") && !strings.Contains(doc, name) {
			t.Errorf("doc.go does not name the switch %s", name)
		}
	}
}
