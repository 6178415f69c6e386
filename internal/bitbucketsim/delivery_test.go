package bitbucketsim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPayloadDialects(t *testing.T) {
	zone := time.FixedZone("server", 3600)
	clock := &fakeClock{now: testDate}
	for _, tc := range []struct {
		version, agent   string
		links, archived  bool
		commits          int // -1 for none
		authorTimestamp  any
		parentsOfParents bool
	}{
		{"7.6.0", "Bitbucket-7.6.0 (7006000)", false, false, -1, nil, false},
		{"8.0.0", "Bitbucket-8.0.0 (8000000)", true, true, -1, nil, false},
		{"8.9.1", "Bitbucket-8.9.1 (8009001)", true, true, 5, float64(testDate.UnixMilli()), true},
		{"9.4.0", "Bitbucket-9.4.0 (9004000)", true, true, 5, float64(testDate.UnixMilli()), true},
		{"10.1.0", "Bitbucket-10.1.0 (10001000)", true, true, 5, "2024-05-06T07:08:09.000Z", true},
	} {
		t.Run(tc.version, func(t *testing.T) {
			b := start(t, Options{Version: tc.version, Zone: zone, Now: clock.Now})
			rcv := receive(t)
			b.hook(rocket, rcv.URL, "repo:refs_changed")
			p := Push{Repo: b.repo.ID}
			for i := range 7 {
				p.Commits = append(p.Commits, Commit{Date: testDate, Files: map[string]string{"f": fmt.Sprint(i)}})
			}
			done := b.push(p)
			b.delivered()
			got := rcv.all()
			if len(got) != 1 {
				t.Fatalf("received %d, want 1", len(got))
			}
			head, body := got[0].header, got[0].json
			if want := signHook(hookSecret, got[0].body); head.Get("X-Hub-Signature") != want || !strings.HasPrefix(want, "sha256=") {
				t.Errorf("X-Hub-Signature = %q, want %q", head.Get("X-Hub-Signature"), want)
			}
			if ua := head.Get("User-Agent"); ua != "Atlassian HttpClient 4.2.0 / "+tc.agent+" / Default" {
				t.Errorf("User-Agent = %q", ua)
			}
			if body["date"] != "2024-05-06T08:08:09+0100" {
				t.Errorf("date = %v, want the server's zone without a colon", body["date"])
			}
			repo := body["repository"].(map[string]any)
			_, links := repo["links"]
			_, archived := repo["archived"]
			if links != tc.links || archived != tc.archived {
				t.Errorf("links %v, archived %v; want %v, %v", links, archived, tc.links, tc.archived)
			}
			commits, there := body["commits"].([]any)
			if !there {
				if tc.commits != -1 || body["toCommit"] != nil {
					t.Errorf("no commits, want %d", tc.commits)
				}
				return
			}
			newest := commits[0].(map[string]any)
			if len(commits) != tc.commits || newest["id"] != done.Commits[6] || newest["authorTimestamp"] != tc.authorTimestamp {
				t.Errorf("%d commits, first %v at %v; want %d, %s at %v", len(commits), newest["id"], newest["authorTimestamp"], tc.commits, done.Commits[6], tc.authorTimestamp)
			}
			parent := body["toCommit"].(map[string]any)["parents"].([]any)[0].(map[string]any)
			if _, ok := parent["parents"]; ok != tc.parentsOfParents || parent["message"] != "change" {
				t.Errorf("parents of toCommit are not expanded: %v", parent)
			}
		})
	}
}

