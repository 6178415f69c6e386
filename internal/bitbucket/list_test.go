package bitbucket

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

// numbers serves a list of the numbers 1 to n with a cursor that jumps, as in lists filtered by permission.
func numbers(n, perPage, jump int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		first := start / (perPage + jump) * perPage
		var values []string
		for i := first; i < min(first+perPage, n); i++ {
			values = append(values, fmt.Sprintf(`{"id":%d,"key":"K%d","type":"NORMAL","unknown":{"x":[1]}}`, i+1, i+1))
		}
		next := fmt.Sprintf(`,"nextPageStart":%d`, start+perPage+jump)
		last := first+perPage >= n
		if last {
			next = ""
		}
		reply(200, fmt.Sprintf(`{"size":%d,"limit":%d,"isLastPage":%v,"values":[%s],"start":%d%s}`, len(values), perPage, last, strings.Join(values, ","), start, next))(w, r)
	}
}

func TestListFollowsTheServersCursor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ n, perPage, jump int }{{0, 5, 0}, {5, 5, 0}, {23, 5, 0}, {23, 5, 3}, {23, 1, 1}} {
		f := newFake(t, map[string]http.HandlerFunc{projectsPattern: numbers(tc.n, tc.perPage, tc.jump)})
		got, err := collect(f.client.Projects(t.Context()))
		if err != nil || len(got) != tc.n {
			t.Errorf("%+v: %d projects, %v, want %d", tc, len(got), err, tc.n)
			continue
		}
		for i, p := range got {
			if p.RemoteID != int64(i+1) {
				t.Errorf("%+v: project %d has id %d, want %d", tc, i, p.RemoteID, i+1)
			}
		}
	}
}

func TestListToleratesEmptyPagesAndNulls(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: inOrder(
		reply(200, `{"size":0,"isLastPage":false,"values":[],"nextPageStart":25}`),
		reply(200, `{"size":1,"isLastPage":false,"values":[{"id":4,"key":"A"}],"nextPageStart":26}`),
		reply(200, `{"values":null,"size":0,"isLastPage":true,"start":26,"limit":25,"nextPageStart":null}`),
	)})
	got, err := collect(f.client.Projects(t.Context()))
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v, want one project", got, err)
	}
}

func TestListDoesNotLoop(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"cursor stands":    reply(200, `{"isLastPage":false,"values":[{"id":1}],"nextPageStart":0}`),
		"cursor goes back": inOrder(reply(200, `{"isLastPage":false,"values":[],"nextPageStart":9}`), reply(200, `{"isLastPage":false,"values":[],"nextPageStart":3}`)),
		"no cursor":        reply(200, `{"isLastPage":false,"values":[{"id":1}]}`),
		"empty for ever": func(w http.ResponseWriter, r *http.Request) {
			start, _ := strconv.Atoi(r.URL.Query().Get("start"))
			reply(200, fmt.Sprintf(`{"isLastPage":false,"values":[],"nextPageStart":%d}`, start+1))(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, map[string]http.HandlerFunc{projectsPattern: h})
			_, err := collect(f.client.Projects(t.Context()))
			wantKind(t, err, magpie.KindUnavailable, "does not end")
		})
	}
}

// What is no list of values, or has more of them than were asked for, must not be taken for a list that is shorter.
func TestOddPagesAreRefused(t *testing.T) {
	t.Parallel()
	const values = 2 * mostValues
	for name, body := range map[string]string{
		"no page at all":   `{}`,
		"no values":        `{"isLastPage":true}`,
		"values a number":  `{"isLastPage":true,"values":0}`,
		"values an object": `{"isLastPage":true,"values":{"id":4}}`,
		"too many values":  `{"isLastPage":true,"values":[` + strings.Repeat(`{"id":1},`, values) + `{"id":2}]}`,
		"too many nulls":   `{"isLastPage":true,"values":[` + strings.Repeat(`null,`, values) + `{"id":2}]}`,
	} {
		f := newFake(t, map[string]http.HandlerFunc{projectsPattern: reply(200, body)})
		got, err := collect(f.client.Projects(t.Context()))
		if magpie.KindOf(err) != magpie.KindUnavailable || !strings.Contains(err.Error(), "can't be understood") {
			t.Errorf("%s: got %d values, %v, want an error that it can't be understood", name, len(got), err)
		}
	}
	// What nests in a page is cut, since it can be done without.
	var list many[number]
	if err := json.Unmarshal([]byte("["+strings.Repeat("1,", values)+"2]"), &list); err != nil || len(list) != mostValues {
		t.Errorf("of %d values %d were taken, %v, want %d", values, len(list), err, mostValues)
	}
}

func TestListsWithoutEndAreRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: func(w http.ResponseWriter, r *http.Request) {
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		body := fmt.Sprintf(`{"isLastPage":false,"nextPageStart":%d,"values":[`, start+1)
		reply(200, body+strings.Repeat(`1,`, mostValues-1)+`2]}`)(w, r)
	}})
	n := 0
	var last error
	for _, err := range list[number](t.Context(), f.client, api+"/projects", nil) {
		n, last = n+1, err
	}
	wantKind(t, last, magpie.KindUnavailable, "does not end")
	if n > maxListed+1 {
		t.Errorf("%d values were handed out, want %d at most", n, maxListed)
	}
}

func TestListStopsWhenTheReaderDoes(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{projectsPattern: numbers(100, 5, 0)})
	for range f.client.Projects(t.Context()) {
		break
	}
	if got := len(f.requests()); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

func TestAllReposAsksByVersion(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version string
		scope   Scope
		want    string
	}{
		{"7.6.0", ScopeVisible, "/repos?limit=1000&start=0"},
		{"7.21.3", ScopeAdmin, "/repos?limit=1000&permission=REPO_ADMIN&start=0"},
		{"8.0.0", ScopeVisible, "/repos?archived=ALL&limit=1000&start=0"},
		{"10.4.2", ScopeAdmin, "/repos?archived=ALL&limit=1000&permission=REPO_ADMIN&start=0"},
	} {
		f := newFake(t, map[string]http.HandlerFunc{
			propertiesPattern: reply(200, `{"version":"`+tc.version+`"}`), reposPattern: reply(200, lastEmpty),
		})
		for range 2 {
			if _, err := collect(f.client.AllRepos(t.Context(), tc.scope)); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"GET " + api + "/application-properties", "GET " + api + tc.want, "GET " + api + tc.want}
		if diff := cmp.Diff(want, f.requests()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tc.version, diff)
		}
	}
}

func TestProjectReposJoinsArchivedOnes(t *testing.T) {
	t.Parallel()
	repo := func(id int, key string, archived bool) string {
		return fmt.Sprintf(`{"id":%d,"slug":"r%d","state":"AVAILABLE","archived":%v,"project":{"id":1,"key":%q}}`, id, id, archived, key)
	}
	list := func(values ...string) http.HandlerFunc {
		return reply(200, `{"isLastPage":true,"values":[`+strings.Join(values, ",")+`]}`)
	}
	f := newFake(t, map[string]http.HandlerFunc{
		"GET " + api + "/projects/PRJ/repos": list(repo(1, "PRJ", false), repo(2, "PRJ", true)),
		// The filter of this list may be looser than the exact key.
		reposPattern: list(repo(2, "PRJ", true), repo(3, "PRJ", true), repo(4, "PRJ2", true)),
	})
	got, err := collect(f.client.ProjectRepos(t.Context(), "PRJ"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, r := range got {
		ids = append(ids, r.Repo.RemoteID)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, ids); diff != "" {
		t.Errorf("ids (-want +got)\n%s", diff)
	}
}

func TestProjectReposOfNoProject(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{
		"GET " + api + "/projects/{k}/repos": reply(404, exception("com.atlassian.bitbucket.project.NoSuchProjectException", "Project PRJ does not exist.")),
		reposPattern:                         reply(200, lastEmpty),
	})
	_, err := collect(f.client.ProjectRepos(t.Context(), "PRJ"))
	wantKind(t, err, magpie.KindNotFound, "does not exist")
}
