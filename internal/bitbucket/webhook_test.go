package bitbucket

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

const hookSecret = "made-up-hook-" + "secret"

func testSpec() HookSpec {
	return HookSpec{Name: "Magpie", URL: "https://magpie.example/hooks/bitbucket/abc", Secret: magpie.NewSecret(hookSecret)}
}

// hookServer answers the webhook addresses of one repository with the given existing webhooks.
func hookServer(t *testing.T, existing ...Webhook) *fake {
	t.Helper()
	list, err := json.Marshal(map[string]any{"isLastPage": true, "values": existing})
	if err != nil {
		t.Fatal(err)
	}
	const path = api + "/projects/PRJ/repos/slug/webhooks"
	return newFake(t, map[string]http.HandlerFunc{
		"GET " + path:              reply(200, string(list)),
		"POST " + path:             reply(201, `{"id":77,"configuration":{"secret":"echoed"}}`),
		"PUT " + path + "/{id}":    func(w http.ResponseWriter, r *http.Request) { reply(200, `{"id":`+r.PathValue("id")+`}`)(w, r) },
		"DELETE " + path + "/{id}": reply(204, ""),
	})
}

// changes returns what the server was asked to change.
func (f *fake) changes() []string {
	return slices.DeleteFunc(f.requests(), func(r string) bool { return strings.HasPrefix(r, "GET ") })
}

func TestEnsureWebhook(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	path := api + "/projects/PRJ/repos/slug/webhooks"
	for _, tc := range []struct {
		name     string
		existing []Webhook
		want     []string
		id       int64
	}{
		{"none", nil, []string{"POST " + path}, 77},
		{"another team's", []Webhook{
			{ID: 1, Name: "Magpie", URL: "https://magpie.example/hooks/bitbucket/abcd"},
			{ID: 2, Name: "magpie", URL: spec.URL},
			{ID: 3, Name: "CI", URL: spec.URL},
			{ID: 4, Name: "Magpie", URL: spec.URL + "/"},
		}, []string{"POST " + path}, 77},
		{"ours", []Webhook{{ID: 1, Name: "CI", URL: "https://ci.example"}, {ID: 5, Name: spec.Name, URL: spec.URL}}, []string{"PUT " + path + "/5"}, 5},
		{
			"ours twice",
			[]Webhook{{ID: 5, Name: spec.Name, URL: spec.URL}, {ID: 6, Name: spec.Name, URL: spec.URL}},
			[]string{"DELETE " + path + "/6", "PUT " + path + "/5"},
			5,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := hookServer(t, tc.existing...)
			got, err := f.client.EnsureWebhook(t.Context(), "PRJ", "slug", spec)
			if err != nil || got.ID != tc.id {
				t.Errorf("got %+v, %v, want id %d", got, err, tc.id)
			}
			if diff := cmp.Diff(tc.want, f.changes()); diff != "" {
				t.Errorf("requests (-want +got)\n%s", diff)
			}
			var sent map[string]any
			if err := json.Unmarshal([]byte(f.bodies[len(f.bodies)-1]), &sent); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"name": "Magpie", "url": spec.URL, "active": true, "sslVerificationRequired": true,
				"events": []any{"repo:refs_changed", "repo:modified"}, "configuration": map[string]any{"secret": hookSecret},
			}
			if diff := cmp.Diff(want, sent); diff != "" {
				t.Errorf("body (-want +got)\n%s", diff)
			}
		})
	}
}

func TestRemoveWebhook(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	f := hookServer(t, Webhook{ID: 4, Name: "CI", URL: spec.URL}, Webhook{ID: 5, Name: spec.Name, URL: spec.URL}, Webhook{ID: 6, Name: spec.Name, URL: spec.URL})
	n, err := f.client.RemoveWebhook(t.Context(), "PRJ", "slug", HookSpec{Name: spec.Name, URL: spec.URL})
	if err != nil || n != 2 {
		t.Errorf("removed %d, %v, want 2", n, err)
	}
	path := "DELETE " + api + "/projects/PRJ/repos/slug/webhooks/"
	if diff := cmp.Diff([]string{path + "5", path + "6"}, f.changes()); diff != "" {
		t.Errorf("requests (-want +got)\n%s", diff)
	}
}

func TestDeleteWebhookThatIsGone(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{"DELETE /": reply(404, "")})
	if err := f.client.DeleteWebhook(t.Context(), "PRJ", "slug", 9); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}

// What Bitbucket answers with trouble must not be sent.
func TestHookSpecIsChecked(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{"/": reply(200, `{"id":1}`)})
	for name, change := range map[string]func(*HookSpec){
		"no secret":      func(s *HookSpec) { s.Secret = magpie.Secret{} },
		"long secret":    func(s *HookSpec) { s.Secret = magpie.NewSecret(strings.Repeat("x", 256)) },
		"braces in path": func(s *HookSpec) { s.URL += "{event}" },
	} {
		spec := testSpec()
		change(&spec)
		if _, err := f.client.CreateWebhook(t.Context(), "PRJ", "slug", spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := f.requests(); len(got) != 0 {
		t.Errorf("sent %v, want nothing", got)
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	c := New(http.DefaultClient, "https://bitbucket.example", magpie.NewSecret(token), nil)
	text := fmt.Sprintf("%v %+v %#v %v %+v %#v", c, c, c, testSpec(), testSpec(), testSpec())
	for _, secret := range []string{token, hookSecret} {
		digits := strings.Trim(fmt.Sprint([]byte(secret)), "[]") // how %v prints bytes in a field that is not exported
		if strings.Contains(text, secret) || strings.Contains(text, digits) {
			t.Errorf("a printed form shows a secret")
		}
	}
}
