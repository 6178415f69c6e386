package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/alert"
	"magpie/internal/incident"
	"magpie/internal/perimeter"
	"magpie/internal/queue"
	"magpie/internal/scan"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.json and docs/api.md")

// bundle is an API over a database of its own, with a user of each role.
type bundle struct {
	t       *testing.T
	db      *store.DB
	server  *server
	handler http.Handler
	access  *access.Service
	users   map[magpie.Role]magpie.User
	tokens  map[magpie.Role]magpie.Secret
	log     *bytes.Buffer
}

func newBundle(t *testing.T, db *store.DB) *bundle {
	t.Helper()
	ctx := context.Background()
	b := &bundle{t: t, db: db, users: map[magpie.Role]magpie.User{}, tokens: map[magpie.Role]magpie.Secret{}, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(b.log, nil))
	master, err := seal.ParseMaster(magpie.NewSecret(strings.Repeat("0f", 32)))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := master.NewDataKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := master.Open(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if b.access, err = access.New(access.Options{DB: db, PasswordCost: access.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}}); err != nil {
		t.Fatal(err)
	}
	incidents := incident.New(incident.Options{DB: db, Keys: keys, Alerts: alert.New(alert.Options{DB: db, Log: log}), Log: log})
	scans := scan.New(scan.Options{DB: db, Keys: keys, Incidents: incidents, Log: log})
	options := Options{
		DB: db, Access: b.access, Incidents: incidents, Scans: scans, PublicURL: "http://127.0.0.1:8080", Version: "1", Log: log,
		Perimeter: perimeter.New(perimeter.Options{DB: db, Keys: keys, HTTP: http.DefaultClient, Scans: scans, Log: log}),
	}
	mux := http.NewServeMux()
	if b.server, err = newServer(options, mux); err != nil {
		t.Fatal(err)
	}
	if b.handler, err = New(options); err != nil {
		t.Fatal(err)
	}
	b.addUsers(ctx)
	return b
}

func (b *bundle) addUsers(ctx context.Context) {
	password := magpie.NewSecret("a password for tests only")
	owner, err := b.access.CreateOwner(ctx, "owner@example.com", "Owner", password)
	if err != nil {
		b.t.Fatal(err)
	}
	b.users[magpie.RoleOwner] = owner
	for _, role := range []magpie.Role{magpie.RoleManager, magpie.RoleMember} {
		if b.users[role], err = b.access.CreateUser(ctx, owner, string(role)+"@example.com", string(role), role, password); err != nil {
			b.t.Fatal(err)
		}
	}
	for role, user := range b.users {
		if b.tokens[role], _, err = b.access.CreateToken(ctx, user, "test", time.Hour); err != nil {
			b.t.Fatal(err)
		}
	}
}

// call sends a request with the token of a role; the empty role sends none.
func (b *bundle) call(role magpie.Role, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+string(b.tokens[role].Reveal()))
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func each(t *testing.T, test func(*bundle)) {
	t.Helper()
	storetest.Each(t, nil, func(t *testing.T, db *store.DB, _ *queue.Engine) { test(newBundle(t, db)) })
}

var roles = []magpie.Role{magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember}

// want is who may use each operation, written down apart from the code.
var want = map[string][]magpie.Role{
	"get-me": roles, "list-users": roles, "list-audit": roles[:2],
	"list-integrations": roles, "connect-integration": roles[:2], "get-integration": roles, "update-integration": roles[:2],
	"replace-token": roles[:2], "sync-integration": roles[:2], "remove-integration": roles[:2],
	"get-tuning": roles, "check-connection": roles[:2], "check-integration": roles[:2], "compare-token": roles[:2], "update-project": roles[:2],
	"get-coverage": roles, "export-coverage": roles, "list-refs": roles, "list-sweeps": roles, "start-sweep": roles[:2],
	"list-projects": roles, "install-project": roles[:2], "list-repositories": roles, "get-repository": roles,
	"select-repositories": roles[:2], "deselect-repositories": roles[:2],
	"list-scans": roles, "start-scan": roles[:2], "get-scan": roles, "cancel-scan": roles[:2], "repeat-scan": roles[:2],
	"list-incidents": roles, "get-incident": roles, "list-occurrences": roles, "list-events": roles, "assign-incident": roles,
	"resolve-incident": roles, "ignore-incident": roles, "reopen-incident": roles, "set-severity": roles,
}

