package bitbucket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"magpie"
)

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	secret := magpie.NewSecret("0123456789" + "abcdef")
	body := []byte(`{"test":true}`)
	const digits = "c9ce6382e412b5771625669b9ed27f716f0c29b2bbfdec3b400ebf4e0ca0980a"
	for _, tc := range []struct {
		name, header string
		secret       magpie.Secret
		body         []byte
		want         bool
	}{
		{"right", "sha256=" + digits, secret, body, true},
		{"none", "", secret, body, false},
		{"no algorithm", digits, secret, body, false},
		{"other algorithm", "sha1=" + digits[:40], secret, body, false},
		{"algorithm in upper case", "SHA256=" + digits, secret, body, false},
		{"digits in upper case", "sha256=" + strings.ToUpper(digits), secret, body, false},
		{"too short", "sha256=" + digits[:62], secret, body, false},
		{"too long", "sha256=" + digits + "00", secret, body, false},
		{"empty digits", "sha256=", secret, body, false},
		{"space behind", "sha256=" + digits + " ", secret, body, false},
		{"space inside", "sha256= " + digits[1:], secret, body, false},
		{"no digits", "sha256=" + strings.Repeat("z", 64), secret, body, false},
		{"one bit off", "sha256=" + digits[:63] + "b", secret, body, false},
		{"other body", "sha256=" + digits, secret, []byte(`{"test":true} `), false},
		{"other secret", "sha256=" + digits, magpie.NewSecret("0123456789" + "abcdeF"), body, false},
		{"no secret", "sha256=" + digits, magpie.Secret{}, body, false},
		{"no secret, signed with it", sign(magpie.Secret{}, body), magpie.Secret{}, body, false},
	} {
		if got := VerifySignature(tc.secret, tc.header, tc.body); got != tc.want {
			t.Errorf("%s: VerifySignature = %v, want %v", tc.name, got, tc.want)
		}
	}
}

