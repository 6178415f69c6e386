package scan_test

import (
	"bytes"
	"strings"
	"testing"

	"magpie/internal/detect"
	"magpie/internal/scan"
	"magpie/rules"
)

// TestExcerptsHideEveryTrace shows the surroundings of secrets in which their values, or others, stand again.
func TestExcerptsHideEveryTrace(t *testing.T) {
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detect.New(all, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	password := strings.Join([]string{"kJ8vQm2x", "Tz9LpRw4"}, "")
	other := strings.Join([]string{"hT5wBn8y", "Uc3NsKd7"}, "")
	test := key("one")
	tests := map[string]string{
		"again on the next line":        "db_password = \"" + password + "\"\nconnect(\"db\", \"app\", \"" + password + "\")\n",
		"again, glued to a flag":        "db_password = \"" + password + "\"\nmysql -p" + password + " app\n",
		"a neighbour told to be fine":   "db_password = \"" + password + "\"\napi_secret = \"" + other + "\" // magpie:ignore\n",
		"again, across the cut":         "db_password = \"" + password + "\"\n" + strings.Repeat("x", 232) + password + "\n",
		"again, before a distant match": "# " + password + "\ndb_password = \"" + password + "\"\n# " + test + "\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			result, err := scan.ExamineReader(strings.NewReader(text), "app.py", scan.Examination{Engine: engine, Context: 3})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Places) == 0 {
				t.Fatal("nothing was found")
			}
			for _, p := range result.Places {
				shown := []byte(p.Excerpt.Text)
				for _, value := range []string{password, other} {
					for n := len(value); n > len(value)/2; n-- { // also not most of it
						if bytes.Contains(shown, []byte(value[:n])) {
							t.Errorf("the excerpt shows %d of %d bytes of a value:\n%s", n, len(value), bytes.ReplaceAll(shown, []byte(value[:n]), []byte("(value)")))
							break
						}
					}
				}
			}
		})
	}
}
