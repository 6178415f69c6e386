package bitbucketsim

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// openAPIEnv names the file of Atlassian's OpenAPI document, which is not part of this repository.
const openAPIEnv = "MAGPIE_BITBUCKET_OPENAPI"

// knownGaps are differences between the document and what real servers were recorded to answer; the wire wins. A key is
// the end of a place in an answer, or the text of a mismatch.
var knownGaps = map[string]string{
	".latestChangeset":   "branches and tags carry it on the wire",
	".isDefault":         "the document calls it default",
	".latestCommit":      "the document gives the default branch as a minimal ref",
	".owner":             "personal projects have one on the wire",
	".id":                "webhooks and users have one on the wire",
	".createdDate":       "webhooks have one on the wire",
	".updatedDate":       "webhooks have one on the wire",
	".links":             "the document leaves the links of most objects out",
	".slug":              "known authors are whole users on the wire",
	".type":              "known authors are whole users on the wire",
	".active":            "known authors are whole users on the wire",
	".displayName":       "known authors are whole users on the wire",
	".author":            "pull requests have one in webhooks and on the wire",
	".permissions":       "tokens have some on the wire",
	".user":              "tokens have one on the wire",
	".lastAuthenticated": "tokens have one on the wire",
	".expiryDate":        "tokens have one on the wire",
	".canMerge":          "clients read it; the document lists only its parts",

	`/value": value must be an object`: "the document's own example of a report's datum is a number",

	`createdDate": value must be a string`:    "milliseconds since 1970 on the wire",
	`"/nextPageStart": Value is not nullable`: "streamed pages end with null",
	`"/start": integer doesn't match`:         "milliseconds since 1970 do not fit the int32 of the document",
	`"/finish": integer doesn't match`:        "milliseconds since 1970 do not fit the int32 of the document",
}

func known(problem string) bool {
	for gap := range knownGaps {
		if gap[0] == '.' && strings.HasSuffix(problem, gap) || gap[0] != '.' && strings.Contains(problem, gap) {
			return true
		}
	}
	return false
}