func TestChangesOfAPush(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	first := b.push(Push{
		Repo: b.repo.ID, Commits: []Commit{{Files: map[string]string{"a": "1"}}, {Branch: "x", Parents: []string{":1"}}},
		Tags: []Tag{{Name: "v1", Target: ":1", Message: "annotated"}},
	})
	forced := b.push(Push{
		Repo: b.repo.ID, Commits: []Commit{{Root: true, Files: map[string]string{"a": "2"}}},
		Refs: map[string]string{"refs/heads/x": "", "refs/pull-requests/1/from": ":1"},
	})
	b.delivered()
	type row struct{ ref, kind, change, from, to string }
	var got []row
	for _, r := range rcv.all() {
		for _, c := range r.json["changes"].([]any) {
			c := c.(map[string]any)
			ref := c["ref"].(map[string]any)
			got = append(got, row{ref["displayId"].(string), ref["type"].(string), c["type"].(string), c["fromHash"].(string), c["toHash"].(string)})
		}
	}
	tag := must(b.Refs(b.repo.ID))["refs/tags/v1"]
	want := []row{
		{"main", "BRANCH", "ADD", zeroHash, first.Commits[0]},
		{"x", "BRANCH", "ADD", zeroHash, first.Commits[1]},
		{"v1", "TAG", "ADD", zeroHash, tag},
		{"main", "BRANCH", "UPDATE", first.Commits[0], forced.Commits[0]},
		{"x", "BRANCH", "DELETE", first.Commits[1], zeroHash},
	}
	byEvent := func(a, b row) int { return strings.Compare(a.from+a.ref, b.from+b.ref) } // deliveries may overtake each other
	slices.SortFunc(got, byEvent)
	slices.SortFunc(want, byEvent)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if tag == first.Commits[0] {
		t.Error("the annotated tag points at the commit, want a tag object")
	}
	rows, _ := b.walk(rocket+"/ref-change-activities", "trigger", 100)
	if len(rows) != len(want) {
		t.Errorf("activities = %d, want %d", len(rows), len(want))
	}
	if got, _ := b.walk(rocket+"/ref-change-activities/branches", "displayId", 100); !cmp.Equal(got, []string{"main", "x"}) {
		t.Errorf("branches with activity = %v, want also the deleted one", got)
	}
	if last := rcv.all()[len(rcv.all())-1]; strings.Contains(string(last.body), "pull-requests") {
		t.Error("a hidden ref is in the event")
	}
}

func TestDeleteOnlyPushHasNoCommits(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	b.commit("gone", "f", "x")
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	b.push(Push{Repo: b.repo.ID, Refs: map[string]string{"refs/heads/gone": ""}})
	b.delivered()
	body := rcv.all()[0].json
	if body["commits"] != nil || body["toCommit"] != nil {
		t.Errorf("a deletion carries commits: %v", body)
	}
}

func TestRenameMoveAndFork(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:modified", "repo:forked", "repo:refs_changed")
	b.commit("", "f", "x")
	b.delivered()
	must(b.CreateProject("NEW", "New home"))
	must(0, b.Rename(b.repo.ID, "Missile"))
	b.delivered()
	must(0, b.Move(b.repo.ID, "NEW"))
	b.delivered()
	must(b.CreateUser(User{Name: "dev"}))
	fork := must(b.Fork(b.repo.ID, "~dev", "", "dev"))
	b.delivered()
	if _, err := b.Push(Push{Repo: fork.ID, Commits: []Commit{{}}}); err != nil {
		t.Errorf("pushing to the fork: %v", err)
	}
	b.delivered()
	got := rcv.all()
	if len(got) != 4 {
		t.Fatalf("received %d, want push, rename, move and fork, and nothing of the fork's own push", len(got))
	}
	old, now := got[1].json["old"].(map[string]any), got[1].json["new"].(map[string]any)
	if old["slug"] != "rocket" || now["slug"] != "missile" || old["id"] != now["id"] {
		t.Errorf("rename from %v to %v, want rocket to missile with one id", old["slug"], now["slug"])
	}
	links := fmt.Sprint(old["links"].(map[string]any)["clone"])
	if !strings.Contains(links, "/missile.git") || strings.Contains(links, "/rocket.git") {
		t.Errorf("old clone links = %s, want the new address", links)
	}
	if key := got[2].json["new"].(map[string]any)["project"].(map[string]any)["key"]; key != "NEW" {
		t.Errorf("moved to %v, want NEW", key)
	}
	repo := got[3].json["repository"].(map[string]any)
	if repo["id"] != float64(fork.ID) || repo["origin"].(map[string]any)["id"] != float64(b.repo.ID) {
		t.Errorf("fork event names %v, want the fork with its origin", repo["id"])
	}
	if got, _ := b.walk("/projects/NEW/repos/missile/forks", "id", 10); !cmp.Equal(got, []string{fmt.Sprint(fork.ID)}) {
		t.Errorf("forks = %v, want %d", got, fork.ID)
	}
}

