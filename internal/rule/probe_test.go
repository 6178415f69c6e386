package rule

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const ruleWithProbe = `
vendor: Example
rules:
  - id: example-token
    title: Example access token
    category: cloud
    severity: high
    confidence: high
    description: What it is.
    remediation: Revoke it.
    literals: [exm_]
    pattern: \b(?P<secret>exm_[0-9a-f]{32})\b
    verify:
`

const goodProbe = `
      prefixes: [exm_]
      method: POST
      url: https://api.example.com/v1/me?limit=1
      headers: {Authorization: 'Bearer {{secret}}', Content-Type: application/json}
      body: '{"token": "{{secret}}"}'
      valid: [{status: 200, field: ok, equals: ['true']}, {status: 204, header: X-User}]
      invalid: [{status: 401}, {status: 200, field: error, equals: [revoked, unknown]}, {status: 403, contains: revoked}]
`

func TestProbe(t *testing.T) {
	t.Parallel()
	rules, err := Parse("x.yaml", []byte(ruleWithProbe+goodProbe))
	if err != nil {
		t.Fatal(err)
	}
	want := &Probe{
		Prefixes: []string{"exm_"}, Method: "POST", URL: "https://api.example.com/v1/me?limit=1",
		Headers: map[string]string{"Authorization": "Bearer {{secret}}", "Content-Type": "application/json"},
		Body:    `{"token": "{{secret}}"}`,
		Valid:   []Answer{{Status: 200, Field: "ok", Equals: []string{"true"}}, {Status: 204, Header: "X-User"}},
		Invalid: []Answer{{Status: 401}, {Status: 200, Field: "error", Equals: []string{"revoked", "unknown"}}, {Status: 403, Contains: "revoked"}},
	}
	if diff := cmp.Diff(want, rules[0].Probe); diff != "" {
		t.Errorf("probe (-want +got):\n%s", diff)
	}
	if got, want := want.Host(), "api.example.com"; got != want {
		t.Errorf("Host() = %q, want %q", got, want)
	}
	if !want.Covers([]byte("exm_1")) || want.Covers([]byte("axm_1")) {
		t.Error("Covers does not follow the prefixes")
	}
}

func TestProbeProblems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ old, new, want string }{
		{"method: POST", "method: DELETE", `verify.method "DELETE"`},
		{"method: POST", "method: GET", "verify.body goes with POST"},
		{"method: POST", "method: HEAD", "an answer to HEAD has no body"},
		{"https://api", "http://api", "is not an https address"},
		{"https://api.example.com", "https://", "is not an https address"},
		{"https://api", "https://user@api", "no user name"},
		{"?limit=1", "?key={{secret}}", "must be complete as it stands"},
		{"api.example.com", "{{secret}}.example.com", "must be complete as it stands"},
		{"{{secret}}", "secret", "sends no secret"},
		{"Bearer {{secret}}", "Bearer {{token}}", "a mark other than"},
		{"Authorization:", "authorization:", `write "authorization" as "Authorization"`},
		{"Authorization:", "Cookie:", "Cookie is not the rule's to set"},
		{"application/json", "text/plain", "verify.body needs the header Content-Type"},
		{"      method:", "      basic: '{{secret}}'\n      method:", "verify.basic is user:password"},
		{"      method:", "      basic: '{{secret}}:'\n      method:", "both basic and an Authorization header"},
		{"prefixes: [exm_]", "prefixes: ['']", "an empty text"},
		{"valid: [{status: 200, field: ok, equals: ['true']}, {status: 204, header: X-User}]", "valid: []", "verify.valid is missing"},
		{"field: ok, equals: ['true']", "", "the status alone says too little"},
		{"field: ok, equals: ['true']", "equals: ['true']", "equals goes with field"},
		{"{status: 200, field: ok", "{status: 401, field: ok", "status 401 does not say that a secret was accepted"},
		{"{status: 401}", "{status: 403}", "status 403 alone says too little"},
		{"{status: 401}", "{status: 429}", "status 429 does not say that a secret was refused"},
		{"{status: 401}", "{status: 503, contains: x}", "status 503 does not say that a secret was refused"},
		{"{status: 401}", "{status: 302, contains: x}", "status 302 does not say that a secret was refused"},
		{"{status: 401}", "{status: 0, contains: x}", "status 0 is not one of an answer"},
		{"method: POST", "method: POST\n      verb: x", "unknown field verify.verb"},
		{"{status: 401}", "{status: 401, text: x}", "unknown field verify.invalid.text"},
	} {
		_, err := Parse("x.yaml", []byte(ruleWithProbe+strings.ReplaceAll(goodProbe, tc.old, tc.new)))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "example-token") {
			t.Errorf("%s instead of %s: Parse = %v, want a problem with %q", tc.new, tc.old, err, tc.want)
		}
		if many, ok := errors.AsType[interface {
			error
			Unwrap() []error
		}](err); ok && len(many.Unwrap()) == 0 {
			t.Errorf("%s: no single problems in %v", tc.new, err)
		}
	}
}
