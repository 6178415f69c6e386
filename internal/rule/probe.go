package rule

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SecretMark stands in a probe's headers and body where the secret goes.
const SecretMark = "{{secret}}"

// Probe says how to ask a vendor whether a secret of a rule is alive: one request that only reads, and which answers mean
// what. Every answer that is in neither list means neither. Package verify makes the request.
type Probe struct {
	Prefixes []string          `yaml:"prefixes"` // only secrets that begin with one of these are asked about; none means all
	Method   string            `yaml:"method"`   // GET, HEAD or POST
	URL      string            `yaml:"url"`      // https, complete as it stands
	Headers  map[string]string `yaml:"headers"`  // values may hold SecretMark
	Basic    string            `yaml:"basic"`    // user:password for basic authentication, with SecretMark in it
	Body     string            `yaml:"body"`     // of a POST, JSON or a form; may hold SecretMark
	Valid    []Answer          `yaml:"valid"`    // any of these says that the secret is alive
	Invalid  []Answer          `yaml:"invalid"`  // any of these says that it is not; none if a refusal does not say so
}

// Answer is a condition on a response. All of its parts must hold.
type Answer struct {
	Status   int      `yaml:"status"`
	Field    string   `yaml:"field"`    // dotted path of a field of the JSON body, which must be there and not null
	Equals   []string `yaml:"equals"`   // texts of which the field, as text, must be one
	Contains string   `yaml:"contains"` // text that the body must contain
	Header   string   `yaml:"header"`   // name of a response header that must be there
}

// Covers reports whether the probe can tell anything about a secret.
func (p *Probe) Covers(secret []byte) bool {
	return len(p.Prefixes) == 0 || slices.ContainsFunc(p.Prefixes, func(prefix string) bool { return bytes.HasPrefix(secret, []byte(prefix)) })
}

// bare reports whether the status alone decides.
func (a Answer) bare() bool { return a.Field == "" && a.Contains == "" && a.Header == "" }

// Host returns the host that the probe asks.
func (p *Probe) Host() string {
	u, err := url.Parse(p.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// probe checks how a rule asks its vendor.
func (c *compiler) probe(p *Probe) {
	if p == nil {
		return
	}
	if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, p.Method) {
		c.fail("verify.method %q is not one of GET, HEAD, POST", p.Method)
	}
	if p.Body != "" && p.Method != http.MethodPost {
		c.fail("verify.body goes with POST only")
	}
	if slices.Contains(p.Prefixes, "") {
		c.fail("verify.prefixes holds an empty text, with which every secret begins")
	}
	c.probeURL(p)
	c.probeSecret(p)
	if len(p.Valid) == 0 {
		c.fail("verify.valid is missing: an answer that says the secret is alive")
	}
	for _, a := range p.Valid {
		c.answer("valid", a, p.Method)
		// Whoever stands between us and the vendor can answer 200 with a page of their own.
		if a.Status < 200 || a.Status > 299 {
			c.fail("verify.valid: status %d does not say that a secret was accepted", a.Status)
		}
		if a.bare() {
			c.fail("verify.valid: the status alone says too little; name a field, text or header that the answer must have")
		}
	}
	for _, a := range p.Invalid {
		c.answer("invalid", a, p.Method)
		switch {
		case a.Status >= 300 && a.Status < 400, a.Status == http.StatusTooManyRequests, a.Status >= 500:
			c.fail("verify.invalid: status %d does not say that a secret was refused", a.Status)
		case a.Status != http.StatusUnauthorized && a.bare():
			c.fail("verify.invalid: status %d alone says too little; name a field, text or header that the answer must have", a.Status)
		}
	}
}

func (c *compiler) probeURL(p *Probe) {
	u, err := url.Parse(p.URL)
	switch {
	case strings.Contains(p.URL, "{{"):
		c.fail("verify.url must be complete as it stands: what is in an address ends up in logs")
	case err != nil || u.Scheme != "https" || u.Host == "":
		c.fail("verify.url %q is not an https address", p.URL)
	case u.User != nil || u.Fragment != "":
		c.fail("verify.url must hold no user name and no fragment")
	}
}

// probeSecret checks that the secret goes into the request, and only where it can be written without doubt.
func (c *compiler) probeSecret(p *Probe) {
	carried := strings.Contains(p.Basic, SecretMark) || strings.Contains(p.Body, SecretMark)
	kind := ""
	for name, value := range p.Headers {
		carried = carried || strings.Contains(value, SecretMark)
		if http.CanonicalHeaderKey(name) != name || strings.ContainsAny(name+value, "\r\n") {
			c.fail("verify.headers: write %q as %q, in one line", name, http.CanonicalHeaderKey(name))
		}
		if strings.Contains(strings.ReplaceAll(value, SecretMark, ""), "{{") {
			c.fail("verify.headers: %s holds a mark other than %s", name, SecretMark)
		}
		if name == "Content-Type" {
			kind = value
		}
		if slices.Contains([]string{"Host", "Content-Length", "Cookie"}, name) {
			c.fail("verify.headers: %s is not the rule's to set", name)
		}
	}
	if !carried {
		c.fail("verify sends no secret: write %s into headers, basic or body", SecretMark)
	}
	if p.Basic != "" && !strings.Contains(p.Basic, ":") {
		c.fail("verify.basic is user:password, either of which may be empty")
	}
	if p.Basic != "" && p.Headers["Authorization"] != "" {
		c.fail("verify has both basic and an Authorization header")
	}
	if p.Body != "" && kind != "application/json" && kind != "application/x-www-form-urlencoded" {
		c.fail("verify.body needs the header Content-Type, application/json or application/x-www-form-urlencoded")
	}
}

func (c *compiler) answer(list string, a Answer, method string) {
	if a.Status < 200 || a.Status > 599 {
		c.fail("verify.%s: status %d is not one of an answer", list, a.Status)
	}
	if len(a.Equals) > 0 && a.Field == "" {
		c.fail("verify.%s: equals goes with field", list)
	}
	if method == http.MethodHead && (a.Field != "" || a.Contains != "") {
		c.fail("verify.%s: an answer to HEAD has no body", list)
	}
}