// TestEveryOperationAndRole calls each operation as each role, as nobody, and with a token that is none.
func TestEveryOperationAndRole(t *testing.T) {
	each(t, func(b *bundle) {
		if len(b.server.ops) != len(want) {
			b.t.Errorf("%d operations, the test knows %d", len(b.server.ops), len(want))
		}
		for _, op := range b.server.ops {
			path := strings.ReplaceAll(op.path, "{id}", "0198c0de-0000-7000-8000-000000000000")
			for _, role := range append([]magpie.Role{""}, roles...) {
				got := b.call(role, op.method, path, "").Code
				switch {
				case role == "" && got != http.StatusUnauthorized:
					b.t.Errorf("%s as nobody: status %d, want 401", op.id, got)
				case role != "" && slices.Contains(want[op.id], role) && (got == http.StatusUnauthorized || got == http.StatusForbidden || got >= 500):
					b.t.Errorf("%s as %s: status %d, want it allowed", op.id, role, got)
				case role != "" && !slices.Contains(want[op.id], role) && got != http.StatusForbidden:
					b.t.Errorf("%s as %s: status %d, want 403", op.id, role, got)
				}
			}
		}
	})
}

func TestOperationWithoutPermissionDoesNotServe(t *testing.T) {
	each(t, func(b *bundle) {
		add(b.server, operation{id: "open-to-all", method: "GET", path: "/x"},
			func(context.Context, magpie.User, *struct{}) (nothing, error) { return nothing{}, nil })
		if len(b.server.errs) != 1 || !strings.Contains(b.server.errs[0].Error(), "open-to-all") {
			b.t.Errorf("errors = %v, want one about open-to-all", b.server.errs)
		}
	})
}

func TestOnlyBearerTokensCount(t *testing.T) {
	each(t, func(b *bundle) {
		session, _, err := b.access.Login(context.Background(), "owner@example.com", magpie.NewSecret("a password for tests only"), "192.0.2.1")
		if err != nil {
			b.t.Fatal(err)
		}
		for name, set := range map[string]func(*http.Request){
			"session cookie":    func(r *http.Request) { r.Header.Set("Cookie", "magpie_session="+string(session.Reveal())) },
			"session as bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+string(session.Reveal())) },
			"basic":             func(r *http.Request) { r.SetBasicAuth("owner@example.com", "a password for tests only") },
			"empty":             func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
			"made up":           func(r *http.Request) { r.Header.Set("Authorization", "Bearer nope") },
		} {
			r := httptest.NewRequest("GET", "/api/v1/me", nil)
			set(r)
			w := httptest.NewRecorder()
			b.handler.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
				b.t.Errorf("%s: status %d with WWW-Authenticate %q, want 401 with one", name, w.Code, w.Header().Get("WWW-Authenticate"))
			}
		}
	})
}

type problemDoc struct {
	Title, Detail, Instance string
	Status                  int
	Errors                  []struct{ Location, Message, Value string }
}

func TestProblems(t *testing.T) {
	each(t, func(b *bundle) {
		for _, tc := range []struct {
			name, method, path, body string
			status                   int
		}{
			{"unknown operation", "GET", "/nope", "", 404},
			{"wrong method", "DELETE", "/me", "", 404},
			{"unknown thing", "GET", "/incidents/0198c0de-0000-7000-8000-000000000000", "", 404},
			{"value out of bounds", "GET", "/incidents?limit=101", "", 422},
			{"unknown parameter", "GET", "/incidents?colour=red", "", 422},
			{"unknown status", "GET", "/incidents?status=lost", "", 422},
			{"bad cursor", "GET", "/incidents?cursor=x", "", 422},
			{"unknown field", "POST", "/repositories/select", `{"ids":["a"],"all":true}`, 422},
			{"no JSON", "POST", "/repositories/select", `{`, 400},
			{"instance URL without TLS", "POST", "/integrations", `{"mode":"instance","url":"http://bitbucket.example.com","token":"t"}`, 422},
			{"too large", "POST", "/repositories/select", `{"ids":["` + strings.Repeat("a", maxBodyBytes) + `"]}`, 413},
		} {
			w := b.call(magpie.RoleOwner, tc.method, tc.path, tc.body)
			var doc problemDoc
			err := json.Unmarshal(w.Body.Bytes(), &doc)
			if tc.name == "instance URL without TLS" && !strings.Contains(doc.Detail, "https") {
				b.t.Errorf("%s: %s; want it to speak of https", tc.name, doc.Detail)
			}
			if err != nil || w.Code != tc.status || doc.Status != tc.status || doc.Title == "" || w.Header().Get("Content-Type") != "application/problem+json" {
				b.t.Errorf("%s: status %d, %s, %s; want %d and a problem document", tc.name, w.Code, w.Header().Get("Content-Type"), w.Body, tc.status)
			}
		}
	})
}

