package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/config.md")

const docFile = "../../docs/config.md"

const docIntro = `# Settings

<!-- Generated from internal/config/config.go by "go test ./internal/config -update". Change the comments there. -->

Every setting has a default that works, so ` + "`magpie serve`" + ` needs none. Settings come from the environment, or from one
TOML file named by ` + "`--config`" + ` or ` + "`" + FileEnv + "`" + `; the environment wins. A variable that is set but empty counts as not set. An unknown
key in the file is an error; all problems are reported at once, and ` + "`magpie doctor`" + ` tries what can be tried.

A setting marked *secret* can be read from a file of its own instead: add ` + "`_FILE`" + ` to the variable, or ` + "`_file`" + ` to the key.
Lists are TOML lists, or one text with commas between. Durations have units: ` + "`90s`, `15m`, `1h30m`" + `.
`

// TestDocument keeps docs/config.md equal to the comments of the struct.
func TestDocument(t *testing.T) {
	comments := fieldComments(t)
	var doc strings.Builder
	doc.WriteString(docIntro)
	for _, s := range settingsOf(&Config{}) {
		comment := comments[s.key]
		if comment == "" {
			t.Errorf("the setting %s has no comment", s.key)
			continue
		}
		fmt.Fprintf(&doc, "\n## `%s`\n\n`%s`, %s", s.key, s.env(), kindOf(s))
		if s.def == "" {
			doc.WriteString(", empty by default")
		} else {
			fmt.Fprintf(&doc, ", default `%s`", s.def)
		}
		if s.secret {
			doc.WriteString(", *secret*")
		}
		doc.WriteString("\n\n" + comment)
	}
	if *update {
		if err := os.WriteFile(docFile, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != doc.String() {
		t.Error("docs/config.md is stale; run go test ./internal/config -update")
	}
}

func kindOf(s setting) string {
	switch s.value.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list"
	case reflect.Int:
		return "number"
	case reflect.Int64:
		return "duration"
	}
	return "text"
}

// fieldComments returns the comment of each field by its dotted key, without the leading field name's Go spelling.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		prefix := ""
		if spec.Name.Name != "Config" {
			prefix = strings.ToLower(spec.Name.Name) + "."
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
			text := field.Doc.Text()
			if !strings.HasPrefix(text, field.Names[0].Name+" ") {
				t.Errorf("the comment of %s does not start with its name", field.Names[0].Name)
			}
			comments[prefix+tag.Get("toml")] = text
		}
		return false
	})
	return comments
}
