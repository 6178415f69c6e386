package mailcatcher

import (
	"bytes"
	_ "embed" // for the style sheet and the pages
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
)

//go:embed inbox.html
var inboxHTML string

//go:embed inbox.css
var inboxCSS []byte

var pages = template.Must(template.New("inbox").Parse(inboxHTML))

// Policies for the browser. A mail's own HTML is shown in a frame that can run nothing and load nothing; its links open
// beside it.
const (
	pagePolicy = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; " +
		"sandbox allow-popups allow-popups-to-escape-sandbox"
)

// Handler returns the inbox: the list at /, one mail at /messages/N, all as JSON at /messages.json.
func (c *Catcher) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.serveList)
	mux.HandleFunc("GET /messages.json", c.serveJSON)
	mux.HandleFunc("GET /messages/{number}", c.serveMessage)
	mux.HandleFunc("GET /messages/{number}/html", c.serveHTML)
	mux.HandleFunc("GET /inbox.css", serveCSS)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

type listPage struct{ Messages []Message }

func (c *Catcher) serveList(w http.ResponseWriter, _ *http.Request) {
	messages := c.Messages()
	slices.Reverse(messages)
	render(w, "list", listPage{Messages: messages})
}

func (c *Catcher) serveJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	messages := c.Messages()
	if messages == nil {
		messages = []Message{}
	}
	_ = json.NewEncoder(w).Encode(messages) // the reader has gone; nothing to do
}

func (c *Catcher) serveMessage(w http.ResponseWriter, r *http.Request) {
	if m, ok := c.message(r.PathValue("number")); ok {
		render(w, "message", m)
		return
	}
	http.NotFound(w, r)
}

func (c *Catcher) serveHTML(w http.ResponseWriter, r *http.Request) {
	m, ok := c.message(r.PathValue("number"))
	if !ok || m.HTML == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<!doctype html><base target="_blank">` + m.HTML))
}

func (c *Catcher) message(number string) (Message, bool) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return Message{}, false
	}
	messages := c.Messages()
	i := slices.IndexFunc(messages, func(m Message) bool { return m.Number == n })
	if i < 0 {
		return Message{}, false
	}
	return messages[i], true
}

func render(w http.ResponseWriter, name string, page any) {
	var buf bytes.Buffer
	if err := pages.ExecuteTemplate(&buf, name, page); err != nil {
		http.Error(w, "the page can't be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(buf.Bytes())
}

func serveCSS(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(inboxCSS)
}