// TestComplaintsDoNotRepeatTokens sends a token where it is refused for its form.
func TestComplaintsDoNotRepeatTokens(t *testing.T) {
	each(t, func(b *bundle) {
		const token = "hunter2-hunter2"
		for _, body := range []string{
			`{"mode":"instance","url":"http://x.example.com","token":"` + token + `"}`,
			`{"mode":"nope","url":"https://x.example.com","token":"` + token + `"}`,
			`{"mode":"instance","url":"https://x.example.com","token":["` + token + `"]}`,
			`{"mode":"instance","url":"https://x.example.com","tokn":"` + token + `"}`,
			`["` + token + `"]`,
		} {
			w := b.call(magpie.RoleOwner, "POST", "/integrations", body)
			if w.Code < 400 || strings.Contains(w.Body.String(), token) {
				b.t.Errorf("answer to a refused connection: status %d, %s", w.Code, w.Body)
			}
		}
		if strings.Contains(b.log.String(), token) {
			b.t.Error("the log holds a token")
		}
	})
}

func TestEveryKindHasAStatus(t *testing.T) {
	for _, kind := range []magpie.Kind{
		magpie.KindInternal, magpie.KindInvalid, magpie.KindUnauthorized, magpie.KindForbidden, magpie.KindNotFound, magpie.KindConflict,
		magpie.KindTooLarge, magpie.KindRateLimited, magpie.KindUnavailable, magpie.KindTokenInvalid, magpie.KindNoLicence,
	} {
		if statuses[kind] < 400 {
			t.Errorf("kind %q has the status %d", kind, statuses[kind])
		}
	}
	var log bytes.Buffer
	s := &server{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	m := s.problem(context.Background(), io.ErrUnexpectedEOF)
	id, _ := strings.CutPrefix(m.Instance, "urn:uuid:")
	if m.Status != 500 || strings.Contains(m.Detail, "EOF") || id == "" || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "EOF") {
		t.Errorf("problem of an internal error = %+v with log %q; want the cause in the log only, under the same id", m, &log)
	}
}

// TestPaging walks a list page by page.
func TestPaging(t *testing.T) {
	each(t, func(b *bundle) {
		err := b.db.Write(context.Background(), func(tx *store.Tx) error {
			for range 7 {
				if err := tx.Audit(context.Background(), magpie.User{}, "test", "x", ""); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
		var all []string
		for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
			var p page[auditView]
			w := b.call(magpie.RoleOwner, "GET", "/audit?limit=3&cursor="+cursor, "")
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 || len(p.Items) > 3 || pages > 10 {
				b.t.Fatalf("page %d: status %d, %s", pages, w.Code, w.Body)
			}
			for _, e := range p.Items {
				all = append(all, string(e.ID))
			}
			cursor = p.Next
		}
		if len(all) < 7 || !slices.IsSortedFunc(all, func(x, y string) int { return strings.Compare(y, x) }) || len(slices.Compact(all)) != len(all) {
			b.t.Errorf("paging gives %d entries, want all of them once, newest first", len(all))
		}
	})
}

const documentFile = "../../../docs/openapi.json"

// TestDocument keeps docs/openapi.json equal to what is served.
func TestDocument(t *testing.T) {
	db, _ := storetest.Open(t, storetest.SQLite(t), nil)
	b := newBundle(t, db)
	w := b.call("", "GET", "/openapi.json", "")
	if w.Code != 200 {
		t.Fatalf("openapi.json: status %d", w.Code)
	}
	var served bytes.Buffer
	if err := json.Indent(&served, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	served.WriteByte('\n')
	compareFile(t, documentFile, served.Bytes())
}

func compareFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run go test ./internal/web/api -update", path)
	}
}