func TestOldAddresses(t *testing.T) {
	for _, tc := range []struct {
		name      string
		mode      RenameMode
		get, post int
		gitWorks  bool
	}{
		{"alias", RenameAlias, 200, 201, true},
		{"redirect", RenameRedirect, 301, 307, true},
		{"gone", RenameGone, 404, 404, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := start(t, Options{Version: "8.9.0"})
			b.SetRenameMode(tc.mode)
			b.commit("", "f", "x")
			oldURL := b.CloneURL(b.repo.ID)
			must(0, b.Rename(b.repo.ID, "Missile"))
			a := b.get(rocket + "?x=1")
			if a.status != tc.get {
				t.Errorf("GET = %d, want %d", a.status, tc.get)
			}
			if to := a.header.Get("Location"); tc.mode == RenameRedirect && to != b.URL()+"/rest/api/latest/projects/PRJ/repos/missile?x=1" {
				t.Errorf("Location = %q, want the new address", to)
			}
			body := `{"name":"n","url":"https://example.com/","events":["repo:modified"]}`
			if a := b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket+"/webhooks", body); a.status != tc.post {
				t.Errorf("POST = %d, want %d", a.status, tc.post)
			}
			if out, err := b.git(b.token.Text, "ls-remote", oldURL); (err == nil) != tc.gitWorks {
				t.Errorf("git at the old address: %v\n%s", err, out)
			}
			again := must(b.CreateRepo("PRJ", "rocket"))
			if got := b.get(rocket).json["id"]; got != float64(again.ID) {
				t.Errorf("id at a reused address = %v, want the new repository's %d", got, again.ID)
			}
		})
	}
}

func TestBreaker(t *testing.T) {
	clock := &fakeClock{now: testDate}
	b := start(t, Options{Now: clock.Now})
	rcv := receive(t)
	id := b.hook(rocket, rcv.URL, "repo:refs_changed")
	n := 0
	send := func() string {
		n++
		b.commit("", "f", fmt.Sprint(n))
		b.delivered()
		all := b.Deliveries()
		return all[len(all)-1].Outcome
	}
	rcv.answer(500)
	var got []string
	for range 6 {
		got = append(got, send())
	}
	if want := []string{Failed, Failed, Failed, Failed, Failed, Broken}; !cmp.Equal(got, want) {
		t.Fatalf("outcomes = %v, want %v", got, want)
	}
	for _, pause := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
		if until := b.BreakerOpenUntil(id).Sub(clock.Now()); until != pause {
			t.Errorf("breaker open for %v, want %v", until, pause)
		}
		clock.advance(pause - time.Millisecond)
		if got := send(); got != Broken {
			t.Errorf("just before %v: %s, want %s", pause, got, Broken)
		}
		clock.advance(time.Millisecond)
		if got := send(); got != Failed {
			t.Errorf("after %v: %s, want %s", pause, got, Failed)
		}
	}
	clock.advance(80 * time.Second)
	rcv.answer(204)
	if got := send(); got != Success {
		t.Errorf("after recovery: %s, want %s", got, Success)
	}
	rcv.answer(500)
	if got := []string{send(), send()}; !cmp.Equal(got, []string{Failed, Failed}) {
		t.Errorf("a success did not close the breaker: %v", got)
	}
}

func TestBreakerGrowsToTenHours(t *testing.T) {
	b, now := breaker{}, testDate
	for range 30 {
		b.record(false, now)
		now = now.Add(24 * time.Hour)
	}
	if b.pause != 10*time.Hour {
		t.Errorf("pause = %v, want 10h", b.pause)
	}
}

