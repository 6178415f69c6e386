package bitbucket

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"magpie/internal/bitbucketsim"
)

// applied is a folder with a declarative file, as a team keeps it in Git.
type applied struct {
	*world
	dir string
}

func newApplied(w *world) *applied {
	a := &applied{w, w.TempDir()}
	a.write("api-token", w.owner.token)
	a.write("token", w.token.Text+"\n")
	return a
}

func (a *applied) write(name, text string) {
	a.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.Fatal(err)
	}
}

// apply applies a file, wants an exit status, and wants the output to hold every part, in order.
func (a *applied) apply(text string, status int, flags []string, parts ...string) string {
	a.Helper()
	file := filepath.Join(a.dir, "bitbucket.toml")
	a.write("bitbucket.toml", strings.ReplaceAll(text, "$URL", a.sim.URL()))
	out, err := a.try(a.T, "", append([]string{"apply", "-f", file, "--server", a.url, "--token-file", filepath.Join(a.dir, "api-token"), "--wait", "1m"}, flags...)...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	}
	out = strings.ReplaceAll(out, a.dir+"/", "")
	if got != status {
		a.Fatalf("apply %v ended with status %d, want %d:\n%s", flags, got, status, out)
	}
	rest := out
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, strings.ReplaceAll(part, "$URL", a.sim.URL()))
		if !ok {
			a.Fatalf("apply %v says:\n%s\nwant %q in it, in this order", flags, out, part)
		}
		rest = after
	}
	return out
}

// monitored returns the names of the monitored repositories.
func (a *applied) monitored() (names []string) {
	a.Helper()
	for _, i := range a.integrations() {
		for _, r := range a.repos(i) {
			if r.Monitored {
				names = append(names, r.FullName)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (a *applied) wantMonitored(want ...string) {
	a.Helper()
	if got := a.monitored(); !slices.Equal(got, want) {
		a.Errorf("monitored are %v, want %v", got, want)
	}
}

const applyWhole = `[[integration]]
url = "$URL"
token_file = "token"
token_expires = 2027-01-31

  [[integration.project]]
  key = "ALPHA"
  insights = true
  ignore = ["ALPHA/o*"]
`

// TestApply keeps a server as a file says, from the first connection to the last.
func TestApply(t *testing.T) {
	t.Parallel()
	a := newApplied(newWorld(t, startServer(t), bitbucketsim.Options{}))
	dry := []string{"--dry-run"}

	// A dry run tells everything and does nothing.
	a.apply(applyWhole, 1, dry, "+ connect $URL (mode instance)", "~ $URL project ALPHA: Code Insights: on", "ALPHA/o*", "2 changes to make")
	if n := len(a.integrations()); n != 0 {
		t.Fatalf("a dry run made %d integrations", n)
	}

	// What is ignored is never touched, not even for a moment.
	a.apply(applyWhole, 0, nil, "+ connect $URL", "waiting until", "~ $URL project ALPHA: Code Insights: on",
		"~ $URL: monitor everything, also what is new: on", "+ $URL monitor ALPHA/two, BETA/one, BETA/two", "4 changes made")
	a.ids = append(a.ids, a.integrations()[0].ID)
	a.wantMonitored("ALPHA/two", "BETA/one", "BETA/two")
	a.watched(a.integrations()[0], "ALPHA/two", "BETA/one", "BETA/two")
	for _, h := range a.hooks("ALPHA/one") {
		t.Errorf("an ignored repository has the webhook %+v", h)
	}
	if n := a.audited("repository.deselected"); n != 0 {
		t.Errorf("%d times something was deselected, want it never selected", n)
	}

	// A second run finds nothing to do.
	a.apply(applyWhole, 0, nil, "nothing to change")
	a.apply(applyWhole, 0, dry, "nothing to change")

	// What somebody changed by hand is put right.
	if p := a.owner.call(t, "POST", "/repositories/deselect", map[string]any{"ids": []string{a.repo(a.integrations()[0], "BETA/one").ID}}, nil); p != nil {
		t.Fatal(p)
	}
	a.apply(applyWhole, 1, dry, "+ $URL monitor BETA/one", "1 change to make")
	a.apply(applyWhole, 0, nil, "+ $URL monitor BETA/one", "1 change made")

	// A new token is sent once; the same again is not.
	a.write("token", a.newToken("bot", "PROJECT_READ", "REPO_ADMIN").Text)
	a.apply(applyWhole, 0, nil, "~ $URL: replace the token", "1 change made")
	a.apply(applyWhole, 0, nil, "nothing to change")

	// Turning things off.
	off := strings.ReplaceAll(applyWhole, `ignore = ["ALPHA/o*"]`, `ignore = ["*"]`) + "\n  [[integration.project]]\n  key = \"BETA\"\n  auto_monitor = \"off\"\n"
	a.apply(off, 0, nil, "~ $URL project BETA: monitor what is new: off", "- $URL stop monitoring ALPHA/two", "2 changes made")
	a.wantMonitored("BETA/one", "BETA/two")
	a.apply(off, 0, nil, "nothing to change")

	// From the whole instance to one project: only where told to remove.
	project := "[[integration]]\nurl = \"$URL\"\nmode = \"project\"\ntoken_file = \"token\"\n[[integration.project]]\nkey = \"BETA\"\nignore = [\"two\"]\n"
	a.apply(project, 2, nil, "--prune removes it", "bitbucket.toml:2: url: "+"$URL is already monitored as a whole")
	a.apply(project, 0, []string{"--prune"}, "- remove $URL (mode instance", "+ connect $URL (mode project)", "+ $URL monitor project BETA", "- $URL stop monitoring BETA/two")
	a.ids = append(a.ids, a.integrations()[0].ID)
	a.wantMonitored("BETA/one")
	a.apply(project, 0, nil, "nothing to change")
}

// TestApplyTellsErrors wants each trouble told with its line, and nothing changed by it.
func TestApplyTellsErrors(t *testing.T) {
	t.Parallel()
	a := newApplied(newWorld(t, startServer(t), bitbucketsim.Options{}))
	a.apply("[[integration]]\nurl = \"$URL\"\ntoken = \""+a.token.Text+"\"\ncolour = 1\n", 2, nil,
		"bitbucket.toml:3: token: an access token must not stand in this file", "bitbucket.toml:4: colour: there is no such key")
	a.apply("[[integration]]\nurl = \"$URL\"\ntoken_env = \"MAGPIE_TEST_NO_SUCH\"\n", 2, nil, "bitbucket.toml:3: token_env: the environment variable MAGPIE_TEST_NO_SUCH is not set")
	a.write("wrong", "made-up-"+"token")
	a.apply("[[integration]]\nurl = \"$URL\"\ntoken_file = \"wrong\"\n", 2, []string{"--prune"}, "bitbucket.toml:3: token_file: ")
	if n := len(a.integrations()); n != 0 {
		t.Errorf("%d integrations after errors only", n)
	}
	a.apply(applyWhole+"\n  [[integration.project]]\n  key = \"NOPE\"\n", 2, nil, "bitbucket.toml:12: key: there is no project NOPE")
	a.ids = append(a.ids, a.integrations()[0].ID)
	a.write("api-token", a.member.token)
	a.apply(applyWhole, 3, nil, "you are not allowed to do this")
	a.write("api-token", "nobody's")
	a.apply(applyWhole, 3, nil, "does not accept the API token")
	a.apply(applyWhole, 2, []string{"--server", "http://magpie.example.com"}, "not sent unencrypted")
}
