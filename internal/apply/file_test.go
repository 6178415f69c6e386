package apply

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

const sample = `# What we watch.
[[integration]]
url = "https://Bitbucket.example.com/"
token_file = "token"
token_expires = 2027-01-31

[[integration.project]]
key = "PAY"
auto_monitor = "off"
insights = true
ignore = ["PAY/legacy-*"]
monitor = ["core"]

[[integration]]
url = "https://git.example.com/bitbucket"
mode = "project"
token_env = "GIT_TOKEN"
autoscan = false

  [[integration.project]]
  key = "OPS"
`

func TestParse(t *testing.T) {
	f, err := Parse("bitbucket.toml", sample)
	if err != nil {
		t.Fatal(err)
	}
	first, second := f.Integrations[0], f.Integrations[1]
	if first.URL != "https://bitbucket.example.com" || first.Mode != "instance" || !first.autoscan() || !first.autoMonitor() || !first.guarded() {
		t.Errorf("first integration %+v", first)
	}
	if want := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC); !first.TokenExpires.Equal(want) {
		t.Errorf("the token expires at %v, want %v", first.TokenExpires, want)
	}
	if second.Mode != "project" || second.autoscan() || second.Projects[0].AutoMonitor != "inherit" || !second.Projects[0].installed() || second.guarded() {
		t.Errorf("second integration %+v", second)
	}
	if got := []int{f.lines["integration.0"], f.lines["integration.0.project.0.key"], f.lines["integration.1.url"], f.lines["integration.1.project.0.key"]}; !cmp.Equal(got, []int{2, 8, 15, 21}) {
		t.Errorf("lines %v", got)
	}
}

func TestParseProblems(t *testing.T) {
	const head = "[[integration]]\nurl = \"https://b.example.com\"\ntoken_file = \"t\"\n"
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":            {"", "f.toml: the file names no [[integration]]"},
		"syntax":             {head + "mode = \n", "f.toml:4: expected value but found '\\n' instead"},
		"a literal token":    {head + "token = \"abcdef-hidden\"\n", "f.toml:4: token: an access token must not stand in this file"},
		"a broken token":     {head + "token = abcdef-hidden\n", "f.toml:4: this line is not well formed"},
		"unknown key":        {head + "colour = 1\n", "f.toml:4: colour: there is no such key"},
		"unknown inner key":  {head + "[[integration.project]]\nkey = \"P\"\nname = \"x\"\n", "f.toml:6: name: there is no such key"},
		"unknown table":      {head + "[server]\nurl = \"x\"\n", "f.toml:4: server: there is no such key"},
		"wrong type":         {head + "autoscan = \"yes\"\n", "f.toml:4: incompatible types: TOML value has type string; destination has type boolean"},
		"no TLS":             {strings.Replace(head, "https", "http", 1), "f.toml:2: url: it must start with https"},
		"credentials in URL": {strings.Replace(head, "//", "//me:hidden@", 1), "f.toml:2: url: it must have no credentials and no query"},
		"no URL":             {"[[integration]]\ntoken_env = \"T\"\n", "f.toml:1: url: it is missing"},
		"mode":               {head + "mode = \"all\"\n", "f.toml:4: mode: \"all\" is not a way to integrate"},
		"no token":           {"[[integration]]\nurl = \"https://b.example.com\"\n", "f.toml:1: it must say where its access token is"},
		"two tokens":         {head + "token_env = \"T\"\n", "f.toml:1: it must say where its access token is"},
		"twice":              {head + head, "f.toml:5: url: this integration is there twice"},
		"project twice":      {head + "[[integration.project]]\nkey = \"P\"\n[[integration.project]]\nkey = \"p\"\n", "f.toml:7: key: project p is there twice"},
		"no key":             {head + "[[integration.project]]\ninsights = true\n", "f.toml:4: key: it is missing"},
		"installed":          {head + "[[integration.project]]\nkey = \"P\"\ninstalled = true\n", "f.toml:6: installed: it means something only in mode project"},
		"auto_monitor":       {head + "[[integration.project]]\nkey = \"P\"\nauto_monitor = \"maybe\"\n", "f.toml:6: auto_monitor: \"maybe\" is no default for new repositories"},
		"pattern":            {head + "[[integration.project]]\nkey = \"P\"\nignore = [\"[\"]\n", "f.toml:6: ignore: \"[\" is not a pattern for repositories"},
		"other project":      {head + "[[integration.project]]\nkey = \"P\"\nmonitor = [\"Q/a\"]\n", "f.toml:6: monitor: \"Q/a\" is not in project P"},
	} {
		_, err := Parse("f.toml", tc.text)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), "hidden") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}

// Every problem is told, not only the first.
func TestParseTellsAllProblems(t *testing.T) {
	_, err := Parse("f.toml", "[[integration]]\nurl = \"x\"\ncolour = 1\n[[integration]]\nmode = \"all\"\ntoken_env = \"T\"\n")
	if err == nil || strings.Count(err.Error(), "f.toml:") != 5 {
		t.Errorf("problems:\n%v\nwant 5", err)
	}
}

func TestTokens(t *testing.T) {
	dir := t.TempDir()
	f, err := Parse(filepath.Join(dir, "bitbucket.toml"), sample)
	if err != nil {
		t.Fatal(err)
	}
	environ := func(string) string { return " from-environment\n" }
	if _, err := f.token(f.Integrations[0], environ); err == nil || !strings.Contains(err.Error(), ":4: token_file: ") {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"from-file", "from-environment"} {
		token, err := f.token(f.Integrations[n], environ)
		if err != nil || string(token.Reveal()) != want {
			t.Errorf("token %d is %q (%v), want %q", n, token.Reveal(), err, want)
		}
	}
	if _, err := f.token(f.Integrations[1], func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), ":17: token_env: the environment variable GIT_TOKEN is not set") {
		t.Errorf("without the variable: %v", err)
	}
}

// A token that somebody puts where it does not belong must not be repeated in an error, which ends up in a pipeline's log.
func TestErrorsDoNotRepeatTokens(t *testing.T) {
	nothing := func(string) string { return "" }
	for _, token := range []string{"BBDC-" + "MDEyMzQ1Njc4OTAx", "MDEyMzQ1Njc4OTAx" + "abcdefgh", "9DEyMzQ1Njc4OTAx" + "abcdefgh", "99999999999999999999" + "99", "truE" + "MzQ1Njc4OTAx", "inf" + "MzQ1Njc4OTAx"} {
		for _, line := range []string{
			`token = "%s"`, `token = %s`, `token: %s`, `token_file = "%s"`, `token_file = %s`, `token_env = "%s"`, `token_env = %s`, `token_env = ["%s"]`,
			`token_env = "x" "%s"`, `token = "%s`, `token_env = "%s`, `autoscan = "%s"`, `token_expires = %s`, `token_expires = "%s"`,
		} {
			f, err := Parse(filepath.Join(t.TempDir(), "bitbucket.toml"), "[[integration]]\nurl = \"https://bitbucket.example.com\"\n"+fmt.Sprintf(line, token)+"\n")
			if err == nil {
				_, err = f.token(f.Integrations[0], nothing)
			}
			if err == nil || strings.Contains(err.Error(), token) || strings.Contains(magpie.Explain(err), token) {
				t.Errorf(line+": got %v, want an error that does not repeat it", token, err)
			}
		}
	}
}
