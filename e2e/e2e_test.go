package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"magpie/internal/port"
	"magpie/internal/store/storetest"
)

// binDir holds the binary under test.
var binDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "magpie-e2e-")
	if err != nil {
		panic(err)
	}
	binDir = dir
	build := exec.Command("go", "build", "-o", dir, "../cmd/magpie")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the binary:", err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// TestCommand runs the scripts that need no database.
func TestCommand(t *testing.T) {
	all, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if !strings.HasPrefix(filepath.Base(file), "db-") {
			run(t, file, "")
		}
	}
}

func TestSQLite(t *testing.T) { onDatabase(t, func(*testing.T) string { return "" }) }

func TestPostgres(t *testing.T) { onDatabase(t, storetest.EmptyPostgres) }

func onDatabase(t *testing.T, database func(*testing.T) string) {
	files, err := filepath.Glob("testdata/db-*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { run(t, file, database(t)) })
	}
}

func run(t *testing.T, file, database string) {
	testscript.Run(t, testscript.Params{
		Files:               []string{file},
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			held, err := port.Any()
			if err != nil {
				return err
			}
			env.Defer(func() { _ = held.Close() })
			env.Setenv("PATH", binDir+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PORT", strconv.Itoa(held.Port()))
			env.Setenv("URL", "http://"+held.Address())
			env.Setenv("DATABASE", database)
			if database != "" {
				env.Setenv("MAGPIE_DATABASE", database)
			}
			env.Setenv("MAGPIE_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("MAGPIE_LISTEN", held.Address())
			for _, name := range []string{"GIT_AUTHOR", "GIT_COMMITTER"} {
				env.Setenv(name+"_NAME", "Kim")
				env.Setenv(name+"_EMAIL", "kim@example.com")
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "postgres" {
				return database != "", nil
			}
			return false, fmt.Errorf("no condition is called %s", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fill": fill, "wrap": wrap, "status": status, "ready": ready, "api": api, "setup": setup, "sarif": sarif, "damage": damage,
		},
	})
}

// fill removes the marks that split secrets in files.
func fill(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		text := strings.ReplaceAll(ts.ReadFile(file), "<>", "")
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// status runs a command and wants this very exit status.
func status(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N command args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit, ok := err.(*exec.ExitError); ok {
		got = strconv.Itoa(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// ready waits until the server answers.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(ts.Getenv("URL") + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server does not answer: %v", err)
		}
	}
}

// api sends a request with the token in the file "token", wants a status, and leaves the answer in the file "answer":
// api METHOD PATH STATUS [BODY].
func api(ts *testscript.TestScript, _ bool, args []string) {
	body := ""
	if len(args) == 4 {
		body = args[3]
	}
	r, err := http.NewRequest(args[0], ts.Getenv("URL")+"/api/v1"+args[1], strings.NewReader(body))
	ts.Check(err)
	r.Header.Set("Content-Type", "application/json")
	if token, err := os.ReadFile(ts.MkAbs("token")); err == nil {
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), answer, 0o600))
	if strconv.Itoa(response.StatusCode) != args[2] {
		ts.Fatalf("%s %s: status %d, want %s: %s", args[0], args[1], response.StatusCode, args[2], answer)
	}
}

var hiddenField = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"`)

// setup creates the Owner by the form of the web app, as a browser would: setup EMAIL PASSWORD. Negated, it wants to be
// refused.
func setup(ts *testscript.TestScript, neg bool, args []string) {
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := &http.Client{Jar: jar}
	address := ts.Getenv("URL")
	page, err := browser.Get(address + "/")
	ts.Check(err)
	text, err := io.ReadAll(page.Body)
	ts.Check(err)
	page.Body.Close()
	form := url.Values{"email": {args[0]}, "name": {"Owner"}, "password": {args[1]}, "again": {args[1]}}
	for _, field := range hiddenField.FindAllSubmatch(text, -1) {
		form.Set(string(field[1]), string(field[2]))
	}
	r, err := http.NewRequest(http.MethodPost, address+"/setup", strings.NewReader(form.Encode()))
	ts.Check(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", address)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answer, err := browser.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	made := answer.StatusCode == http.StatusOK && answer.Request.URL.Path != "/setup" && answer.Request.URL.Path != "/login"
	if made == neg {
		ts.Fatalf("the set-up form leads to %s with status %d", answer.Request.URL.Path, answer.StatusCode)
	}
}

// SchemaEnv names the environment variable with the path of the official JSON schema of SARIF 2.1.0. Its licence keeps
// it out of this repository; testdata/sarif.schema.json holds what our output has to satisfy of it.
const schemaEnv = "MAGPIE_TEST_SARIF_SCHEMA"

// sarif validates a file.
func sarif(ts *testscript.TestScript, _ bool, args []string) {
	schemas := []string{filepath.Join(testdata, "sarif.schema.json")}
	if official := os.Getenv(schemaEnv); official != "" {
		schemas = append(schemas, official)
	} else {
		ts.Logf("%s is not set: validating against the reduced schema only", schemaEnv)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	for _, path := range schemas {
		raw, err := os.ReadFile(path)
		ts.Check(err)
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		ts.Check(err)
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		ts.Check(compiler.AddResource("file:///sarif.json", parsed))
		schema, err := compiler.Compile("file:///sarif.json")
		ts.Check(err)
		ts.Check(schema.Validate(document))
	}
}

// testdata is absolute, since scripts run elsewhere.
var testdata = func() string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		panic(err)
	}
	return dir
}()

// damage overwrites the middle of a file.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	raw := []byte(ts.ReadFile(args[0]))
	for i := len(raw) / 4; i < len(raw)*3/4; i++ {
		raw[i] ^= 0x5a
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), raw, 0o600))
}
