package bitbucket

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

func TestRepoInfo(t *testing.T) {
	t.Parallel()
	c := New(http.DefaultClient, "https://bitbucket.example/bitbucket", magpie.NewSecret(token), nil)
	const project = `"project":{"key":"PRJ","id":3,"name":"Project","public":false,"type":"NORMAL"}`
	normal := magpie.Project{RemoteID: 3, Key: "PRJ", Name: "Project"}
	base := magpie.Repo{
		RemoteID: 9, ProjectKey: "PRJ", Slug: "my-repo", Name: "My Repo", State: magpie.RepoAvailable,
		CloneURL:  "https://bitbucket.example/bitbucket/scm/prj/my-repo.git",
		BrowseURL: "https://bitbucket.example/bitbucket/projects/PRJ/repos/my-repo/browse",
	}
	with := func(change func(*magpie.Repo)) magpie.Repo {
		r := base
		change(&r)
		return r
	}
	const head = `{"slug":"my-repo","id":9,"name":"My Repo","scmId":"git",`
	for _, tc := range []struct {
		name, body string
		repo       magpie.Repo
		project    magpie.Project
	}{
		{"links, ssh first", head + `"state":"AVAILABLE",` + project + `,"links":{"clone":[
			{"href":"ssh://git@bitbucket.example:7999/prj/my-repo.git","name":"ssh"},
			{"href":"https://bitbucket.example/bitbucket/scm/prj/my-repo.git","name":"http"}],
			"self":[{"href":"https://bitbucket.example/bitbucket/projects/PRJ/repos/my-repo/browse"}]}}`, base, normal},
		{
			"user in the link", head + `"state":"AVAILABLE",` + project + `,"links":{"clone":[
			{"href":"https://bot@bitbucket.example:443/bitbucket/scm/prj/my-repo.git","name":"http"}]}}`,
			with(func(r *magpie.Repo) { r.CloneURL = "https://bitbucket.example:443/bitbucket/scm/prj/my-repo.git" }), normal,
		},
		{"no links", head + `"state":"AVAILABLE",` + project + `}`, base, normal},
		{"odd links", head + `"state":"AVAILABLE",` + project + `,"links":{"clone":"x"}}`, base, normal},
		{
			"http hosting off", head + `"state":"AVAILABLE",` + project + `,"links":{"clone":[{"href":"ssh://git@h:7999/x.git","name":"ssh"}]}}`,
			with(func(r *magpie.Repo) {
				r.State, r.StateReason = magpie.RepoUnavailable, "HTTP(S) hosting is off, so Git can't be read with a token: switch it on in Bitbucket's server settings"
			}), normal,
		},
		{"link to another server", head + `"state":"AVAILABLE",` + project + `,"links":{"clone":[
			{"href":"https://elsewhere.example/scm/prj/my-repo.git","name":"http"}]}}`, base, normal},
		{"link without TLS", head + `"state":"AVAILABLE",` + project + `,"links":{"clone":[
			{"href":"http://bitbucket.example/scm/prj/my-repo.git","name":"http"}]}}`, base, normal},
		{"hostile page", head + `"state":"AVAILABLE",` + project + `,"links":{"self":[{"href":"javascript:alert(1)"}]}}`, base, normal},
		{
			"archived", head + `"state":"AVAILABLE","archived":true,` + project + `}`,
			with(func(r *magpie.Repo) { r.State, r.StateReason = magpie.RepoArchived, "archived at Bitbucket" }), normal,
		},
		{
			"initialising", head + `"state":"INITIALISING","statusMessage":"Creating repository",` + project + `}`,
			with(func(r *magpie.Repo) {
				r.State, r.StateReason = magpie.RepoUnavailable, "Bitbucket reports: Creating repository"
			}), normal,
		},
		{
			"offline and archived", head + `"state":"OFFLINE","archived":true,` + project + `}`,
			with(func(r *magpie.Repo) { r.State, r.StateReason = magpie.RepoUnavailable, "Bitbucket reports: offline" }), normal,
		},
		{
			"personal", head + `"state":"AVAILABLE","project":{"key":"~JANE.DOE","id":8,"name":"Jane Doe","type":"PERSONAL","owner":{"name":"jane.doe"}},
			"links":{"self":[{"href":"https://bitbucket.example/bitbucket/users/jane.doe/repos/my-repo/browse"}]}}`,
			with(func(r *magpie.Repo) {
				r.ProjectKey = "~JANE.DOE"
				r.CloneURL = "https://bitbucket.example/bitbucket/scm/~jane.doe/my-repo.git"
				r.BrowseURL = "https://bitbucket.example/bitbucket/users/jane.doe/repos/my-repo/browse"
			}),
			magpie.Project{RemoteID: 8, Key: "~JANE.DOE", Name: "Jane Doe", Personal: true},
		},
		{
			"no names", `{"slug":"my-repo","id":9,"project":{"key":"PRJ","id":3}}`,
			with(func(r *magpie.Repo) { r.Name = "my-repo" }),
			magpie.Project{RemoteID: 3, Key: "PRJ", Name: "PRJ"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var wire wireRepo
			if err := json.Unmarshal([]byte(tc.body), &wire); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(RepoInfo{tc.repo, tc.project}, c.repoInfo(wire)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
