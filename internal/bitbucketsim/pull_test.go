package bitbucketsim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keys lists the events that arrived.
func (r *receiver) keys() []string {
	var keys []string
	for _, x := range r.all() {
		keys = append(keys, x.header.Get("X-Event-Key"))
	}
	return keys
}

func (b *bench) openPull(spec PullRequest) PullRequest {
	b.Helper()
	p, err := b.OpenPullRequest(spec)
	if err != nil {
		b.Fatal(err)
	}
	b.delivered()
	return p
}

func TestPullRequestLife(t *testing.T) {
	b := start(t, Options{Version: "10.1.0"})
	b.commit("", "f", "one\n")
	rcv, quietOne := receive(t), receive(t)
	b.hook(rocket, rcv.URL, "pr:opened", "pr:from_ref_updated", "pr:merged", "pr:declined")
	b.hook(rocket, quietOne.URL, "repo:refs_changed")
	first := b.commit("work", "g", "two\n").Commits[0]
	p := b.openPull(PullRequest{Repo: b.repo.ID, From: "work", Title: "Work"})
	second := b.commit("work", "g", "three\n").Commits[0]
	b.delivered()
	must(0, b.DeclinePullRequest(b.repo.ID, p.ID, ""))
	must(0, b.ReopenPullRequest(b.repo.ID, p.ID, ""))
	b.delivered()
	merged := must(b.MergePullRequest(b.repo.ID, p.ID, ""))
	b.delivered()
	if diff := cmp.Diff([]string{"pr:opened", "pr:from_ref_updated", "pr:declined", "pr:merged"}, rcv.keys()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"repo:refs_changed", "repo:refs_changed", "repo:refs_changed"}, quietOne.keys()); diff != "" {
		t.Errorf("events of a hook for pushes only (-want +got):\n%s", diff)
	}
	update := rcv.all()[1].json
	view := update["pullRequest"].(map[string]any)
	if update["previousFromHash"] != first || view["fromRef"].(map[string]any)["latestCommit"] != second {
		t.Errorf("pr:from_ref_updated = %v, want %s before %s", update, first, second)
	}
	if _, ok := view["createdDate"].(string); !ok {
		t.Errorf("createdDate = %v, want text in 10.x", view["createdDate"])
	}
	refs := must(b.Refs(b.repo.ID))
	if refs["refs/pull-requests/1/from"] != second || refs["refs/heads/main"] != merged.MergeCommit || refs["refs/pull-requests/1/merge"] != "" {
		t.Errorf("refs = %v", refs)
	}
	if out := b.mustGit("-c", "protocol.version=2", "ls-remote", b.CloneURL(b.repo.ID), "refs/pull-requests/*"); !strings.Contains(out, second) {
		t.Errorf("ls-remote = %q, want the pull request's ref", out)
	}
	a := b.get(rocket + "/pull-requests/1")
	if a.json["state"] != "MERGED" || a.json["open"] != false || a.json["properties"] == nil {
		t.Errorf("the merged one = %s", a.body)
	}
	p2 := b.openPull(PullRequest{Repo: b.repo.ID, From: "work", Title: "Again"})
	b.push(Push{Repo: b.repo.ID, Refs: map[string]string{"refs/heads/work": ""}})
	if a := b.get(fmt.Sprint(rocket, "/pull-requests/", p2.ID)); a.json["state"] != "DECLINED" {
		t.Errorf("after its branch went, the pull request is %v, want DECLINED", a.json["state"])
	}
}

