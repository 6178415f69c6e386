package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsWork(t *testing.T) {
	t.Parallel()
	got, err := Load("", []string{"PATH=/bin", "MAGPIE_DATA_DIR=/srv/magpie"})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: "127.0.0.1:8080", PublicURL: "http://127.0.0.1:8080", DataDir: "/srv/magpie",
		Database: "sqlite:/srv/magpie/magpie.db", MasterKeyFile: "/srv/magpie/master.key", TempDir: "/srv/magpie/tmp", TempReserve: 1024,
		Mail: Mail{TLS: "starttls"}, Notify: Notify{Kind: "webhook"}, IgnoreComments: true, SyncEvery: 15 * time.Minute, SweepEvery: time.Hour, TokenGrace: 10 * time.Minute, LogLevel: "info", LogFormat: "text",
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b magpie.Secret) bool { return string(a.Reveal()) == string(b.Reveal()) })); diff != "" {
		t.Errorf("Load with an empty environment (-want +got):\n%s", diff)
	}
}

func TestEnvironmentWinsOverFile(t *testing.T) {
	t.Parallel()
	password := write(t, "password", "from a file\n")
	file := write(t, "magpie.toml", `
listen = "0.0.0.0:9000"
data_dir = "/srv/one"
sync_every = "5m"
scan_workers = 3
outgoing_allow = ["private", "127.0.0.1"]
outgoing_proxy = true
[mail]
host = "smtp.example.com"
port = 25
from = "magpie@example.com"
username = "magpie"
password_file = "`+password+`"
`)
	got, err := Load("", []string{"MAGPIE_CONFIG=" + file, "MAGPIE_DATA_DIR=/srv/two", "MAGPIE_MAIL_PORT=2525", "MAGPIE_SYNC_EVERY="})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"listen from the file", got.Listen, "0.0.0.0:9000"},
		{"public URL follows listen", got.PublicURL, "http://localhost:9000"},
		{"data dir from the environment", got.DataDir, "/srv/two"},
		{"database follows the data dir", got.Database, "sqlite:/srv/two/magpie.db"},
		{"port from the environment", got.Mail.Port, 2525},
		{"an empty variable counts as none", got.SyncEvery, 5 * time.Minute},
		{"number", got.ScanWorkers, 3},
		{"list", strings.Join(got.OutgoingAllow, " "), "private 127.0.0.1"},
		{"bool", got.OutgoingProxy, true},
		{"secret from its file, without the line end", string(got.Mail.Password.Reveal()), "from a file"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

func TestSecretFileVariable(t *testing.T) {
	t.Parallel()
	file := write(t, "dsn", "postgres://magpie@db.example.com/magpie\n")
	got, err := Load("", []string{"MAGPIE_DATABASE_FILE=" + file})
	if err != nil {
		t.Fatal(err)
	}
	if want := "postgres://magpie@db.example.com/magpie"; got.Database != want {
		t.Errorf("Database = %q, want %q", got.Database, want)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	const hidden = "mysql://root:hunter2@db.example.com/x"
	file := write(t, "magpie.toml", "listne = \"x\"\nscan_workers = \"many\"\nlog_format = true\n[mail]\nhost = \"smtp.example.com\"\nfrmo = \"x\"\n")
	_, err := Load(file, []string{
		"MAGPIE_LISTEN=8080", "MAGPIE_PUBLIC_URL=magpie.example.com/app", "MAGPIE_DATABASE=" + hidden, "MAGPIE_CA_FILE=/nonexistent.pem",
		"MAGPIE_OUTGOING_ALLOW=private,everything", "MAGPIE_MAIL_TLS=maybe", "MAGPIE_MAIL_USERNAME=magpie", "MAGPIE_SYNC_EVERY=15",
		"MAGPIE_SWEEP_EVERY=1s", "MAGPIE_TEMP_RESERVE=-1", "MAGPIE_TOKEN_GRACE=-1m", "MAGPIE_LOG_LEVEL=loud", "MAGPIE_MAIL_PASSWORD_FILE=/nonexistent", "MAGPIE_METRICS_LISTEN=:99999",
		"MAGPIE_VERIFY_HOSTS=gitlab.com=https://gitlab.example.com/",
	})
	problems, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("Load = %v, want Problems", err)
	}
	got := map[string]bool{}
	for _, p := range problems {
		got[p.Field] = true
		if p.Kind != magpie.KindInvalid || p.Message == "" {
			t.Errorf("problem %+v, want kind invalid and a message", p)
		}
	}
	for _, want := range []string{
		"listne", "mail.frmo", "scan_workers", "log_format", "MAGPIE_LISTEN", "MAGPIE_PUBLIC_URL", "MAGPIE_DATABASE", "MAGPIE_CA_FILE",
		"MAGPIE_OUTGOING_ALLOW", "MAGPIE_MAIL_TLS", "MAGPIE_MAIL_USERNAME", "MAGPIE_MAIL_FROM", "MAGPIE_SYNC_EVERY", "MAGPIE_SWEEP_EVERY",
		"MAGPIE_LOG_LEVEL", "MAGPIE_TEMP_RESERVE", "MAGPIE_TOKEN_GRACE", "MAGPIE_MAIL_PASSWORD_FILE", "MAGPIE_METRICS_LISTEN", "MAGPIE_VERIFY_HOSTS",
	} {
		if !got[want] {
			t.Errorf("no problem reported for %s", want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the error repeats the password of the database address")
	}
	if magpie.KindOf(err) != magpie.KindInvalid {
		t.Errorf("KindOf = %q, want invalid", magpie.KindOf(err))
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef"
	for _, tc := range []struct {
		env   []string
		field string // of the problem; empty if there is none
	}{
		{[]string{"MAGPIE_NOTIFY_URL=https://example.com/in", "MAGPIE_NOTIFY_SECRET=" + key}, ""},
		{[]string{"MAGPIE_NOTIFY_URL=http://127.0.0.1:9000/", "MAGPIE_NOTIFY_SECRET=" + key}, ""},
		{[]string{"MAGPIE_NOTIFY_URL=https://example.com/in", "MAGPIE_NOTIFY_KIND=slack"}, ""},
		{[]string{"MAGPIE_NOTIFY_KIND=slack"}, ""},
		{[]string{"MAGPIE_NOTIFY_URL=https://example.com/hidden"}, "MAGPIE_NOTIFY_SECRET"},
		{[]string{"MAGPIE_NOTIFY_URL=https://example.com/hidden", "MAGPIE_NOTIFY_KIND=pager"}, "MAGPIE_NOTIFY_KIND"},
		{[]string{"MAGPIE_NOTIFY_URL=http://example.com/hidden", "MAGPIE_NOTIFY_SECRET=" + key}, "MAGPIE_NOTIFY_URL"},
		{[]string{"MAGPIE_NOTIFY_URL=example.com/hidden", "MAGPIE_NOTIFY_SECRET=" + key}, "MAGPIE_NOTIFY_URL"},
		{[]string{"MAGPIE_NOTIFY_URL=https://me@example.com/hidden", "MAGPIE_NOTIFY_SECRET=" + key}, "MAGPIE_NOTIFY_URL"},
	} {
		_, err := Load("", tc.env)
		problems, _ := errors.AsType[Problems](err)
		if (err == nil) != (tc.field == "") || len(problems) > 1 || len(problems) == 1 && problems[0].Field != tc.field {
			t.Errorf("Load(%q) = %v, want one problem with %q", tc.env, err, tc.field)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error %q repeats the address", err)
		}
	}
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"missing":       "/nonexistent/magpie.toml",
		"not TOML":      write(t, "a.toml", "password = hunter2"),
		"both variants": write(t, "b.toml", "[mail]\npassword=\"hunter2\"\npassword_file=\"/x\"\n"),
		"wrong kind":    write(t, "c.toml", "[mail]\npassword=7\n"),
		"table":         write(t, "d.toml", "[listen]\nport=7\n"),
	} {
		_, err := Load(path, nil)
		if magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("%s: Load = %v, want an error of kind invalid", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error %q repeats a secret", name, err)
		}
	}
}

func TestUnknownEnvironment(t *testing.T) {
	t.Parallel()
	got := UnknownEnvironment([]string{
		"MAGPIE_LISTEN=x", "MAGPIE_LISTNE=x", "HOME=/", "MAGPIE_MAIL_PASSWORD_FILE=/x", "MAGPIE_TEST_POSTGRES=x", "MAGPIE_CONFIG=x",
		"MAGPIE_PORT=tcp://10.0.0.1:80",
	})
	if diff := cmp.Diff([]string{"MAGPIE_LISTNE", "MAGPIE_PORT"}, got); diff != "" {
		t.Errorf("UnknownEnvironment (-want +got):\n%s", diff)
	}
}

// TestNamesAreUnique guards against two settings, or a setting and another's _FILE form, with one name.
func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{FileEnv: true}
	for _, s := range settingsOf(&Config{}) {
		names := []string{s.env()}
		if s.secret {
			names = append(names, s.env()+"_FILE")
		}
		for _, name := range names {
			if seen[name] {
				t.Errorf("%s is the name of two things", name)
			}
			seen[name] = true
		}
		if s.value.Type() == reflect.TypeFor[magpie.Secret]() && !s.secret {
			t.Errorf("%s holds a secret and has no secret tag", s.key)
		}
	}
}
