package mailcatcher

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"magpie"
	"magpie/internal/mail"
)

const password = "example-password"

// start runs a catcher with a certificate and login, and returns it with the options to send to it.
func start(t *testing.T, change func(*Options)) (*Catcher, mail.Options) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	o := Options{
		Certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, Username: "magpie", Password: magpie.NewSecret(password),
	}
	if change != nil {
		change(&o)
	}
	c := New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Serve(l) }()
	t.Cleanup(func() {
		_ = c.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve returned %v, want nil after Close", err)
		}
	})
	return c, mail.Options{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, RootCAs: pool, From: "Magpie <magpie@example.com>",
		Username: "magpie", Password: magpie.NewSecret(password), Timeout: 10 * time.Second,
	}
}

func send(t *testing.T, o mail.Options, n int) error {
	t.Helper()
	s, err := mail.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Send(t.Context(), mail.Message{
		To: "Jane Doe <jane@example.com>", Subject: fmt.Sprintf("Nº %d <script>alert(1)</script>", n), Text: "Täxt & <b>\nsecond line",
		HTML: "<p style=\"color:red\">HTML ü</p><script>alert(2)</script>", MessageID: fmt.Sprintf("m%d@magpie.example", n),
	})
}

func TestCatches(t *testing.T) {
	t.Parallel()
	c, o := start(t, nil)
	before := time.Now()
	if err := send(t, o, 1); err != nil {
		t.Fatal(err)
	}
	got, err := c.Wait(t.Context(), func(m Message) bool { return m.MessageID == "m1@magpie.example" })
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{
		"from": {got.From, `"Magpie" <magpie@example.com>`}, "to": {got.To, `"Jane Doe" <jane@example.com>`},
		"subject": {got.Subject, "Nº 1 <script>alert(1)</script>"}, "text": {strings.TrimSpace(got.Text), "Täxt & <b>\nsecond line"},
		"html":          {strings.TrimSpace(got.HTML), "<p style=\"color:red\">HTML ü</p><script>alert(2)</script>"},
		"envelope from": {got.Envelope.From, "magpie@example.com"}, "envelope to": {strings.Join(got.Envelope.To, ","), "jane@example.com"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %q, want %q", name, pair[0], pair[1])
		}
	}
	if !got.Envelope.TLS || got.Number != 1 || got.Received.Before(before) {
		t.Errorf("got %+v, want number 1, over TLS, received now", got)
	}
}

