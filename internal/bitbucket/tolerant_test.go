package bitbucket

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

// Events as servers from 5.x to 10.x write them, and worse.
func TestParseEventTolerates(t *testing.T) {
	t.Parallel()
	const sent = "2023-04-05T10:11:12+0200"
	base := map[string]string{
		"eventKey": `"repo:refs_changed"`, "date": `"` + sent + `"`, "actor": `{"name":"dev","id":7}`, "repository": `{"id":84,"slug":"r"}`,
		"changes": fmt.Sprintf(`[{"ref":{"id":"refs/heads/main"},"refId":"refs/heads/main","fromHash":%q,"toHash":%q,"type":"UPDATE"}]`, hashA, hashB),
	}
	with := func(key, value string) string {
		var b strings.Builder
		for k, v := range base {
			if k != key {
				fmt.Fprintf(&b, "%q:%s,", k, v)
			}
		}
		return "{" + b.String() + fmt.Sprintf("%q:%s}", key, value)
	}
	want := magpie.Push{
		RemoteRepoID: 84, EventKey: EventRefsChanged, Actor: "dev", SentAt: time.Date(2023, 4, 5, 8, 11, 12, 0, time.UTC),
		Changes: []magpie.RefChange{{Ref: "refs/heads/main", From: magpie.Hash(hashA), To: magpie.Hash(hashB), Type: magpie.ChangeUpdate}},
	}
	but := func(change func(*magpie.Push)) magpie.Push {
		p := want
		p.Changes = append([]magpie.RefChange(nil), want.Changes...)
		change(&p)
		return p
	}
	noActor := but(func(p *magpie.Push) { p.Actor = "" })
	notSent := but(func(p *magpie.Push) { p.SentAt = time.Time{} })
	noChanges := but(func(p *magpie.Push) { p.Changes = nil })
	typed := func(c magpie.ChangeType, from, to string) magpie.Push {
		return but(func(p *magpie.Push) {
			p.Changes[0].Type, p.Changes[0].From, p.Changes[0].To = c, magpie.Hash(from), magpie.Hash(to)
		})
	}
	oneChange := func(from, to, kind string) string {
		return fmt.Sprintf(`[{"ref":"main","refId":"refs/heads/main","fromHash":%q,"toHash":%q,"type":%s}]`, from, to, kind)
	}
	for _, tc := range []struct {
		name, key, value string
		want             magpie.Push
	}{
		{"as it is", "x", "1", want},
		{"service user", "actor", `{"name":"dev","emailAddress":null,"id":"9","active":"yes","type":"SERVICE","links":{"self":[{"href":"https://b.example/bots/dev"}]}}`, want},
		{"actor null", "actor", `null`, noActor},
		{"actor a name", "actor", `"dev"`, noActor},
		{"actor without name", "actor", `{"displayName":"Dev"}`, noActor},
		{"actor's name null", "actor", `{"name":null}`, noActor},
		{"actor's name a list", "actor", `{"name":["dev"]}`, noActor},
		{"repository with all", "repository", `{"id":84,"slug":"r","hierarchyId":"ab12","public":null,"forkable":"true","origin":{"id":3,"project":{"public":true}},
			"project":{"key":"~DEV","type":"PERSONAL","owner":{"emailAddress":null}},"links":null,"archived":0}`, want},
		{"id in a string", "repository", `{"id":"84"}`, want},
		{"id as a float", "repository", `{"id":8.4e1}`, want},
		{"project a number", "repository", `{"id":84,"project":7,"links":[]}`, want},
		{"commits of all sorts", "commits", `[{"id":1,"authorTimestamp":"2018-09-21T14:09:51.000Z","parents":null},null,7]`, want},
		{"toCommit a text", "toCommit", `"x"`, want},
		{"date ISO", "date", `"2023-04-05T08:11:12.000Z"`, want},
		{"date with colon", "date", `"2023-04-05T10:11:12+02:00"`, want},
		{"date west", "date", `"2023-04-04T22:41:12-0930"`, want},
		{"date in milliseconds", "date", `1680682272000`, want},
		{"date in milliseconds as text", "date", `"1680682272000"`, want},
		{"no date", "date", `null`, notSent},
		{"broken date", "date", `"yesterday"`, notSent},
		{"date an object", "date", `{"epoch":1}`, notSent},
		{"impossible date", "date", `"2023-13-45T10:11:12+0200"`, notSent},
		{"endless date", "date", `9223372036854775807`, notSent},
		{"negative date", "date", `-1`, notSent},
		{"no changes", "changes", `[]`, noChanges},
		{"changes null", "changes", `null`, noChanges},
		{"changes an object", "changes", `{"size":0}`, noChanges},
		{"change null", "changes", `[null]`, noChanges},
		{"change a text", "changes", `["refs/heads/main"]`, noChanges},
		{"ref a text", "changes", oneChange(hashA, hashB, `"UPDATE"`), want},
		{"unknown type, update", "changes", strings.Replace(base["changes"], "UPDATE", "REWRITE", 1), want},
		{"no type, update", "changes", strings.Replace(base["changes"], `"UPDATE"`, "null", 1), want},
		{"unknown type, add", "changes", oneChange(zero, hashB, `"CREATE"`), typed(magpie.ChangeAdd, zero, hashB)},
		{"unknown type, delete", "changes", oneChange(hashA, zero, `7`), typed(magpie.ChangeDelete, hashA, zero)},
		{"invalid UTF-8", "comment", "\"caf\xe9\"", want},
		{"half a surrogate", "comment", `"\ud83d"`, want},
		{"deep, but not too", "x", strings.Repeat("[", 60) + strings.Repeat("]", 60), want},
		{"large", "x", `"` + strings.Repeat("x", 7<<20) + `"`, want},
	} {
		got, err := ParseEvent(EventRefsChanged, "", []byte(with(tc.key, tc.value)))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tc.name, diff)
		}
	}
}

