package ui

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"magpie"
)

// Every address in a page is made here: own ones from a path and parameters, foreign ones only with https.

// pathURL returns the address of one of our pages. path is a constant of the caller, without user's text.
func pathURL(path string) templ.SafeURL { return templ.SafeURL(path) }

// queryURL returns the address of one of our pages with the parameters that are not empty.
func queryURL(path string, query url.Values) templ.SafeURL {
	kept := url.Values{}
	for name, values := range query {
		for _, v := range values {
			if v != "" {
				kept.Add(name, v)
			}
		}
	}
	if len(kept) == 0 {
		return templ.SafeURL(path)
	}
	return templ.SafeURL(path + "?" + kept.Encode())
}

// idURL returns "/prefix/id/rest..." with the id escaped.
func idURL[ID ~string](prefix string, id ID, rest ...string) templ.SafeURL {
	return templ.SafeURL(strings.Join(append([]string{prefix, url.PathEscape(string(id))}, rest...), "/"))
}

func incidentURL(number int64, rest ...string) templ.SafeURL {
	return idURL("/incidents", strconv.FormatInt(number, 10), rest...)
}

// foreignURL returns an address outside of Magpie, or nothing to click on if it is not plain https.
func foreignURL(address string) templ.SafeURL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return templ.SafeURL(u.String())
}

// localPath returns path if it leads to a page of ours, else "/": what arrives in a form must not send people elsewhere.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") {
		return "/"
	}
	return path
}

func repoIncidentsURL(repo magpie.RepoID) templ.SafeURL {
	return queryURL("/incidents", url.Values{"repo": {string(repo)}, "status": {"open"}})
}

// references returns the addresses of a detector's documentation that can be linked.
func references(info RuleInfo) (links []templ.SafeURL) {
	for _, address := range info.References {
		if link := foreignURL(address); link != "" {
			links = append(links, link)
		}
	}
	return links
}

func hostOf(link templ.SafeURL) string {
	u, err := url.Parse(string(link))
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Hostname(), "www.")
}