func TestAnswersFollowTheDocument(t *testing.T) {
	file := os.Getenv(openAPIEnv)
	if file == "" {
		t.Skip(openAPIEnv + " is not set: Atlassian's OpenAPI document is needed to compare with")
	}
	doc := must(openapi3.NewLoader().LoadFromFile(file))
	b := start(t, Options{Version: "9.4.0"})
	b.token = b.newToken("admin", "REPO_ADMIN", "PROJECT_ADMIN")
	rcv := receive(t)
	hook := b.hook(rocket, rcv.URL, "repo:refs_changed")
	projectHook := b.hook("/projects/PRJ", rcv.URL, "repo:refs_changed")
	done := b.push(Push{Repo: b.repo.ID, Commits: []Commit{{Date: testDate, Files: map[string]string{"f": "x\n"}}}, Tags: []Tag{{Name: "v1", Target: ":1", Message: "m"}}})
	b.delivered()
	must(b.Fork(b.repo.ID, "~admin", "fork", "admin"))
	b.push(Push{Repo: b.repo.ID, Commits: []Commit{{Branch: "work", Parents: []string{"main"}, Files: map[string]string{"g": "x\n"}}}})
	pull := must(b.OpenPullRequest(PullRequest{Repo: b.repo.ID, From: "work", Description: "text"}))
	must(0, b.SetRequiredReport(b.repo.ID, "magpie"))
	b.SetTokensSeeTokens(true)
	must(b.CreateToken(TokenSpec{Project: "PRJ", Expiry: testDate.AddDate(20, 0, 0)}))
	must(b.CreateToken(TokenSpec{Repo: b.repo.ID}))
	reports := rocket + "/commits/" + pull.FromHash + "/reports"
	b.ask(b.token.Text, "PUT", "/rest/insights/latest"+reports+"/magpie", `{"title":"T","data":[{"title":"n","type":"NUMBER","value":1}],`+
		`"result":"FAIL","link":"https://example.com/","logoUrl":"https://example.com/","reporter":"x","details":"d"}`)
	b.ask(b.token.Text, "POST", "/rest/insights/latest"+reports+"/magpie/annotations", `{"annotations":[{"path":"g","line":1,"message":"m",`+
		`"severity":"LOW","type":"BUG","externalId":"e","link":"https://example.com/"}]}`)
	const repo = "/projects/{projectKey}/repos/{repositorySlug}"
	const report = "/insights:" + repo + "/commits/{commitId}/reports"
	for _, tc := range []struct{ pattern, path string }{
		{"/application-properties", ""},
		{"/projects", ""},
		{"/projects/{projectKey}", "/projects/PRJ"},
		{"/projects/{projectKey}", "/projects/~admin"},
		{"/projects/{projectKey}/repos", "/projects/PRJ/repos"},
		{"/repos", ""},
		{repo, rocket},
		{repo, "/projects/~admin/repos/fork"},
		{repo + "/forks", rocket + "/forks"},
		{"/users", ""},
		{"/users/{userSlug}", "/users/admin"},
		{repo + "/branches", rocket + "/branches"},
		{repo + "/default-branch", rocket + "/default-branch"},
		{repo + "/branches/default", rocket + "/branches/default"},
		{repo + "/tags", rocket + "/tags"},
		{repo + "/tags/{name}", rocket + "/tags/v1"},
		{repo + "/commits", rocket + "/commits"},
		{repo + "/commits/{commitId}", rocket + "/commits/" + done.Commits[0]},
		{repo + "/ref-change-activities", rocket + "/ref-change-activities"},
		{repo + "/ref-change-activities/branches", rocket + "/ref-change-activities/branches"},
		{repo + "/files", rocket + "/files"},
		{repo + "/browse", rocket + "/browse"},
		{repo + "/browse/{path}", rocket + "/browse/f"},
		{repo + "/webhooks", rocket + "/webhooks?statistics=true"},
		{repo + "/webhooks/{webhookId}", fmt.Sprint(rocket, "/webhooks/", hook)},
		{repo + "/webhooks/{webhookId}/latest", fmt.Sprint(rocket, "/webhooks/", hook, "/latest")},
		{repo + "/webhooks/{webhookId}/statistics", fmt.Sprint(rocket, "/webhooks/", hook, "/statistics")},
		{repo + "/webhooks/search", rocket + "/webhooks/search"},
		{"/access-tokens:/users/{userSlug}", "/users/admin"},
		{"/access-tokens:/users/{userSlug}/{tokenId}", "/users/admin/" + b.token.ID},
		{"/access-tokens:/projects/{projectKey}", "/projects/PRJ"},
		{"/access-tokens:/projects/{projectKey}/repos/{repositorySlug}", rocket},
		{repo + "/pull-requests", rocket + "/pull-requests"},
		{repo + "/pull-requests/{pullRequestId}", rocket + "/pull-requests/1"},
		{repo + "/pull-requests/{pullRequestId}/merge", rocket + "/pull-requests/1/merge"},
		{repo + "/pull-requests/{pullRequestId}/merge-base", rocket + "/pull-requests/1/merge-base"},
		{repo + "/commits/{commitId}/pull-requests", rocket + "/commits/" + pull.FromHash + "/pull-requests"},
		{report, reports},
		{report + "/{key}", reports + "/magpie"},
		{report + "/{key}/annotations", reports + "/magpie/annotations"},
		{"/insights:" + repo + "/commits/{commitId}/annotations", rocket + "/commits/" + pull.FromHash + "/annotations"},
		{"/projects/{projectKey}/webhooks", "/projects/PRJ/webhooks"},
		{"/projects/{projectKey}/webhooks/{webhookId}", fmt.Sprint("/projects/PRJ/webhooks/", projectHook)},
	} {
		if tc.path == "" {
			tc.path = tc.pattern
		}
		t.Run(tc.path, func(t *testing.T) {
			module, pattern := "/api/latest", tc.pattern
			if name, rest, ok := strings.Cut(tc.pattern, ":"); ok {
				module, pattern = name+"/latest", rest
			}
			a := b.ask(b.token.Text, "GET", "/rest"+module+tc.path, "")
			if a.status != 200 {
				t.Fatalf("status = %d %s", a.status, a.body)
			}
			checkAnswer(t, doc, module+pattern, a.body)
		})
	}
}

// checkAnswer compares a body with the schema the document has for a GET. Some answers have no schema there; of those
// only the path is checked.
func checkAnswer(t *testing.T, doc *openapi3.T, pattern string, body []byte) {
	t.Helper()
	item := doc.Paths.Find(pattern)
	if item == nil || item.Get == nil {
		t.Fatalf("the document has no GET %s", pattern)
	}
	resp := item.Get.Responses.Status(200)
	if resp == nil {
		t.Fatalf("the document has no 200 for GET %s", pattern)
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	for kind, media := range resp.Value.Content {
		if !strings.Contains(kind, "json") || media.Schema == nil {
			continue
		}
		err := media.Schema.Value.VisitJSON(value, openapi3.MultiErrors())
		for _, problem := range flatten(err) {
			if !known(problem.Error()) {
				t.Errorf("%v", problem)
			}
		}
		if pattern != "/api/latest/users" { // the document gives one user where the wire has a page of them
			unknownKeys(t, "", media.Schema, value)
		}
	}
}

func flatten(err error) []error {
	if many, ok := err.(openapi3.MultiError); ok {
		var all []error
		for _, e := range many {
			all = append(all, flatten(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// unknownKeys reports keys that an object schema with properties does not list.
func unknownKeys(t *testing.T, at string, ref *openapi3.SchemaRef, value any) {
	t.Helper()
	if ref == nil || ref.Value == nil {
		return
	}
	switch v := value.(type) {
	case []any:
		for _, x := range v {
			unknownKeys(t, at+"[]", ref.Value.Items, x)
		}
	case map[string]any:
		if len(ref.Value.Properties) == 0 {
			return
		}
		for key, x := range v {
			sub, ok := ref.Value.Properties[key]
			if place := at + "." + key; !ok && !known(place) {
				t.Errorf("%s is not in the document", place)
			}
			unknownKeys(t, at+"."+key, sub, x)
		}
	}
}
