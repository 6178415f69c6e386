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

// hookServer answers the webhook addresses of one repository.
func hookServer(t *testing.T) *fake {
	t.Helper()
	const path = api + "/projects/PRJ/repos/slug/webhooks"
	return newFake(t, map[string]http.HandlerFunc{
		"POST " + path:             reply(201, `{"id":77,"configuration":{"secret":"echoed"}}`),
		"PUT " + path + "/{id}":    func(w http.ResponseWriter, r *http.Request) { reply(200, `{"id":`+r.PathValue("id")+`}`)(w, r) },
		"DELETE " + path + "/{id}": reply(204, ""),
	})
}

// changes returns what the server was asked to change.
func (f *fake) changes() []string {
	return slices.DeleteFunc(f.requests(), func(r string) bool { return strings.HasPrefix(r, "GET ") })
}

// Creating and updating send everything, since an update replaces everything.
func TestWriteWebhook(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	f := hookServer(t)
	created, err := f.client.CreateWebhook(t.Context(), "PRJ", "slug", spec)
	if err != nil || created.ID != 77 {
		t.Errorf("created %+v, %v, want id 77", created, err)
	}
	updated, err := f.client.UpdateWebhook(t.Context(), "PRJ", "slug", 5, spec)
	if err != nil || updated.ID != 5 {
		t.Errorf("updated %+v, %v, want id 5", updated, err)
	}
	path := api + "/projects/PRJ/repos/slug/webhooks"
	if diff := cmp.Diff([]string{"POST " + path, "PUT " + path + "/5"}, f.changes()); diff != "" {
		t.Errorf("requests (-want +got)\n%s", diff)
	}
	want := map[string]any{
		"name": "Magpie", "url": spec.URL, "active": true, "sslVerificationRequired": true,
		"events": []any{"repo:refs_changed", "repo:modified"}, "configuration": map[string]any{"secret": hookSecret},
	}
	for _, body := range f.bodies {
		var sent map[string]any
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Errorf("body (-want +got)\n%s", diff)
		}
	}
}

// Only exactly our webhook is ours.
func TestHookSpecOurs(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	for _, w := range []Webhook{
		{Name: "Magpie", URL: "https://magpie.example/hooks/bitbucket/abcd"},
		{Name: "magpie", URL: spec.URL},
		{Name: "CI", URL: spec.URL},
		{Name: "Magpie", URL: spec.URL + "/"},
	} {
		if spec.Ours(w) {
			t.Errorf("%+v is taken for ours", w)
		}
	}
	if !spec.Ours(Webhook{Name: spec.Name, URL: spec.URL}) {
		t.Error("ours is not recognised")
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