func TestInFlightLimit(t *testing.T) {
	b := start(t, Options{WebhookInFlight: 4})
	rcv := receive(t)
	rcv.block = make(chan struct{})
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	for i := range 6 {
		b.commit("", "f", fmt.Sprint(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.WaitDeliveries(ctx, 2); err != nil {
		t.Fatal(err)
	}
	for _, d := range b.Deliveries() {
		if d.Outcome != Overflow {
			t.Errorf("outcome while all are busy = %s, want %s", d.Outcome, Overflow)
		}
	}
	close(rcv.block)
	b.delivered()
	if n := len(rcv.all()); n != 4 {
		t.Errorf("received %d, want 4", n)
	}
}

func TestThreeWorkers(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	rcv.block = make(chan struct{})
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	for i := range 5 {
		b.commit("", "f", fmt.Sprint(i))
	}
	deadline := time.Now().Add(time.Minute)
	for len(rcv.all()) < 3 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	b.hooks.mu.Lock()
	waiting := len(b.hooks.queue)
	b.hooks.mu.Unlock()
	if got := len(rcv.all()); got != 3 || waiting != 2 {
		t.Errorf("%d being delivered and %d waiting, want 3 and 2", got, waiting)
	}
	close(rcv.block)
	b.delivered()
}

func TestDeliveryModes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		mode  DeliveryMode
		sends int
		want  string // first letters of the file contents in order of arrival; one worker
	}{
		{"as it should be", DeliveryMode{}, 3, "012"},
		{"dropped", DeliveryMode{Drop: 1}, 3, ""},
		{"doubled", DeliveryMode{Duplicate: 1}, 2, "0011"},
		{"reordered", DeliveryMode{Reorder: 3}, 3, "210"},
		{"held until the mode ends", DeliveryMode{Reorder: 9}, 3, "210"},
		{"late", DeliveryMode{Delay: 20 * time.Millisecond}, 1, "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := start(t, Options{WebhookThreads: 1})
			rcv := receive(t)
			b.hook(rocket, rcv.URL, "repo:refs_changed")
			b.SetDeliveries(tc.mode)
			for i := range tc.sends {
				b.push(Push{Repo: b.repo.ID, Commits: []Commit{{Message: fmt.Sprint(i)}}})
			}
			b.SetDeliveries(DeliveryMode{})
			b.delivered()
			got := ""
			for _, r := range rcv.all() {
				got += r.json["toCommit"].(map[string]any)["message"].(string)
			}
			if got != tc.want {
				t.Errorf("arrived %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDeliveryLogHoldsNoSecret(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	b.commit("", "f", "x")
	b.delivered()
	all := b.Deliveries()
	if len(all) != 1 || !all[0].Signed || all[0].Status != 200 || all[0].Repo != b.repo.ID {
		t.Fatalf("log = %+v, want one signed delivery answered 200", all)
	}
	if strings.Contains(fmt.Sprintf("%+v %s", all[0], all[0].Body), hookSecret) {
		t.Error("the log holds the webhook's secret")
	}
	if err := b.Redeliver(all[0].ID); err != nil {
		t.Fatal(err)
	}
	b.delivered()
	got := rcv.all()
	if len(got) != 2 || got[0].header.Get("X-Request-Id") != got[1].header.Get("X-Request-Id") || string(got[0].body) != string(got[1].body) {
		t.Error("a replay differs from the first delivery")
	}
}

func TestAnnounce(t *testing.T) {
	b := start(t, Options{WebhookInFlight: 2000})
	rcv := receive(t)
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	must(0, b.Announce(b.repo.ID, "admin"))
	b.delivered()
	body := rcv.all()[0].json
	if changes, ok := body["changes"].([]any); !ok || len(changes) != 0 || body["commits"] != nil {
		t.Errorf("changes = %v, want an empty list", body["changes"])
	}
	began := time.Now()
	const n = 1000
	for range n {
		must(0, b.Announce(b.repo.ID, "", Change{Ref: "refs/heads/x", From: zeroHash, To: strings.Repeat("a", 40), Type: "ADD"}))
	}
	b.delivered()
	t.Logf("%d deliveries in %v", n, time.Since(began))
	if got := len(rcv.all()); got != n+1 {
		t.Errorf("received %d, want %d", got, n+1)
	}
}
