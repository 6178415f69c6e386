package bitbucket

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"magpie/internal/bitbucketsim"
)

// world is one simulated Bitbucket and the server that is to watch it, as one test sees them. The Bitbucket has the
// administrator "admin" (SYSADMIN), the bot user "bot" (SYSADMIN too), the developer "dev", and the projects ALPHA and BETA
// with the repositories One and Two each; One of ALPHA holds a leak in its history.
type world struct {
	*testing.T
	*server
	sim   *bitbucketsim.Server
	token bitbucketsim.Token // the bot's, with what the guide asks for
	old   leak               // in the history of ALPHA/one
	ids   []string           // integrations made by this test
}

// newWorld starts a Bitbucket of a version and fills it.
func newWorld(t *testing.T, s *server, opts bitbucketsim.Options) *world {
	t.Helper()
	opts.DataDir = t.TempDir()
	for _, name := range []string{"ca.pem", "ca-key.pem"} { // one authority for all, since the server reads it at its start
		raw, err := os.ReadFile(filepath.Join(s.ca, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(opts.DataDir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sim, err := bitbucketsim.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, server: s, sim: sim}
	t.Cleanup(func() {
		w.disconnect()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, u := range []bitbucketsim.User{{Name: "admin", Permission: "SYS_ADMIN"}, {Name: "bot", Permission: "SYS_ADMIN"}, {Name: "dev"}} {
		must(sim.CreateUser(u))
	}
	for _, key := range []string{"ALPHA", "BETA"} {
		must(sim.CreateProject(key, "Project "+key))
		for _, name := range []string{"One", "Two"} {
			w.newRepo(key, name)
		}
	}
	w.old = w.pushLeak("ALPHA/one")
	w.token = w.newToken("bot", "PROJECT_READ", "REPO_ADMIN")
	return w
}

// must returns v, and panics where the set-up of a test went wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// check ends the test if the simulator could not do as it was told.
func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// newRepo makes a repository with one commit.
func (w *world) newRepo(project, name string) bitbucketsim.Repo {
	w.Helper()
	r, err := w.sim.CreateRepo(project, name)
	w.check(err)
	w.push(r.ID, bitbucketsim.Commit{Files: map[string]string{"README": name + "\n"}})
	return r
}

func (w *world) newToken(user string, permissions ...string) bitbucketsim.Token {
	w.Helper()
	token, err := w.sim.CreateToken(bitbucketsim.TokenSpec{User: user, Permissions: permissions})
	w.check(err)
	w.hide(token.Text)
	return token
}

// repoID returns the simulator's id of a repository, by "KEY/slug".
func (w *world) repoID(full string) int {
	w.Helper()
	for _, r := range w.sim.Repos() {
		if strings.EqualFold(r.Project+"/"+r.Slug, full) {
			return r.ID
		}
	}
	w.Fatalf("the Bitbucket has no repository %s", full)
	return 0
}

func (w *world) push(repo int, commits ...bitbucketsim.Commit) bitbucketsim.Pushed {
	w.Helper()
	pushed, err := w.sim.Push(bitbucketsim.Push{Repo: repo, By: "dev", Commits: commits})
	w.check(err)
	return pushed
}

// leak is a made-up secret in a file of its own name, by which its incident is recognised.
type leak struct {
	file, value, commit, branch string
}

var leaks atomic.Int64

// newLeak makes up a secret that the server must find and must never show.
func (w *world) newLeak() leak {
	const digits = "0123456789ABCDEFGHJKMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	text := make([]byte, 20)
	_, _ = rand.Read(text)
	for i, b := range text {
		text[i] = digits[int(b)%len(digits)]
	}
	l := leak{file: fmt.Sprintf("config/leak-%d.env", leaks.Add(1)), value: "gl" + "pat-" + string(text)}
	w.hide(l.value)
	return l
}

func (l leak) files() map[string]string {
	return map[string]string{l.file: "GITLAB_TOKEN=" + l.value + "\n"}
}

// pushLeak pushes a new leak to the default branch of a repository.
func (w *world) pushLeak(full string) leak { w.Helper(); return w.pushLeakTo(full, "") }

func (w *world) pushLeakTo(full, branch string) leak {
	w.Helper()
	l := w.newLeak()
	pushed := w.push(w.repoID(full), bitbucketsim.Commit{Branch: branch, Files: l.files()})
	l.commit, l.branch = pushed.Commits[0], branch
	return l
}

// integration is what the API says about one.
type integration struct {
	ID          string `json:"id"`
	Mode        string `json:"mode"`
	URL         string `json:"url"`
	Version     string `json:"version"`
	TokenUser   string `json:"token_user"`
	State       string `json:"state"`
	StateReason string `json:"state_reason"`
	SyncedAt    string `json:"synced_at"`
	Coverage    struct {
		Repositories   int `json:"repositories"`
		Monitored      int `json:"monitored"`
		HooksInstalled int `json:"hooks_installed"`
		HooksFailed    int `json:"hooks_failed"`
		HistoryDone    int `json:"history_done"`
	} `json:"coverage"`
}

// repository is what the API says about one.
type repository struct {
	ID          string `json:"id"`
	ProjectID   string `json:"project_id"`
	FullName    string `json:"full_name"`
	State       string `json:"state"`
	StateReason string `json:"state_reason"`
	Monitored   bool   `json:"monitored"`
	Hook        string `json:"hook"`
	HookReason  string `json:"hook_reason"`
	History     string `json:"history"`
}

type project struct {
	ID        string `json:"id"`
	Key       string `json:"key"`
	Installed bool   `json:"installed"`
}

type incident struct {
	ID          string `json:"id"`
	Number      int64  `json:"number"`
	Status      string `json:"status"`
	FirstFile   string `json:"first_file"`
	FirstRepo   string `json:"first_repository"`
	Occurrences int    `json:"occurrences"`
	FromHistory bool   `json:"from_history"`
}

// connectBody is the request that connects the Bitbucket.
func (w *world) connectBody(mode, address, token string) map[string]any {
	return map[string]any{"mode": mode, "url": address, "token": token}
}

// connect connects the Bitbucket in a mode with the bot's token.
func (w *world) connect(mode string) integration {
	w.Helper()
	return w.connectWith(mode, w.token)
}

func (w *world) connectWith(mode string, token bitbucketsim.Token) integration {
	w.Helper()
	var i integration
	w.owner.do(w.T, "POST", "/integrations", w.connectBody(mode, w.sim.URL(), token.Text), &i)
	w.ids = append(w.ids, i.ID)
	return i
}

// refused wants a connection to be refused and returns why. Nothing may be stored then.
func (w *world) refused(mode, address, token string) *problem {
	w.Helper()
	var made integration
	p := w.owner.call(w.T, "POST", "/integrations", w.connectBody(mode, address, token), &made)
	if p == nil {
		w.ids = append(w.ids, made.ID)
		w.Fatalf("%s was connected", address)
	}
	if slices.ContainsFunc(w.integrations(), func(i integration) bool {
		return strings.HasPrefix(i.URL, w.sim.URL()) && !slices.Contains(w.ids, i.ID)
	}) {
		w.Errorf("the refused %s was stored", address)
	}
	return p
}

// saying wants every part in what a person is told.
func (w *world) saying(p *problem, parts ...string) {
	w.Helper()
	for _, part := range parts {
		if !strings.Contains(p.Detail+" "+p.Hint, part) {
			w.Errorf("nothing about %q in: %s", part, p)
		}
	}
}

func (w *world) integrations() []integration {
	w.Helper()
	return list[integration](w.T, w.owner, "/integrations")
}

func (w *world) integration(id string) (i integration) {
	w.Helper()
	w.owner.do(w.T, "GET", "/integrations/"+id, nil, &i)
	return i
}

// disconnect removes what the test connected, so that the server has nothing to do with a Bitbucket that is gone.
func (w *world) disconnect() {
	for _, id := range w.ids {
		_ = w.owner.call(w.T, "DELETE", "/integrations/"+id, nil, nil)
	}
	for _, id := range w.ids {
		w.eventually("the removal of the integration", func() bool { return w.owner.call(w.T, "GET", "/integrations/"+id, nil, nil) != nil })
	}
}

// list reads all pages of a list.
func list[T any](t *testing.T, c *caller, path string) []T {
	t.Helper()
	var all []T
	u := must(url.Parse(path))
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		c.do(t, "GET", u.String(), nil, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		q := u.Query()
		q.Set("cursor", page.Next)
		u.RawQuery = q.Encode()
	}
}

func (w *world) repos(i integration) []repository {
	w.Helper()
	return list[repository](w.T, w.owner, "/repositories?limit=100&integration="+i.ID)
}

// repo returns a repository of an integration by "KEY/slug"; the zero one if there is none.
func (w *world) repo(i integration, full string) repository {
	w.Helper()
	for _, r := range w.repos(i) {
		if strings.EqualFold(r.FullName, full) {
			return r
		}
	}
	return repository{}
}

func (w *world) projects(i integration) []project {
	w.Helper()
	return list[project](w.T, w.owner, "/projects?integration="+i.ID)
}

func (w *world) project(i integration, key string) project {
	w.Helper()
	for _, p := range w.projects(i) {
		if p.Key == key {
			return p
		}
	}
	return project{}
}

// watched waits until repositories have their webhook and their history is scanned.
func (w *world) watched(i integration, full ...string) {
	w.Helper()
	for _, name := range full {
		w.eventually(name+" being watched", func() bool {
			r := w.repo(i, name)
			return r.Hook == "installed" && r.History == "done"
		})
	}
}

// sync lets the server read projects and repositories again and waits for the end of that.
func (w *world) sync(i integration) {
	w.Helper()
	before := w.integration(i.ID).SyncedAt
	w.owner.do(w.T, "POST", "/integrations/"+i.ID+"/sync", nil, nil)
	w.eventually("a sync", func() bool { return w.integration(i.ID).SyncedAt != before })
}

// incidents returns the incidents of a leak: one, or none yet.
func (w *world) incidents(l leak) []incident {
	w.Helper()
	return slices.DeleteFunc(list[incident](w.T, w.owner, "/incidents?limit=100"), func(v incident) bool { return v.FirstFile != l.file })
}

// found waits for the one incident of a leak.
func (w *world) found(l leak) incident {
	w.Helper()
	w.eventually("an incident for "+l.file, func() bool { return len(w.incidents(l)) > 0 })
	all := w.incidents(l)
	if len(all) != 1 {
		w.Fatalf("%d incidents for %s, want 1", len(all), l.file)
	}
	return all[0]
}

// hooks returns the webhooks of a repository at the Bitbucket.
func (w *world) hooks(full string) []bitbucketsim.Webhook {
	w.Helper()
	id := w.repoID(full)
	return slices.DeleteFunc(w.sim.Webhooks(), func(h bitbucketsim.Webhook) bool { return h.Repo != id })
}

// eventually waits for a condition.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("never happened: %s\n%s", what, w.log.tail())
		}
	}
}

// mailsAbout returns the mails that tell a person something about the Bitbucket of the test.
func (w *world) mailsAbout(person string, parts ...string) (subjects []string) {
	for _, m := range w.mails.Messages() {
		about := strings.Contains(m.Text+m.Subject, w.sim.URL()) && slices.Contains(m.Envelope.To, person)
		for _, part := range parts {
			about = about && strings.Contains(m.Subject+"\n"+m.Text, part)
		}
		if about {
			subjects = append(subjects, m.Subject)
		}
	}
	return subjects
}

// audited reports whether the audit log has such an entry about the Bitbucket of the test.
func (w *world) audited(action string) int {
	w.Helper()
	type entry struct{ Action, Subject string }
	n := 0
	for _, e := range list[entry](w.T, w.owner, "/audit?limit=100") {
		if e.Action == action && strings.Contains(e.Subject, w.sim.URL()) {
			n++
		}
	}
	return n
}

// rest calls the Bitbucket as its administrator would.
func (w *world) rest(method, path, body string) (status int, answer string) {
	w.Helper()
	token, err := w.sim.CreateToken(bitbucketsim.TokenSpec{User: "admin", Permissions: []string{"PROJECT_ADMIN", "REPO_ADMIN"}})
	w.check(err)
	r, err := http.NewRequest(method, w.sim.URL()+path, strings.NewReader(body))
	w.check(err)
	r.Header.Set("Authorization", "Bearer "+token.Text)
	r.Header.Set("Content-Type", "application/json")
	response, err := w.sim.Client().Do(r)
	w.check(err)
	return response.StatusCode, readAll(w.T, response)
}
