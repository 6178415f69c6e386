// Package ui is the web application for people: pages rendered on the server with templ, enhanced by htmx.
//
// The one idea: a page is a struct. For each page a method of Pages builds a typed struct from the store (testable
// without HTTP), a template of the same name renders it, and a handler in between reads the request. Handlers return
// errors; one adapter turns them into an error page by the one table from kind to status. All routes stand in one
// list with the permission each needs (route.go); a route without one does not start.
//
// Everything works without a script: forms post and answer with a redirect, filters are GET forms, disclosures are
// details elements. With one, the element with the id "live" asks for itself every two seconds and morphs what
// changed. The pages run under a Content-Security-Policy without inline script or style and with Trusted Types
// (header.go), so whatever a repository, file or author is called stays text.
//
// The package changes nothing by itself: every change is a call to a stage, which writes the audit row and enqueues what
// follows. The list of routes is where permissions are checked. The stages do not check them again: package incident
// insists that who acts still has an account that is enabled, and only package access, which accounts and tokens belong
// to, asks for permissions of its own.
package ui