func TestWaitsForWhatComesLater(t *testing.T) {
	t.Parallel()
	c, o := start(t, nil)
	got := make(chan Message, 1)
	go func() {
		m, _ := c.Wait(t.Context(), func(m Message) bool { return strings.HasPrefix(m.Subject, "Nº 3") })
		got <- m
	}()
	for n := range 4 {
		if err := send(t, o, n); err != nil {
			t.Fatal(err)
		}
	}
	if m := <-got; m.MessageID != "m3@magpie.example" {
		t.Errorf("got %q, want m3@magpie.example", m.MessageID)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx, func(Message) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

func TestKeepsTheNewest(t *testing.T) {
	t.Parallel()
	c, o := start(t, func(o *Options) { o.Keep = 2 })
	for n := range 5 {
		if err := send(t, o, n); err != nil {
			t.Fatal(err)
		}
	}
	got := c.Messages()
	if len(got) != 2 || got[0].Number != 4 || got[1].Number != 5 {
		t.Errorf("kept %d messages, want numbers 4 and 5", len(got))
	}
	c.Clear()
	if got := c.Messages(); len(got) != 0 {
		t.Errorf("kept %d messages after Clear, want none", len(got))
	}
}

func TestTakesNoMailWithoutTLSOrLogin(t *testing.T) {
	t.Parallel()
	c, o := start(t, nil)
	for name, change := range map[string]func(*mail.Options){
		"no TLS":         func(o *mail.Options) { o.TLS, o.Username, o.Password = mail.TLSNone, "", magpie.Secret{} },
		"no login":       func(o *mail.Options) { o.Username, o.Password = "", magpie.Secret{} },
		"wrong password": func(o *mail.Options) { o.Password = magpie.NewSecret("wrong") },
		"wrong user":     func(o *mail.Options) { o.Username = "other" },
	} {
		o := o
		change(&o)
		if err := send(t, o, 1); err == nil {
			t.Errorf("%s: the mail was taken", name)
		}
	}
	if got := c.Messages(); len(got) != 0 {
		t.Errorf("caught %d messages, want none", len(got))
	}
}

func TestPlainServer(t *testing.T) {
	t.Parallel()
	c, o := start(t, func(o *Options) { *o = Options{} })
	o.TLS, o.Username, o.Password = mail.TLSNone, "", magpie.Secret{}
	if err := send(t, o, 1); err != nil || len(c.Messages()) != 1 || c.Messages()[0].Envelope.TLS {
		t.Errorf("got %v, %+v, want one message without TLS", err, c.Messages())
	}
}

func TestInbox(t *testing.T) {
	t.Parallel()
	c, o := start(t, nil)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	if got := get("/"); !strings.Contains(got.Body.String(), "No mail yet") {
		t.Errorf("the empty list shows %s", got.Body)
	}
	if got := strings.TrimSpace(get("/messages.json").Body.String()); got != "[]" {
		t.Errorf("the empty JSON is %s, want []", got)
	}
	if err := send(t, o, 1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/":                `<a href="/messages/1">Nº 1 &lt;script&gt;alert(1)&lt;/script&gt;</a>`,
		"/messages/1":      "Täxt &amp; &lt;b&gt;",
		"/messages/1/html": `<base target="_blank"><p style="color:red">HTML ü</p>`,
		"/inbox.css":       "color-scheme",
	} {
		got := get(path)
		if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: status %d, %s, want %s in it", path, got.Code, got.Body, want)
		}
		policy := got.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "script-src") || strings.Contains(policy, "allow-scripts") {
			t.Errorf("%s: Content-Security-Policy %q lets scripts run", path, policy)
		}
		if isMail := strings.HasSuffix(path, "/html"); isMail != strings.Contains(policy, "sandbox") || !isMail && strings.Contains(got.Body.String(), "<script") {
			t.Errorf("%s: want a mail's HTML in a sandbox and nowhere else", path)
		}
	}
	if !strings.Contains(get("/messages/1").Body.String(), `sandbox="allow-popups allow-popups-to-escape-sandbox" src="/messages/1/html"`) {
		t.Error("the mail's HTML is not shown in a sandboxed frame")
	}
	for _, path := range []string{"/messages/2", "/messages/x", "/messages/2/html", "/other"} {
		if got := get(path).Code; got != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, got)
		}
	}
	var messages []Message
	if err := json.Unmarshal(get("/messages.json").Body.Bytes(), &messages); err != nil || len(messages) != 1 || messages[0].MessageID != "m1@magpie.example" {
		t.Errorf("JSON: %v, %+v, want the message", err, messages)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, raw, text, html string }{
		{"no type", "Subject: x\r\n\r\nhello\r\n", "hello\n", ""},
		{"HTML only", "Content-Type: text/html\r\n\r\n<p>hello", "", "<p>hello"},
		{"base64", "Content-Type: text/plain\r\nContent-Transfer-Encoding: BASE64\r\n\r\naGVs\r\nbG8=\r\n", "hello", ""},
		{
			"nested, with attachment", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
				"--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--b--\r\n--a\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=x\r\n\r\nno\r\n--a--\r\n",
			"text", "<p>html",
		},
	} {
		got, err := parse([]byte(tc.raw))
		if err != nil || got.Text != tc.text || got.HTML != tc.html {
			t.Errorf("%s: got %q, %q, %v, want %q, %q", tc.name, got.Text, got.HTML, err, tc.text, tc.html)
		}
	}
	deep := strings.Builder{}
	for i := range 20 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	if _, err := parse([]byte(deep.String())); err == nil {
		t.Error("20 levels of parts were read")
	}
}
