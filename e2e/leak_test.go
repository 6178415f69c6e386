package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"magpie/internal/bitbucketsim"
	"magpie/internal/demo"
)

// TestDemoLeaksNothing plays the demo and looks for every planted value in all that it printed, logged, stored and
// mailed. Only the repositories of the simulated Bitbucket may hold them.
func TestDemoLeaksNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	command := exec.Command(filepath.Join(binDir, "magpie"), "demo", "--exit", "--kill", "--dir", dir)
	printed, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("the demo: %v\n%s", err, printed)
	}
	forms := plantedForms(t, filepath.Join(dir, "bitbucket", "repositories"))
	seen := map[string]bool{}
	check := func(where string, text []byte) {
		seen[where] = true
		for name, form := range forms {
			if bytes.Contains(text, []byte(form)) {
				t.Errorf("%s holds a planted %s", where, name)
			}
		}
	}
	check("standard output and error", printed)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		where, relErr := filepath.Rel(dir, path)
		if where == filepath.Join("bitbucket", "repositories") {
			return fs.SkipDir
		}
		if d.IsDir() || relErr != nil {
			return relErr
		}
		text, err := os.ReadFile(path)
		check(where, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"data/magpie.db", "data/master.key", "server.log", "mails.eml"} {
		if !seen[where] {
			t.Errorf("%s was not looked at", where)
		}
	}
}

// plantedForms returns the planted values, plain and encoded, by what they are. The world of the demo follows from its
// seed, so it is made a second time; that the values are the same is proved by finding them in the demo's repositories.
func plantedForms(t *testing.T, repositories string) map[string]string {
	t.Helper()
	world, err := demo.New(bitbucketsim.Options{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	// As Story.Continue does.
	for _, push := range [][4]string{
		{"PAY/checkout-service", "", "stripe", ""}, {"SHOP/product-data", "hotfix", "gitlab", ""}, {"~ALEX/experiments", "", "slack", "build-bot"},
	} {
		if _, err := world.PushSecret(push[0], push[1], push[2], push[3]); err != nil {
			t.Fatal(err)
		}
	}
	content := everything(t, repositories)
	forms := map[string]string{}
	for _, s := range world.Secrets() {
		value := string(s.Value.Reveal())
		if !strings.Contains(content, value) {
			t.Errorf("the demo's repositories do not hold the %s at %v: the test looks for the wrong values", s.Rule, s.Places)
		}
		name := s.Rule + " of " + s.Places[0].File
		if lines := strings.Split(value, "\n"); len(lines) > 1 {
			value = lines[1] // of a key, what stands between its first and last line
		}
		forms[name] = value
		forms[name+", in base64"] = strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(value)), "=")
		forms[name+", in hexadecimal"] = hex.EncodeToString([]byte(value))
	}
	return forms
}

// everything returns all objects of all repositories, one after the other.
func everything(t *testing.T, repositories string) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(repositories, "*.git"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("repositories: %v, %v", dirs, err)
	}
	var all strings.Builder
	for _, dir := range dirs {
		out, err := exec.Command("git", "-c", "safe.directory=*", "--git-dir", dir, "cat-file", "--batch-all-objects", "--batch").Output()
		if err != nil {
			t.Fatal(err)
		}
		all.Write(out)
	}
	return all.String()
}
