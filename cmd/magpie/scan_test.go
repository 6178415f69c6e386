package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"magpie/internal/bitbucketsim"
	"magpie/internal/scan"
)

// TestScanURLOverABrokenConnection scans a repository at a server whose pack does not come over in one piece.
func TestScanURLOverABrokenConnection(t *testing.T) {
	t.Parallel()
	sim, err := bitbucketsim.New(bitbucketsim.Options{})
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	check(err)
	t.Cleanup(func() { check(sim.Close()) })
	user, err := sim.CreateUser(bitbucketsim.User{Name: "ann", Permission: "SYS_ADMIN"})
	check(err)
	_, err = sim.CreateProject("PRJ", "Project")
	check(err)
	repo, err := sim.CreateRepo("PRJ", "Code")
	check(err)
	token, err := sim.CreateToken(bitbucketsim.TokenSpec{User: user, Permissions: []string{"REPO_READ"}})
	check(err)
	random := rand.New(rand.NewPCG(1, 1))
	var commits []bitbucketsim.Commit
	for i := range 6 {
		noise := make([]byte, 20_000)
		for j := range noise {
			noise[j] = byte('!' + random.IntN(90))
		}
		commits = append(commits, bitbucketsim.Commit{Files: map[string]string{
			fmt.Sprintf("conf%d.env", i): fmt.Sprintf("KEY=acmekey_%d%d\n", 1_000_000_000+random.Int64N(9_000_000_000), 1_000_000_000+random.Int64N(9_000_000_000)), "noise": string(noise),
		}})
	}
	_, err = sim.Push(bitbucketsim.Push{Repo: repo.ID, Commits: commits})
	check(err)
	sim.SetPackTrouble(bitbucketsim.PackTrouble{After: []int64{50_000, 40_000, 30_000}})

	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		check(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	rules := write("rules.yaml", `
vendor: Acme
rules:
  - id: acme-key
    title: Acme key
    category: token
    severity: high
    confidence: high
    description: A key of Acme.
    remediation: None.
    references: ['https://example.com/']
    since: '1.0'
    literals: ['acmekey_']
    pattern: '\b(?P<secret>acmekey_[0-9]{20})\b'
    examples:
      match: ['acmekey_<>48201937465028173946', 'k=acmekey_<>90817263549102837465', '"acmekey_<>73650918247365091824"']
      no_match: ['acmekey_1', 'acmekey-00000000001234567890']
`)
	var out, errs bytes.Buffer
	p := &process{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	args := []string{
		"scan", "--format", "jsonl", "--url", sim.CloneURL(repo.ID), "--token-file", write("token", token.Text), "--ca-file", sim.CAFile(), "--rules", rules,
	}
	status := run(p, args)
	files := regexp.MustCompile(`"file":"conf\d\.env"`).FindAllString(out.String(), -1)
	if status != 1 || len(files) != 6 {
		t.Errorf("status %d, files %q, want 1 and all six; it says %q", status, files, errs.String())
	}
	if _, cut := sim.PackBytes(); cut == 0 {
		t.Error("no pack was cut")
	}
	if strings.Contains(out.String(), `"refs"`) {
		t.Error("parts of a history are taken to tell what reaches what")
	}
	sim.SetPackTrouble(bitbucketsim.PackTrouble{})
	out.Reset()
	status = run(p, args)
	if n := strings.Count(out.String(), `"presence":"present","refs":["refs/heads/`); status != 1 || n != 6 {
		t.Errorf("status %d, %d of six findings are said to be on the default branch", status, n)
	}
	if strings.Contains(out.String()+errs.String(), token.Text) {
		t.Error("the token is printed")
	}
}

func TestSliceText(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]scan.Remote{
		"":                                     {},
		"slice 2: ":                            {Slice: 2},
		"slice 3, after 25 % of the commits: ": {Slice: 3, Commits: 50, CommitsTotal: 200},
	} {
		if got := sliceText(r); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}
