package bitbucket

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"magpie"
)

// uiPaths are first path segments of Bitbucket's own pages. An address copied from the browser starts with one of them
// behind the base; none is a sensible context path.
var uiPaths = map[string]bool{
	"projects": true, "users": true, "repos": true, "scm": true, "rest": true, "git": true, "admin": true, "account": true,
	"dashboard": true, "login": true, "logout": true, "plugins": true, "profile": true, "bots": true, "j_atl_security_check": true,
	"getting-started": true, "about": true, "s": true, "download": true, "mvc": true, "setup": true, "status": true, "browse": true,
}

// ParseBaseURL brings the address of a Bitbucket instance, as a person typed it, to its one form: https, host, port unless
// 443, and context path if the instance has one, without a trailing slash. Anything else is refused with a *magpie.Error
// for the field "url" that says what to type instead.
func ParseBaseURL(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return "", badURL("the address of your Bitbucket is missing", "type it as your browser shows it, such as https://bitbucket.example")
	}
	if !strings.Contains(raw, "://") {
		return "", badURL("the address does not start with https://", "type https://"+suggestHost(raw))
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" {
		return "", badURL("the address can't be read", "type it as in https://bitbucket.example")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	for _, check := range []func(*url.URL, string) error{checkHost, checkCloud, checkScheme, checkExtras} {
		if err := check(u, host); err != nil {
			return "", err
		}
	}
	path, err := contextPath(u, host)
	if err != nil {
		return "", err
	}
	return base(u, host) + path, nil
}

func checkHost(u *url.URL, host string) error {
	if host == "" {
		return badURL("the address names no host", "type it as in https://bitbucket.example")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	for _, r := range host {
		if !(r == '-' || r == '.' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f) {
			return badURL(fmt.Sprintf("%q is not the name of a host", u.Hostname()), "type the address as in https://bitbucket.example")
		}
	}
	return nil
}

func checkCloud(_ *url.URL, host string) error {
	if host == "bitbucket.org" || strings.HasSuffix(host, ".bitbucket.org") {
		return badURL("bitbucket.org is Bitbucket Cloud, which is not supported; Magpie connects to Bitbucket Server and Data Center",
			"for repositories in Bitbucket Cloud run magpie scan in a pipeline of theirs; docs/bitbucket.md has one to copy")
	}
	return nil
}

func checkScheme(u *url.URL, host string) error {
	if u.Scheme != "https" {
		return badURL("the address must start with https://, not "+u.Scheme+"://; instances without a secure connection are not monitored",
			"type "+base(&url.URL{Scheme: "https"}, host)+" and the port of https, if it is not 443")
	}
	return nil
}

func checkExtras(u *url.URL, host string) error {
	switch {
	case u.User != nil:
		return badURL("the address holds a user name or password", "type "+base(u, host)+" and put the access token into its own field")
	case u.RawQuery != "" || u.ForceQuery:
		return badURL("the address holds a query (the part from ? on)", "type "+base(u, host))
	case u.Fragment != "":
		return badURL("the address holds a fragment (the part from # on)", "type "+base(u, host))
	case u.Port() == "" && strings.HasSuffix(u.Host, ":"):
		return badURL("the port is missing behind the colon", "type "+base(u, host))
	}
	return nil
}

// contextPath returns "" or "/name".
func contextPath(u *url.URL, host string) (string, error) {
	path := strings.Trim(u.EscapedPath(), "/")
	if path == "" {
		return "", nil
	}
	first, _, more := strings.Cut(path, "/")
	switch {
	case uiPaths[strings.ToLower(first)]:
		return "", badURL("the address leads to a page inside Bitbucket (/"+path+")", "type "+base(u, host))
	case more:
		want := base(u, host)
		if !strings.ContainsAny(first, "%") {
			want += "/" + first
		}
		return "", badURL("the address has more than one path segment (/"+path+")", "type "+want)
	}
	for _, r := range first {
		if !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return "", badURL("/"+first+" does not look like the context path of a Bitbucket", "type "+base(u, host))
		}
	}
	return "/" + first, nil
}

// base returns scheme, host and port in their one form.
func base(u *url.URL, host string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != "443" {
		host += ":" + port
	}
	return u.Scheme + "://" + host
}

// suggestHost returns the host in an address without scheme, or a sample.
func suggestHost(raw string) string {
	u, err := url.Parse("https://" + strings.TrimLeft(raw, "/"))
	if err != nil || u.Hostname() == "" {
		return "bitbucket.example"
	}
	return u.Host
}

func badURL(message, hint string) error {
	return &magpie.Error{Kind: magpie.KindInvalid, Field: "url", Message: message, Hint: hint}
}
