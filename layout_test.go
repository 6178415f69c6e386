package magpie_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imports says which of our own packages each package may import; the vocabulary, package magpie, is free to all. Data
// flows down the list: an engine knows only engines, an adapter for one outside system knows no other adapter, a stage
// knows engines, adapters and the next stage, and only app knows all. Tests may import what they like.
var imports = map[string][]string{
	"":      nil,
	"rules": {"internal/rule"},

	// engines: bytes in, values out
	"internal/rule":           nil,
	"internal/decode":         nil,
	"internal/decode/lzma":    nil,
	"internal/decode/archive": {"internal/decode/lzma", "internal/git", "internal/git/pack"},
	"internal/detect":         {"internal/rule", "internal/decode", "internal/decode/archive"},
	"internal/ignore":         {"internal/detect"},
	"internal/git":            nil,
	"internal/inflate":        nil,
	"internal/git/pack":       {"internal/git", "internal/inflate"},
	"internal/seal":           nil,

	// adapters: one outside system each
	"internal/guard":            nil,
	"internal/store":            nil,
	"internal/queue":            nil,
	"internal/bitbucket":        nil,
	"internal/git/smarthttp":    {"internal/git"},
	"internal/mail":             nil,
	"internal/mail/mailcatcher": nil,
	"internal/notify":           nil,
	"internal/verify":           {"internal/rule"},

	// stages, in the order data flows
	"internal/perimeter": {"internal/scan", engines, adapters},
	"internal/scan":      {"internal/incident", engines, adapters},
	"internal/incident":  {"internal/alert", engines, adapters},
	"internal/alert":     {engines, adapters},

	// beside the flow
	"internal/access":  {engines, adapters},
	"internal/insight": {engines, adapters},
	"internal/report":  {"internal/store", engines},

	// the ways in
	"internal/web/patient": nil,
	"internal/web/hook":    {stages, beside, engines, adapters},
	"internal/web/api":     {"internal/web/patient", stages, beside, engines, adapters},
	"internal/web/ui":      {"internal/web/patient", stages, beside, engines, adapters},
	"internal/apply":       nil, // through the API only

	// the whole
	"internal/config":  nil,
	"internal/app":     {everything},
	"internal/demo":    {everything},
	"e2e":              {everything},
	"e2e/bitbucket":    {everything},
	"cmd/magpie":       {everything},
	"bench/measure":    nil,
	"bench/detect":     {"bench/measure", "rules", "internal/rule", "internal/detect", "internal/detect/detecttest"},
	"bench/history":    {"bench/measure", "rules", "internal/detect", "internal/git/pack", "internal/git/smarthttp", "internal/scan"},
	"bench/deliveries": {"internal/bitbucketsim", "internal/port", "internal/store"},
	"bench/perimeter":  {"internal/bitbucketsim", "internal/port"},

	// support for tests and the demo
	"internal/bitbucketsim":      nil,
	"internal/detect/detecttest": nil,
	"internal/git/gittest":       nil,
	"internal/port":              nil,
	"internal/store/storetest":   {"internal/store", "internal/queue"},
}

// Names for groups of packages in the table above.
const (
	engines    = "(engines)"
	adapters   = "(adapters)"
	stages     = "(stages)"
	beside     = "(beside)"
	everything = "(everything)"
)

var groups = map[string][]string{
	engines:  {"rules", "internal/rule", "internal/decode", "internal/decode/lzma", "internal/decode/archive", "internal/detect", "internal/ignore", "internal/git", "internal/inflate", "internal/git/pack", "internal/seal"},
	adapters: {"internal/guard", "internal/store", "internal/queue", "internal/bitbucket", "internal/git/smarthttp", "internal/mail", "internal/notify", "internal/verify"},
	stages:   {"internal/perimeter", "internal/scan", "internal/incident", "internal/alert"},
	beside:   {"internal/access", "internal/report", "internal/insight"},
}

func TestPackagesImportTheWayDataFlows(t *testing.T) {
	found := packages(t)
	for dir, imported := range found {
		allowed, ok := imports[dir]
		if !ok {
			t.Errorf("package %q is not in the table of layout_test.go: say where it stands", dir)
			continue
		}
		for _, target := range imported {
			if target != "" && !permits(allowed, target) {
				t.Errorf("%s imports %s, which the table does not allow", dir, target)
			}
		}
	}
	for dir := range imports {
		if _, ok := found[dir]; !ok {
			t.Errorf("the table names package %q, which does not exist", dir)
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	for dir := range packages(t) {
		if !hasDoc(t, dir) {
			t.Errorf("package %q has no doc comment that says what it is for", dir)
		}
	}
}

func permits(allowed []string, target string) bool {
	return slices.ContainsFunc(allowed, func(entry string) bool {
		return entry == target || entry == everything || slices.Contains(groups[entry], target)
	})
}

// packages returns each package's folder and the folders of our packages that its code, without tests, imports.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	walkGo(t, func(file string) {
		dir := folder(file)
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		found[dir] = append(found[dir], []string{}...)
		if found[dir] == nil {
			found[dir] = []string{}
		}
		for _, spec := range syntax.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			if target, ours := strings.CutPrefix(name, "magpie/"); ours && !slices.Contains(found[dir], target) {
				found[dir] = append(found[dir], target)
			}
		}
	})
	return found
}

func hasDoc(t *testing.T, dir string) bool {
	t.Helper()
	documented := false
	walkGo(t, func(file string) {
		if folder(file) != dir {
			return
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		text := syntax.Doc.Text()
		documented = documented || strings.HasPrefix(text, "Package ") || strings.HasPrefix(text, "Command ")
	})
	return documented
}

// walkGo calls visit for each Go file that is not a test.
func walkGo(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		visit(file)
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func folder(file string) string {
	dir := path.Dir(filepath.ToSlash(file))
	if dir == "." {
		return ""
	}
	return dir
}