func TestPullRequestLists(t *testing.T) {
	b := start(t, Options{Version: "7.21.0"})
	b.commit("", "f", "one\n")
	for i := range 3 {
		b.commit(fmt.Sprintf("work%d", i), fmt.Sprintf("g%d", i), "x\n")
		b.openPull(PullRequest{Repo: b.repo.ID, From: fmt.Sprintf("work%d", i)})
	}
	fork := must(b.Fork(b.repo.ID, "~admin", "copy", "admin"))
	pushed := b.push(Push{Repo: fork.ID, Commits: []Commit{{Branch: "far", Parents: []string{"main"}, Files: map[string]string{"h": "x"}}}})
	far := b.openPull(PullRequest{Repo: b.repo.ID, FromRepo: fork.ID, From: "far"})
	must(0, b.DeclinePullRequest(b.repo.ID, 1, ""))
	for _, tc := range []struct {
		path string
		want string
	}{
		{rocket + "/pull-requests", "4 3 2"},
		{rocket + "/pull-requests?order=OLDEST", "2 3 4"},
		{rocket + "/pull-requests?state=ALL&limit=2", "4 3 2 1"},
		{rocket + "/pull-requests?state=DECLINED", "1"},
		{rocket + "/pull-requests?state=MERGED", ""},
		{rocket + "/pull-requests?at=refs/heads/work1", ""},
		{rocket + "/pull-requests?direction=OUTGOING&at=refs/heads/work1", "2"},
		{rocket + "/pull-requests?at=refs/heads/main", "4 3 2"},
		{"/projects/~admin/repos/copy/pull-requests", ""},
		{"/projects/~admin/repos/copy/pull-requests?direction=OUTGOING", "4"},
		{rocket + "/commits/" + far.FromHash + "/pull-requests", "4"},
		{rocket + "/commits/" + must(b.Refs(b.repo.ID))["refs/heads/main"] + "/pull-requests", ""},
	} {
		ids, _ := b.walk(tc.path, "id", 2)
		if got := strings.Trim(fmt.Sprint(ids), "[]"); got != tc.want {
			t.Errorf("%s = %s, want %s", tc.path, got, tc.want)
		}
	}
	if a := b.get(rocket + "/pull-requests?state=odd"); a.status != 400 {
		t.Errorf("unknown state = %d, want 400", a.status)
	}
	if a := b.get(rocket + "/pull-requests/99"); a.status != 404 || a.exception() != "bitbucket.pull.NoSuchPullRequestException" {
		t.Errorf("unknown pull request = %d %s", a.status, a.exception())
	}
	if refs := must(b.Refs(b.repo.ID)); refs["refs/pull-requests/4/from"] != pushed.Commits[0] || refs["refs/pull-requests/4/merge"] == "" {
		t.Errorf("refs = %v, want the fork's commit, and the merge before 8.0", refs)
	}
	changes := b.get(rocket + "/pull-requests/4/changes")
	if rows := changes.json["values"].([]any); len(rows) != 1 || rows[0].(map[string]any)["type"] != "ADD" || changes.json["fromHash"] == nil {
		t.Errorf("changes = %s, want one file", changes.body)
	}
	if a := b.get(rocket + "/pull-requests/4/merge-base"); a.json["id"] != must(b.Refs(b.repo.ID))["refs/heads/main"] {
		t.Errorf("merge base = %s", a.body)
	}
	if a := b.get(rocket + "/commits/" + far.FromHash + "/changes"); a.status != 200 {
		t.Errorf("changes of the commit = %d", a.status)
	}
	stranger := must(b.CreateUser(User{Name: "dev"}))
	if a := b.ask(b.newToken(stranger, "REPO_READ").Text, "GET", "/rest/api/1.0"+rocket+"/pull-requests", ""); a.status != 401 {
		t.Errorf("a stranger's list = %d, want 401", a.status)
	}
}

