package ui

import (
	"crypto/rand"
	"net/http"

	"github.com/a-h/templ"
)

// htmxConfig is what htmx reads from its meta element: only the extension that enforces the policy, no injected style
// sheet, answers that are errors are not swapped in, and open disclosures survive a morph.
const htmxConfig = `{"extensions":"hx-csp","includeIndicatorCSS":false,"history":true,"defaultTimeout":15000,` +
	`"noSwap":[204,304,"4xx","5xx"],"morphIgnore":["data-htmx-powered","open"]}`

// contentSecurityPolicy allows what the pages are made of and nothing else. Trusted Types leave one policy, htmx's own,
// whose elements carry the nonce.
func contentSecurityPolicy(nonce string) string {
	return "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx"
}

// securityHeaders sets the headers of every answer and puts the page's nonce into the context for the templates.
func (s *server) securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce := rand.Text()
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy(nonce))
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		if s.opts.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		next.ServeHTTP(w, r.WithContext(templ.WithNonce(r.Context(), nonce)))
	})
}