// A key that comes twice counts as it comes last, and as a whole.
func TestParseEventKeysTwice(t *testing.T) {
	t.Parallel()
	got, err := ParseEvent(EventRefsChanged, "", []byte(`{"eventKey":"repo:refs_changed","repository":{"id":1},"repository":{"id":2},"actor":{"name":"a"},"actor":{}}`))
	if err != nil || got.RemoteRepoID != 2 || got.Actor != "" {
		t.Errorf("got %+v, %v, want repository 2 and no actor", got, err)
	}
	if got, err := ParseEvent(EventRefsChanged, "", []byte(`{"eventKey":"repo:refs_changed","repository":{"id":1},"repository":{}}`)); err == nil {
		t.Errorf("got %+v, want that the last repository has no id", got)
	}
}

func TestReposTolerate(t *testing.T) {
	t.Parallel()
	list := func(values string) http.HandlerFunc { return reply(200, `{"isLastPage":true,"values":[`+values+`]}`) }
	for _, tc := range []struct {
		name, value string
		state       magpie.RepoState
		key         string
	}{
		{"plain", `{"id":9,"slug":"r","project":{"id":3,"key":"PRJ"}}`, magpie.RepoAvailable, "PRJ"},
		{"numbers as text", `{"id":"9","slug":"r","project":{"id":"3","key":"PRJ"},"archived":"true"}`, magpie.RepoArchived, "PRJ"},
		{"key a number", `{"id":9,"slug":"r","project":{"id":3,"key":42}}`, magpie.RepoAvailable, "42"},
		{"odd types", `{"id":9,"slug":"r","name":{},"state":7.5,"statusMessage":[],"public":"no","archived":null,"links":{"clone":{},"self":[null]},
			"project":{"id":3,"key":"PRJ","type":null,"name":["x"]}}`, magpie.RepoUnavailable, "PRJ"},
		{"links null", `{"id":9,"slug":"r","state":null,"links":null,"project":{"id":3,"key":"PRJ","owner":false}}`, magpie.RepoUnavailable, "PRJ"},
		{"beside null", `null,{"id":9,"slug":"r","project":{"id":3,"key":"PRJ"}}`, magpie.RepoAvailable, "PRJ"},
	} {
		f := newFake(t, map[string]http.HandlerFunc{reposPattern: list(tc.value)})
		got, err := collect(f.client.AllRepos(t.Context(), ScopeVisible))
		if err != nil || len(got) != 1 || got[0].Repo.RemoteID != 9 || got[0].Repo.ProjectKey != tc.key || got[0].Repo.CloneURL == "" {
			t.Errorf("%s: got %+v, %v, want repository 9 in %s", tc.name, got, err, tc.key)
		}
	}
	for name, value := range map[string]string{"no id": `{"slug":"r"}`, "odd id": `{"id":[9],"slug":"r"}`, "a text": `"r"`} {
		f := newFake(t, map[string]http.HandlerFunc{reposPattern: list(value)})
		if got, err := collect(f.client.AllRepos(t.Context(), ScopeVisible)); magpie.KindOf(err) != magpie.KindUnavailable {
			t.Errorf("%s: got %+v, %v, want an error, lest it look deleted", name, got, err)
		}
	}
}

