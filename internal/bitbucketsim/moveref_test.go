package bitbucketsim

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMoveRefs(t *testing.T) {
	b := start(t, Options{})
	rcv := receive(t)
	first := b.push(Push{Repo: b.repo.ID, Commits: []Commit{{Files: map[string]string{"a": "1"}}, {Branch: "x", Parents: []string{":1"}}}}).Commits
	b.hook(rocket, rcv.URL, "repo:refs_changed")
	changes := must(b.MoveRefs(b.repo.ID, "", map[string]string{"refs/heads/x": "", "refs/heads/main": first[1], "refs/tags/a/b": first[0]}))
	b.delivered()
	want := []Change{
		{"refs/heads/main", first[0], first[1], "UPDATE"}, {"refs/heads/x", first[1], zeroHash, "DELETE"}, {"refs/tags/a/b", zeroHash, first[0], "ADD"},
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if got := rcv.all(); len(got) != 1 || len(got[0].json["changes"].([]any)) != 3 {
		t.Errorf("received %d events, want one of three changes", len(got))
	}
	refs := map[string]string{"refs/heads/main": first[1], "refs/tags/a/b": first[0]}
	if diff := cmp.Diff(refs, must(b.Refs(b.repo.ID))); diff != "" {
		t.Errorf("refs (-want +got):\n%s", diff)
	}
	if out, err := b.git(b.token.Text, "ls-remote", b.CloneURL(b.repo.ID), "refs/tags/a/b"); err != nil || out != first[0]+"\trefs/tags/a/b\n" {
		t.Errorf("git sees %q, %v", out, err)
	}
	if changes := must(b.MoveRefs(b.repo.ID, "", refs)); len(changes) != 0 {
		t.Errorf("moving refs to where they are tells of %v", changes)
	}
	for name, wrong := range map[string]map[string]string{"short name": {"main": first[0]}, "outside": {"refs/../x": first[0]}, "no id": {"refs/heads/y": "main"}} {
		if _, err := b.MoveRefs(b.repo.ID, "", wrong); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := must(b.Refs(b.repo.ID)); !maps.Equal(got, refs) {
		t.Errorf("a refused move left %v", got)
	}
}
