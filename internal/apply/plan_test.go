package apply

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func lines(changes []change) (all []string) {
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%c %s", c.sign, c.text))
	}
	return all
}

func sampleFile(t *testing.T) *File {
	t.Helper()
	f, err := Parse("bitbucket.toml", sample)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPairs(t *testing.T) {
	f := sampleFile(t)
	whole := integrationState{ID: "1", Mode: "instance", URL: "https://bitbucket.example.com"}
	bot := integrationState{ID: "2", Mode: "project", URL: "https://git.example.com/bitbucket", TokenUser: "bot"}
	other := bot
	other.ID, other.TokenUser = "3", "other"
	removed := bot
	removed.ID, removed.Removing = "4", true

	found, extra, problems := pairs(f, []integrationState{whole, bot, removed})
	if found[0].ID != "1" || found[1].ID != "2" || len(extra)+len(problems) != 0 {
		t.Errorf("found %v, extra %v, problems %v", found, extra, problems)
	}
	if found, extra, problems = pairs(f, []integrationState{bot, other}); found[0].ID != "" || found[1].ID != "" || len(extra) != 0 || len(problems) != 1 {
		t.Errorf("two of one address: found %v, extra %v, problems %v; want neither touched", found, extra, problems)
	}
	f.Integrations[1].User = "other"
	if found, extra, _ = pairs(f, []integrationState{bot, other}); found[1].ID != "3" || len(extra) != 1 || extra[0].ID != "2" {
		t.Errorf("told apart by user: found %v, extra %v", found, extra)
	}
}

func TestPlanSettings(t *testing.T) {
	f := sampleFile(t)
	r := &run{Options: Options{File: f}}
	want := f.Integrations[0]
	as := integrationState{Autoscan: true, AutoMonitor: true, TokenExpires: want.TokenExpires}
	if got := lines(r.planSettings(want, as)); got != nil {
		t.Errorf("changes to what is as it should be: %v", got)
	}
	later := want.TokenExpires.AddDate(0, 0, 1)
	as = integrationState{TokenExpires: &later}
	expect := []string{"~ https://bitbucket.example.com: scan histories: on; monitor everything, also what is new: on; the token expires on 2027-01-31"}
	if diff := cmp.Diff(expect, lines(r.planSettings(want, as))); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	want.TokenExpires = nil // the file says nothing of it
	if got := lines(r.planSettings(want, integrationState{Autoscan: true, AutoMonitor: true, TokenExpires: &time.Time{}})); got != nil {
		t.Errorf("changes to an expiry that the file does not name: %v", got)
	}
}

func TestPlanProjects(t *testing.T) {
	f := sampleFile(t)
	var out bytes.Buffer
	r := &run{Options: Options{File: f, Out: &out}}
	changes, problems := r.planProjects(f.Integrations[0], []projectState{{Key: "PAY", AutoMonitor: "inherit"}, {Key: "OPS", AutoMonitor: "on", Insights: true}})
	if diff := cmp.Diff([]string{"~ https://bitbucket.example.com project PAY: monitor what is new: off; Code Insights: on"}, lines(changes)); diff != "" || problems != nil {
		t.Errorf("instance (-want +got, %v):\n%s", problems, diff)
	}
	if _, problems = r.planProjects(f.Integrations[0], nil); len(problems) != 1 || problems[0].Error() != "bitbucket.toml:8: key: there is no project PAY at https://bitbucket.example.com, or the token can't see it" {
		t.Errorf("without the project: %v", problems)
	}
	have := []projectState{{Key: "OPS", AutoMonitor: "inherit"}, {Key: "OLD", Installed: true}, {Key: "NEVER"}}
	changes, _ = r.planProjects(f.Integrations[1], have)
	if diff := cmp.Diff([]string{"+ https://git.example.com/bitbucket monitor project OPS"}, lines(changes)); diff != "" || !bytes.Contains(out.Bytes(), []byte("project OLD")) {
		t.Errorf("projects, note %q (-want +got):\n%s", out.String(), diff)
	}
	r.Prune = true
	changes, _ = r.planProjects(f.Integrations[1], have)
	if diff := cmp.Diff([]string{"+ https://git.example.com/bitbucket monitor project OPS", "- https://git.example.com/bitbucket stop monitoring project OLD"}, lines(changes)); diff != "" {
		t.Errorf("pruned (-want +got):\n%s", diff)
	}
}

// Names and reasons come from Bitbucket, where many people can choose them.
func TestLinesDoNotSteerTerminals(t *testing.T) {
	var out bytes.Buffer
	r := &run{Options: Options{Out: &out, DryRun: true}}
	r.note("%s: %s", "https://bitbucket.example.com", "gone\n+ connect \x1b[2J\u202eelsewhere")
	r.carryOut(t.Context(), []change{{'+', "monitor PRJ/\x1b]0;x\x07one\r", "", nil}})
	want := "! https://bitbucket.example.com: gone\uFFFD+ connect \uFFFD[2J\uFFFDelsewhere\n+ monitor PRJ/\uFFFD]0;x\uFFFDone\uFFFD\n"
	if got := out.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestPlanRepos(t *testing.T) {
	f := sampleFile(t)
	r := &run{Options: Options{File: f}}
	projects := []projectState{
		{ID: "pay", Key: "PAY", Installed: true, AutoMonitor: "off"},
		{ID: "all", Key: "ALL", Installed: true, AutoMonitor: "inherit"},
		{ID: "off", Key: "OFF", Installed: true, AutoMonitor: "off"},
		{ID: "not", Key: "NOT", AutoMonitor: "on"},
	}
	repo := func(project, name string, monitored bool) repoState {
		return repoState{ID: name, ProjectID: project, FullName: name, Monitored: monitored}
	}
	repos := []repoState{
		repo("pay", "PAY/legacy-a", true), repo("pay", "PAY/legacy-b", false), repo("pay", "PAY/core", false), repo("pay", "PAY/else", true), repo("pay", "PAY/other", false),
		repo("all", "ALL/b", false), repo("all", "ALL/a", false), repo("all", "ALL/c", true),
		repo("off", "OFF/a", true), repo("off", "OFF/b", false), repo("not", "NOT/a", false),
	}
	want := []string{
		"- https://bitbucket.example.com stop monitoring PAY/legacy-a",
		"+ https://bitbucket.example.com monitor ALL/a, ALL/b, PAY/core",
	}
	if diff := cmp.Diff(want, lines(r.planRepos(f.Integrations[0], projects, repos))); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	no := false
	f.Integrations[0].AutoMonitor = &no
	want[1] = "+ https://bitbucket.example.com monitor PAY/core"
	if diff := cmp.Diff(want, lines(r.planRepos(f.Integrations[0], projects, repos))); diff != "" {
		t.Errorf("without auto_monitor (-want +got):\n%s", diff)
	}
	var many []repoState
	for n := range 501 {
		many = append(many, repo("all", fmt.Sprintf("ALL/%03d", n), true))
	}
	if got := r.choose(f.Integrations[0], '-', "stop monitoring", "", many); len(got) != 2 || len(got[0].text) > 300 {
		t.Errorf("501 repositories make %d changes, the first of %d characters", len(got), len(got[0].text))
	}
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		pattern, slug string
		want          bool
	}{
		{"PAY/legacy-*", "legacy-1", true},
		{"pay/Legacy-?", "legacy-1", true},
		{"legacy", "legacy-1", false},
		{"*", "x", true},
		{"[ab]c", "bc", true},
	} {
		if got := matches([]string{"never", tc.pattern}, tc.slug); got != tc.want {
			t.Errorf("%s means %s: %t, want %t", tc.pattern, tc.slug, got, tc.want)
		}
	}
}
