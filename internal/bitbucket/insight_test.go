package bitbucket_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/bitbucketsim"
)

// withPullRequest opens a pull request in "one" that adds, changes and deletes a file.
func (in *instance) withPullRequest(t *testing.T) (bitbucketsim.PullRequest, magpie.Hash) {
	t.Helper()
	repo := in.repos["one"].ID
	main, err := in.Push(bitbucketsim.Push{Repo: repo, Commits: []bitbucketsim.Commit{{Files: map[string]string{"a b/ü%.txt": "one\n", "gone": "x\n"}}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = in.Push(bitbucketsim.Push{Repo: repo, Commits: []bitbucketsim.Commit{{
		Branch: "topic", Parents: []string{"refs/heads/main"}, Files: map[string]string{"a b/ü%.txt": "two\n", "new": "y\n"}, Delete: []string{"gone"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := in.OpenPullRequest(bitbucketsim.PullRequest{Repo: repo, From: "topic"})
	if err != nil {
		t.Fatal(err)
	}
	return p, magpie.Hash(main.Commits[0])
}

func TestPullRequestsAndTheirChanges(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			in := newInstance(t, bitbucketsim.Options{Version: version, ContextPath: "/bitbucket"})
			p, base := in.withPullRequest(t)
			c, ctx := in.client(in.admin), t.Context()
			want := bitbucket.PullRequest{ID: int64(p.ID), Open: true}
			end := bitbucket.PullRequestEnd{RemoteRepoID: int64(p.Repo), ProjectKey: "ALPHA", Slug: "one"}
			want.From, want.To = end, end
			want.From.Ref, want.From.Commit, want.To.Ref, want.To.Commit = "refs/heads/topic", magpie.Hash(p.FromHash), "refs/heads/main", base
			for name, got := range map[string][]bitbucket.PullRequest{
				"to":            all(t, c.OpenPullRequestsTo(ctx, "ALPHA", "one")),
				"from":          all(t, c.OpenPullRequestsFrom(ctx, "ALPHA", "one", "refs/heads/topic")),
				"from anywhere": all(t, c.OpenPullRequestsFrom(ctx, "ALPHA", "one", "")),
			} {
				if diff := cmp.Diff([]bitbucket.PullRequest{want}, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if got := all(t, c.OpenPullRequestsFrom(ctx, "ALPHA", "one", "refs/heads/main")); len(got) != 0 {
				t.Errorf("from another branch: %v", got)
			}
			changes, err := c.PullRequestChanges(ctx, "ALPHA", "one", want.ID)
			if err != nil || changes.Truncated || changes.Base != base || len(changes.Files) != 2 {
				t.Fatalf("changes %+v, %v", changes, err)
			}
			for i, f := range []struct {
				path  string
				isNew bool
			}{{"a b/ü%.txt", false}, {"new", true}} {
				if got := changes.Files[i]; got.Path != f.path || got.Blob.IsZero() || got.Before.IsZero() != f.isNew {
					t.Errorf("file %+v", got)
				}
			}
			data, err := c.File(ctx, "ALPHA", "one", "a b/ü%.txt", want.From.Commit)
			if string(data) != "two\n" || err != nil {
				t.Errorf("content %q, %v", data, err)
			}
			if got, err := c.MergeBase(ctx, "ALPHA", "one", want.ID); got != base || err != nil {
				t.Errorf("merge base %s, %v", got, err)
			}
			in.SetMaxLimit(1)
			if changes, err = c.PullRequestChanges(ctx, "ALPHA", "one", want.ID); err != nil || !changes.Truncated {
				t.Errorf("a part of the changes: %+v, %v", changes, err)
			}
			if _, err := c.PullRequest(ctx, "ALPHA", "one", 77); magpie.KindOf(err) != magpie.KindNotFound {
				t.Errorf("a pull request that is not there: %v", err)
			}
		})
	}
}

func TestReportsOnACommit(t *testing.T) {
	t.Parallel()
	in := newInstance(t, bitbucketsim.Options{})
	p, _ := in.withPullRequest(t)
	c, ctx, commit := in.client(in.admin), t.Context(), magpie.Hash(p.FromHash)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.DeleteReport(ctx, "ALPHA", "one", commit, "test.key"))
	report := bitbucket.Report{Title: "Secrets", Result: bitbucket.ReportFail, Data: []bitbucket.ReportData{
		{Title: "N", Type: bitbucket.ReportNumber, Value: 2},
		{Title: "L", Type: bitbucket.ReportURL, Value: bitbucket.ReportLink{Text: "open", Href: "https://magpie.example.com/"}},
	}}
	note := bitbucket.Annotation{Path: "new", Line: 1, Message: "m", Severity: bitbucket.AnnotationHigh, Type: bitbucket.AnnotationVulnerability, ExternalID: "o1"}
	must(c.PutReport(ctx, "ALPHA", "one", commit, "test.key", report))
	must(c.AddAnnotations(ctx, "ALPHA", "one", commit, "test.key", []bitbucket.Annotation{note}))
	must(c.AddAnnotations(ctx, "ALPHA", "one", commit, "test.key", nil))
	state := func() string {
		var s string
		for _, r := range in.Reports(p.Repo) {
			s += fmt.Sprint(r.Key, " ", r.Result, " ", len(r.Annotations), ";")
		}
		return s
	}
	if got, want := state(), "test.key FAIL 1;"; got != want {
		t.Errorf("reports %q, want %q", got, want)
	}
	must(c.DeleteAnnotations(ctx, "ALPHA", "one", commit, "test.key"))
	must(c.PutReport(ctx, "ALPHA", "one", commit, "test.key", bitbucket.Report{Title: "Secrets", Result: bitbucket.ReportPass}))
	if got, want := state(), "test.key PASS 0;"; got != want {
		t.Errorf("reports %q, want %q", got, want)
	}
	other := in.client(in.reader)
	if err := other.PutReport(ctx, "ALPHA", "one", commit, "test.key", report); magpie.KindOf(err) != magpie.KindForbidden {
		t.Errorf("replacing somebody else's report: %v", err)
	}
	must(other.PutReport(ctx, "ALPHA", "one", commit, "their.key", report))
	must(c.DeleteReport(ctx, "ALPHA", "one", commit, "their.key")) // as administrator
	if got, want := state(), "test.key PASS 0;"; got != want {
		t.Errorf("reports %q, want %q", got, want)
	}
}