func TestWebhooksTolerate(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{"GET " + api + "/projects/P/repos/r/webhooks": reply(200, `{"isLastPage":"true","values":[
		{"id":"4","name":null,"url":"https://m.example","events":["a",7,null,{}],"active":"true","createdDate":"2020-01-01","configuration":[]},
		{"id":5,"events":null,"statistics":{"counts":[]}}]}`)})
	got, err := collect(f.client.Webhooks(t.Context(), "P", "r"))
	want := []Webhook{{ID: 4, Name: "", URL: "https://m.example", Events: []string{"a", "7", ""}, Active: true}, {ID: 5}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestRepoPages(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]http.HandlerFunc{reposPattern: numbers(23, 5, 3)})
	var starts []int64
	var ids int
	for p, err := range f.client.RepoPages(t.Context(), ScopeVisible, 16) {
		if err != nil {
			t.Fatal(err)
		}
		starts, ids = append(starts, p.Next), ids+len(p.Repos)
	}
	if diff := cmp.Diff([]int64{24, 32, 0}, starts); diff != "" || ids != 13 {
		t.Errorf("%d repositories from the third page on, want 13; next pages (-want +got)\n%s", ids, diff)
	}
	for p, err := range f.client.RepoPages(t.Context(), ScopeVisible, 0) {
		if err != nil || p.Next != 8 || len(p.Repos) != 5 {
			t.Errorf("the first page is %+v, %v, want 5 and that 8 is next", p, err)
		}
		break
	}
}

func TestTokenExpiry(t *testing.T) {
	t.Parallel()
	secret := func(prefix, id string) magpie.Secret {
		return magpie.NewSecret(prefix + base64.StdEncoding.EncodeToString([]byte(id+":made-up-random-bytes")))
	}
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	token := func(id, expiry string) string {
		return fmt.Sprintf(`{"id":%q,"createdDate":1,"name":"t","permissions":["REPO_ADMIN"],"user":{"name":"magpie-bot"}%s}`, id, expiry)
	}
	expiring := fmt.Sprintf(`,"expiryDate":%d`, at.UnixMilli())
	list := func(all ...string) http.HandlerFunc {
		return reply(200, `{"isLastPage":true,"values":[`+strings.Join(all, ",")+`]}`)
	}
	refused := reply(401, exception("com.atlassian.bitbucket.AuthorisationException", "You are not permitted"))
	for _, tc := range []struct {
		name   string
		secret magpie.Secret
		one    http.HandlerFunc
		all    http.HandlerFunc
		want   time.Time
		known  bool
	}{
		{"by its id", secret("BBDC-", "12345"), reply(200, token("12345", expiring)), refused, at, true},
		{"by its id, old form", secret("", "12345"), reply(200, token("12345", expiring)), refused, at, true},
		{"never", secret("BBDC-", "12345"), reply(200, token("12345", "")), refused, time.Time{}, true},
		{"refused", secret("BBDC-", "12345"), refused, refused, time.Time{}, false},
		{"too old for it", secret("BBDC-", "12345"), reply(404, ""), reply(404, ""), time.Time{}, false},
		{"the only one", magpie.NewSecret(token("", "")), refused, list(token("1", expiring)), at, true},
		{"several alike", magpie.NewSecret("made-up"), refused, list(token("1", ""), token("2", "")), time.Time{}, true},
		{"several", magpie.NewSecret("made-up"), refused, list(token("1", ""), token("2", expiring)), time.Time{}, false},
		{"none", magpie.NewSecret("made-up"), refused, list(), time.Time{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := roundTripper(func(r *http.Request) (*http.Response, error) {
				h := reply(200, `{"version":"9.4.0"}`)
				switch path := r.URL.Path; {
				case path == "/rest/access-tokens/1.0/users/magpie-bot":
					h = tc.all
				case strings.HasPrefix(path, "/rest/access-tokens/1.0/users/magpie-bot/"):
					h = tc.one
				}
				return answerOf(h, r), nil
			})
			c := New(&http.Client{Transport: server}, "https://bitbucket.example", tc.secret, hastyPace())
			got, known, err := c.TokenExpiry(t.Context())
			if err != nil || known != tc.known || !got.Equal(tc.want) {
				t.Errorf("got %v, %v, %v, want %v, %v", got, known, err, tc.want, tc.known)
			}
		})
	}
}

func TestUserSlug(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"John.Doe@Example.com": "john.doe_example.com", "access-token-user/1/2": "access-token-user_1_2", "": ""} {
		if got := userSlug(name); got != want {
			t.Errorf("userSlug(%q) = %q, want %q", name, got, want)
		}
	}
}

// FuzzTolerant feeds anything to the types that take anything.
func FuzzTolerant(f *testing.F) {
	for _, s := range []string{`{"values":[{"id":"1","links":{"clone":[null]}}]}`, `{"errors":[{"message":1}]}`, `{"id":1e400}`, `{"isLastPage":"TRUE"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || !isObject(data) {
			return
		}
		for _, into := range []any{&wireRepo{}, &wireProject{}, &wireWebhook{}, &refusalBody{}, &wireToken{}, &wireEvent{}, &wireUser{}, &page{}} {
			if err := json.Unmarshal(data, into); err != nil {
				t.Errorf("%T does not take %q: %v", into, data, err)
			}
		}
	})
}