func TestMergeCheckDemandsAReport(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "one\n")
	b.commit("work", "g", "two\n")
	body := `{"title":"Work","fromRef":{"id":"refs/heads/work"},"toRef":{"id":"refs/heads/main"}}`
	if a := b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket+"/pull-requests", body); a.status != 201 || a.json["id"] != 1.0 {
		t.Fatalf("POST = %d %s", a.status, a.body)
	}
	must(0, b.SetRequiredReport(b.repo.ID, "magpie"))
	merge := func(version string) answer {
		return b.ask(b.token.Text, "POST", "/rest/api/1.0"+rocket+"/pull-requests/1/merge?version="+version, "{}")
	}
	put := func(result string) {
		head := must(b.Refs(b.repo.ID))["refs/heads/work"]
		if a := b.insights(b.token.Text, "PUT", head+"/reports/magpie", `{"title":"x","data":[],"result":"`+result+`"}`); a.status != 200 {
			t.Fatalf("PUT = %d %s", a.status, a.body)
		}
	}
	vetoed := func(name string) {
		t.Helper()
		a := merge("0")
		if a.status != 409 || a.exception() != "bitbucket.pull.PullRequestMergeVetoedException" || !strings.Contains(string(a.body), `"vetoes":[{`) {
			t.Errorf("%s: merge = %d %s, want 409 with a veto", name, a.status, a.body)
		}
		if a := b.get(rocket + "/pull-requests/1/merge"); a.json["canMerge"] != false || len(a.json["vetoes"].([]any)) != 1 {
			t.Errorf("%s: mergeability = %s, want a veto", name, a.body)
		}
		if _, err := b.MergePullRequest(b.repo.ID, 1, ""); err == nil {
			t.Errorf("%s: MergePullRequest was content", name)
		}
	}
	vetoed("no report")
	put("FAIL")
	vetoed("a failing report")
	put("PASS")
	if a := merge("7"); a.status != 409 || a.exception() != "bitbucket.pull.PullRequestOutOfDateException" || !strings.Contains(string(a.body), `"currentVersion":0`) {
		t.Errorf("an old version = %d %s, want 409 with the version", a.status, a.body)
	}
	if a := b.get(rocket + "/pull-requests/1/merge"); a.json["canMerge"] != true {
		t.Errorf("mergeability = %s", a.body)
	}
	if a := merge("0"); a.status != 200 || a.json["state"] != "MERGED" {
		t.Errorf("merge = %d %s", a.status, a.body)
	}
	if a := merge("1"); a.status != 409 {
		t.Errorf("second merge = %d, want 409", a.status)
	}
	b.push(Push{Repo: b.repo.ID, Commits: []Commit{
		{Files: map[string]string{"c": "ours"}}, {Branch: "clash", Parents: []string{"work"}, Files: map[string]string{"c": "theirs"}},
	}})
	must(0, b.SetRequiredReport(b.repo.ID, ""))
	p := b.openPull(PullRequest{Repo: b.repo.ID, From: "clash"})
	a := b.ask(b.token.Text, "POST", fmt.Sprint("/rest/api/1.0", rocket, "/pull-requests/", p.ID, "/merge?version=0"), "{}")
	if a.status != 409 || !strings.Contains(string(a.body), `"conflicted":true`) {
		t.Errorf("merge of a conflict = %d %s, want 409", a.status, a.body)
	}
	if a := b.ask(b.token.Text, "POST", fmt.Sprint("/rest/api/1.0", rocket, "/pull-requests/", p.ID, "/decline?version=0"), "{}"); a.status != 200 {
		t.Errorf("decline = %d %s", a.status, a.body)
	}
	if a := b.ask(b.token.Text, "POST", fmt.Sprint("/rest/api/1.0", rocket, "/pull-requests/", p.ID, "/reopen?version=1"), "{}"); a.status != 200 || a.json["state"] != "OPEN" {
		t.Errorf("reopen = %d %s", a.status, a.body)
	}
}

func TestMergeRefs(t *testing.T) {
	b := start(t, Options{})
	b.commit("", "f", "one\n")
	b.commit("work", "g", "two\n")
	b.SetMergeRefs(true)
	b.openPull(PullRequest{Repo: b.repo.ID, From: "work"})
	if must(b.Refs(b.repo.ID))["refs/pull-requests/1/merge"] == "" {
		t.Error("no merge ref appeared")
	}
	if _, err := b.OpenPullRequest(PullRequest{Repo: b.repo.ID, From: "nowhere"}); err == nil {
		t.Error("a missing branch was accepted")
	}
}