func sign(secret magpie.Secret, body []byte) string {
	mac := hmac.New(sha256.New, secret.Reveal())
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

var (
	hashA = strings.Repeat("a1", 20)
	hashB = strings.Repeat("b2", 20)
	zero  = strings.Repeat("0", 40)
)

func TestParseEventDialects(t *testing.T) {
	t.Parallel()
	change := fmt.Sprintf(`{"ref":{"id":"refs/heads/main","displayId":"main","type":"BRANCH"},"refId":"refs/heads/main","fromHash":%q,"toHash":%q,"type":"UPDATE"}`, hashA, hashB)
	want := magpie.Push{
		RemoteRepoID: 84, RequestID: "req-1", EventKey: EventRefsChanged, Actor: "admin",
		Changes: []magpie.RefChange{{Ref: "refs/heads/main", From: magpie.Hash(hashA), To: magpie.Hash(hashB), Type: magpie.ChangeUpdate}},
	}
	for name, body := range map[string]string{
		"7.6, no links": `{"eventKey":"repo:refs_changed","date":"2017-09-19T09:58:11+1000","actor":{"name":"admin","id":1},
			"repository":{"slug":"r","id":84,"project":{"key":"P","id":84,"type":"NORMAL"}},"changes":[` + change + `]}`,
		"9.4, commits with numbers": `{"eventKey":"repo:refs_changed","date":"2025-01-19T09:58:11+0000","actor":{"name":"admin","links":{"self":[null]}},
			"repository":{"id":84,"archived":false,"links":{}},"changes":[` + change + `],
			"commits":[{"id":"x","authorTimestamp":1505781491000}],"toCommit":{"id":"x","committerTimestamp":1505781491000}}`,
		"10.x, ISO times, other order": `{"changes":[` + change + `],"toCommit":{"authorTimestamp":"2018-09-21T14:09:51.000Z"},
			"repository":{"id":84},"actor":{"name":"admin"},"eventKey":"repo:refs_changed"}`,
		"no refId": `{"eventKey":"repo:refs_changed","actor":{"name":"admin"},"repository":{"id":84},
			"changes":[` + strings.Replace(change, `"refId":"refs/heads/main",`, "", 1) + `]}`,
	} {
		got, err := ParseEvent(EventRefsChanged, "req-1", []byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(magpie.Push{}, "SentAt")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestParseEventAddDeleteTag(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("c3", 32)
	body := fmt.Sprintf(`{"eventKey":"repo:refs_changed","repository":{"id":1},"changes":[
		{"refId":"refs/heads/new","fromHash":%q,"toHash":%q,"type":"ADD"},
		{"refId":"refs/heads/old","fromHash":%q,"toHash":%q,"type":"DELETE"},
		{"refId":"refs/tags/v1.0","fromHash":%q,"toHash":%q,"type":"ADD"}]}`, zero, hashA, hashA, zero, zero, long)
	got, err := ParseEvent(EventRefsChanged, "", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]magpie.Hash{magpie.Hash(hashA), magpie.Hash(long)}, got.Hashes()); diff != "" {
		t.Errorf("hashes (-want +got)\n%s", diff)
	}
}

func TestParseEventEmptyChanges(t *testing.T) {
	t.Parallel()
	for _, changes := range []string{`,"changes":[]`, `,"changes":null`, ``} {
		got, err := ParseEvent(EventRefsChanged, "", []byte(`{"eventKey":"repo:refs_changed","repository":{"id":7}`+changes+`}`))
		if err != nil || got.RemoteRepoID != 7 || len(got.Changes) != 0 {
			t.Errorf("with %q: got %+v, %v, want repository 7 without changes", changes, got, err)
		}
	}
}

func TestParseEventModified(t *testing.T) {
	t.Parallel()
	got, err := ParseEvent(EventModified, "r", []byte(`{"eventKey":"repo:modified","actor":{"name":"admin"},"old":{"id":12,"slug":"a"},"new":{"id":12,"slug":"b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := magpie.Push{RemoteRepoID: 12, RequestID: "r", EventKey: EventModified, Actor: "admin"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseEventIgnores(t *testing.T) {
	t.Parallel()
	for _, key := range []string{EventPing, "repo:forked", "pr:opened", "", "nonsense"} {
		if _, err := ParseEvent(key, "", []byte(`{"eventKey":"repo:refs_changed","repository":{"id":7}}`)); !errors.Is(err, ErrIgnored) {
			t.Errorf("ParseEvent(%q) = %v, want ErrIgnored", key, err)
		}
	}
}

func TestParseEventRefuses(t *testing.T) {
	t.Parallel()
	event := func(changes string) string {
		return `{"eventKey":"repo:refs_changed","repository":{"id":7},"changes":[` + changes + `]}`
	}
	change := func(ref, from, to, kind string) string {
		return event(fmt.Sprintf(`{"refId":%q,"fromHash":%q,"toHash":%q,"type":%q}`, ref, from, to, kind))
	}
	for name, body := range map[string]string{
		"empty":                   ``,
		"not JSON":                `<html>`,
		"a list":                  `[]`,
		"null":                    `null`,
		"no repository":           `{"eventKey":"repo:refs_changed"}`,
		"repository without id":   `{"eventKey":"repo:refs_changed","repository":{}}`,
		"negative id":             `{"eventKey":"repo:refs_changed","repository":{"id":-1}}`,
		"id 1e999":                `{"eventKey":"repo:refs_changed","repository":{"id":1e999}}`,
		"another event's body":    `{"eventKey":"repo:modified","repository":{"id":7},"new":{"id":7}}`,
		"no event in the body":    `{"repository":{"id":7}}`,
		"trailing data":           event("") + "{}",
		"deep":                    strings.Repeat("[", 100_000),
		"deep and closed":         `{"x":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`,
		"hash too short":          change("refs/heads/x", hashA[:39], hashB, "UPDATE"),
		"hash in upper case":      change("refs/heads/x", strings.ToUpper(hashA), hashB, "UPDATE"),
		"hash with option":        change("refs/heads/x", hashA, "--upload-pack=x"+hashB[:25], "UPDATE"),
		"short ref":               change("main", hashA, hashB, "UPDATE"),
		"empty ref":               change("", hashA, hashB, "UPDATE"),
		"ref with line break":     change("refs/heads/x\ny", hashA, hashB, "UPDATE"),
		"ref with NUL":            change("refs/heads/x\x00", hashA, hashB, "UPDATE"),
		"ref with space":          change("refs/heads/x y", hashA, hashB, "UPDATE"),
		"ref with dots":           change("refs/heads/../../x", hashA, hashB, "UPDATE"),
		"ref of excessive length": change("refs/heads/"+strings.Repeat("x", maxRefName), hashA, hashB, "UPDATE"),
	} {
		if _, err := ParseEvent(EventRefsChanged, "", []byte(body)); magpie.KindOf(err) != magpie.KindInvalid {
			t.Errorf("%s: got %v, want KindInvalid", name, err)
		}
	}
	if _, err := ParseEvent(EventRefsChanged, "", make([]byte, MaxEventBytes+1)); magpie.KindOf(err) != magpie.KindTooLarge {
		t.Errorf("too large: got %v, want KindTooLarge", err)
	}
}

// A push with very many refs is still a hint to look; the tail of its changes is not needed for that.
func TestParseEventCutsManyChanges(t *testing.T) {
	t.Parallel()
	one := fmt.Sprintf(`{"refId":"refs/tags/t","fromHash":%q,"toHash":%q,"type":"ADD"}`, zero, hashA)
	body := `{"eventKey":"repo:refs_changed","repository":{"id":7},"changes":[` + strings.Repeat(one+",", maxChanges+500) + one + `]}`
	got, err := ParseEvent(EventRefsChanged, "", []byte(body))
	if err != nil || len(got.Changes) != maxChanges {
		t.Errorf("got %d changes, %v, want %d", len(got.Changes), err, maxChanges)
	}
}

// Brackets in strings are no nesting.
func TestParseEventBracketsInStrings(t *testing.T) {
	t.Parallel()
	body := `{"eventKey":"repo:refs_changed","repository":{"id":7},"x":"` + strings.Repeat(`[{\"`, 100) + `"}`
	if _, err := ParseEvent(EventRefsChanged, "", []byte(body)); err != nil {
		t.Error(err)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add(EventRefsChanged, []byte(fmt.Sprintf(`{"eventKey":"repo:refs_changed","repository":{"id":1},"changes":[{"refId":"refs/heads/new","fromHash":%q,"toHash":%q,"type":"ADD"}]}`, zero, hashA)))
	f.Add(EventModified, []byte(`{"eventKey":"repo:modified","old":{"id":1},"new":{"id":1}}`))
	f.Add(EventRefsChanged, []byte(`{"a":"\"[`))
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		push, err := ParseEvent(key, "id", body)
		if err != nil {
			if push.RemoteRepoID != 0 {
				t.Errorf("an error together with a push: %+v", push)
			}
			return
		}
		if push.RemoteRepoID <= 0 || len(push.Changes) > maxChanges {
			t.Errorf("accepted %+v", push)
		}
		for _, c := range push.Changes {
			if !strings.HasPrefix(c.Ref, "refs/") || strings.ContainsAny(c.Ref, "\x00\n ") {
				t.Errorf("accepted the ref %q", c.Ref)
			}
		}
		for _, h := range push.Hashes() {
			if _, err := hex.DecodeString(string(h)); err != nil || len(h) < 40 {
				t.Errorf("accepted the hash %q", h)
			}
		}
	})
}
