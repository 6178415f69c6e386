package alert_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/mail"
	"magpie/internal/mail/mailcatcher"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

const publicURL = "https://magpie.example.com"

// planted is the whole made-up secret; no mail may hold it.
var planted = magpie.NewSecret("made-up-" + strings.Repeat("q7", 12))

// post is a mail server whose answers a test decides.
type post struct {
	mu     sync.Mutex
	answer func(n int, m mail.Message) error // n counts from 1; nil takes everything
	tries  int
	taken  []mail.Message
	moved  chan struct{} // gets a value after each try
}

func newPost() *post { return &post{moved: make(chan struct{}, 1000)} }

func (p *post) Send(_ context.Context, m mail.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.moved <- struct{}{} }()
	p.tries++
	if p.answer != nil {
		if err := p.answer(p.tries, m); err != nil {
			return err
		}
	}
	p.taken = append(p.taken, m)
	return nil
}

func (p *post) messages() []mail.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]mail.Message(nil), p.taken...)
}

// bundle is a workspace with four people, one of them shut out.
type bundle struct {
	*alert.Service
	t      testing.TB
	db     *store.DB
	jobs   *queue.Engine
	people map[string]magpie.User
}

// onBoth runs a test on an address of a new database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	for name, address := range map[string]func(*testing.T) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, address(t))
		})
	}
}

func open(t testing.TB, address string, sender alert.Sender) *bundle {
	t.Helper()
	b := &bundle{t: t, people: map[string]magpie.User{}}
	b.db, b.jobs = storetest.Open(t, address, func(e *queue.Engine, db *store.DB) {
		b.Service = alert.New(alert.Options{DB: db, Mail: sender, PublicURL: publicURL + "/"})
		b.Register(e)
	})
	return b
}

func (b *bundle) addPeople() {
	b.t.Helper()
	b.write(func(ctx context.Context, tx *store.Tx) error {
		for name, role := range map[string]magpie.Role{
			"owner": magpie.RoleOwner, "manager": magpie.RoleManager, "member": magpie.RoleMember, "gone": magpie.RoleMember,
		} {
			u := magpie.User{ID: store.NewID[magpie.UserID](), Email: name + "@example.com", Name: name, Role: role, Disabled: name == "gone", CreatedAt: time.Now()}
			b.people[name] = u
			if err := tx.AddAccount(ctx, u, "no hash"); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bundle) write(fn func(context.Context, *store.Tx) error) {
	b.t.Helper()
	ctx := context.Background()
	if err := b.db.Write(ctx, func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) start() {
	b.t.Helper()
	if err := b.jobs.Start(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

// addIncidents stores n incidents whose texts try to break out of a mail.
func (b *bundle) addIncidents(n int) []magpie.IncidentID {
	b.t.Helper()
	var ids []magpie.IncidentID
	b.write(func(ctx context.Context, tx *store.Tx) error {
		ids = nil
		for range n {
			number, err := tx.NextIncidentNumber(ctx)
			if err != nil {
				return err
			}
			v := magpie.Incident{
				ID: store.NewID[magpie.IncidentID](), Number: number, Rule: "test-key", Title: "Test key", Severity: magpie.SeverityHigh,
				Confidence: magpie.ConfidenceHigh, Status: magpie.IncidentTriggered, Masked: planted.Masked(), Occurrences: 1,
				FirstRepo: "KEY/app", FirstFile: hostileFile,
			}
			ids = append(ids, v.ID)
			if err := tx.AddIncident(ctx, v, string(v.ID), []byte("sealed")); err != nil {
				return err
			}
			o := magpie.Occurrence{
				ID: store.NewID[magpie.OccurrenceID](), IncidentID: v.ID, RepoID: "r", File: hostileFile, LineStart: 12, ColumnStart: 1,
				Commit: magpie.Hash(strings.Repeat("ab", 20)), Author: "Robin <b>Finch</b>", Email: "robin@example.com",
				CommitAt: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), FoundAt: time.Now(),
			}
			if _, err := tx.AddOccurrence(ctx, o, []byte("sealed")); err != nil {
				return err
			}
		}
		return nil
	})
	return ids
}

const hostileFile = "a/<script>alert(1)</script>\r\nOpen: https://phish.example\u202e.txt"

// rows returns the outbox as "recipient state error" by kind and recipient.
func (b *bundle) rows(subject string) map[string]string {
	b.t.Helper()
	ctx := context.Background()
	list, err := store.Query(ctx, b.db, func(tx *store.Tx) ([]store.Alert, error) { return tx.AlertsAbout(ctx, subject) })
	if err != nil {
		b.t.Fatal(err)
	}
	rows := map[string]string{}
	for _, a := range list {
		rows[a.Recipient] = strings.TrimSuffix(string(a.State)+": "+a.Error, ": ")
		if (a.State == store.AlertSent) == a.SentAt.IsZero() {
			b.t.Errorf("%s is %s, sent at %v", a.Recipient, a.State, a.SentAt)
		}
	}
	return rows
}

// waitRows polls until the outbox about subject is as wanted.
func (b *bundle) waitRows(subject string, want map[string]string) {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		diff := cmp.Diff(want, b.rows(subject))
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("outbox (-want +got):\n%s", diff)
		}
		time.Sleep(20 * time.Millisecond) // between two looks, not instead of one
	}
}

func all(state string) map[string]string {
	return map[string]string{"owner@example.com": state, "manager@example.com": state, "member@example.com": state}
}

func (b *bundle) tell(ids []magpie.IncidentID, why alert.Why) {
	b.t.Helper()
	b.write(func(ctx context.Context, tx *store.Tx) error { return b.IncidentsOpened(ctx, tx, ids, why) })
}

// catcher starts a real SMTP server on this machine and returns a sender to it.
func catcher(t *testing.T) (*mailcatcher.Catcher, alert.Sender) {
	t.Helper()
	c := mailcatcher.New(mailcatcher.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Serve(l) }()
	t.Cleanup(func() { _ = c.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	sender, err := mail.New(mail.Options{Host: "127.0.0.1", Port: n, TLS: mail.TLSNone, From: "Magpie <magpie@example.com>"})
	if err != nil {
		t.Fatal(err)
	}
	return c, sender
}

func TestMailAboutAnIncident(t *testing.T) {
	c, sender := catcher(t)
	b := open(t, storetest.SQLite(t), sender)
	b.addPeople()
	id := b.addIncidents(1)[0]
	b.start()
	b.tell([]magpie.IncidentID{id}, alert.Opened)
	b.tell([]magpie.IncidentID{id}, alert.Opened) // once is enough
	b.waitRows(string(id), all("sent"))
	messages := c.Messages()
	to := map[string]bool{}
	ids := map[string]bool{}
	for _, m := range messages {
		to[m.Envelope.To[0]] = true
		ids[m.MessageID] = true
		checkMail(t, m.Subject, m.Text, m.HTML)
		if m.Subject != "[Magpie] High: New secret: Test key in KEY/app" {
			t.Errorf("subject %q", m.Subject)
		}
		wantText := []string{
			"Detector:    Test key\n", "Severity:    High\n", "Repository:  KEY/app\n", "Commit:      abababab", "Date:        2026-02-03 04:05 UTC\n",
			"File:        a/<script>alert(1)</script>  Open: https://phish.example .txt:12\n", "Author:      Robin <b>Finch</b> <robin@example.com>\n",
			"Secret:      " + planted.Masked() + "\n", "\nOpen the incident: " + publicURL + "/incidents/1\n",
		}
		for _, want := range wantText {
			if !strings.Contains(strings.ReplaceAll(m.Text, "\r\n", "\n"), want) {
				t.Errorf("the plain text lacks %q:\n%s", want, m.Text)
			}
		}
		for _, want := range []string{
			`<a href="` + publicURL + `/incidents/1"`, "&lt;script&gt;alert(1)", "Robin &lt;b&gt;Finch&lt;/b&gt;", planted.Masked(),
		} {
			if !strings.Contains(m.HTML, want) {
				t.Errorf("the HTML lacks %q:\n%s", want, m.HTML)
			}
		}
	}
	if diff := cmp.Diff(map[string]bool{"owner@example.com": true, "manager@example.com": true, "member@example.com": true}, to); diff != "" || len(messages) != 3 {
		t.Errorf("%d mails to (-want +got):\n%s", len(messages), diff)
	}
	if len(ids) != 3 {
		t.Errorf("%d Message-IDs for 3 mails", len(ids))
	}
	events, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]magpie.IncidentEvent, error) { return tx.IncidentEvents(t.Context(), id) })
	if err != nil || len(events) != 3 || events[0].Action != "alerted" {
		t.Errorf("history %v, %v, want three alerts", events, err)
	}
}

// checkMail holds what is true of every mail.
func checkMail(t *testing.T, subject, text, html string) {
	t.Helper()
	for name, part := range map[string]string{"subject": subject, "text": text, "HTML": html} {
		if strings.Contains(part, string(planted.Reveal())) {
			t.Errorf("the %s holds the secret", name)
		}
		if strings.Contains(part, "\u202e") || strings.Contains(part, "\nOpen: https://phish.example") {
			t.Errorf("the %s lets a file's name write a line of its own:\n%s", name, part)
		}
	}
	if html == "" || strings.Contains(html, "<script") || strings.Contains(html, "<b>") {
		t.Errorf("the HTML is missing or holds foreign markup:\n%s", html)
	}
}

func TestPassingTroubleIsTriedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		p := newPost()
		p.answer = func(n int, _ mail.Message) error {
			if n <= 3 {
				return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the mail server sleeps"}
			}
			return nil
		}
		b := open(t, address, p)
		b.addPeople()
		id := b.addIncidents(1)[0]
		b.tell([]magpie.IncidentID{id}, alert.Opened)
		b.start()
		b.waitRows(string(id), all("sent"))
		names := map[string]int{}
		for _, m := range p.messages() {
			names[m.MessageID]++
		}
		if len(names) != 3 || len(p.messages()) != 3 {
			t.Errorf("%d mails with %d Message-IDs, want 3 and 3", len(p.messages()), len(names))
		}
	})
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"a refused message is given up", &magpie.Error{Kind: magpie.KindInvalid, Message: "the address does not exist", Hint: "correct it", Err: errors.New("550 no")}, "failed: the address does not exist; correct it"},
		{"a server that is away is waited for", &magpie.Error{Kind: magpie.KindUnavailable, Message: "the mail server sleeps"}, "waiting: the mail server sleeps"},
		{"a refused password is waited for", &magpie.Error{Kind: magpie.KindTokenInvalid, Message: "the password is wrong"}, "waiting: the password is wrong"},
		{"trouble of ours is not told", errors.New("secret detail"), "waiting: an internal error; the log has the details"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPost()
			p.answer = func(int, mail.Message) error { return tt.err }
			b := open(t, storetest.SQLite(t), p)
			b.addPeople()
			id := b.addIncidents(1)[0]
			b.tell([]magpie.IncidentID{id}, alert.Opened)
			b.start()
			b.waitRows(string(id), all(tt.want))
		})
	}
}

func TestWaitsForAMailServer(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		before := open(t, address, nil)
		before.addPeople()
		ids := before.addIncidents(2)
		if before.Configured() {
			t.Error("it says that there is a mail server")
		}
		before.start()
		before.tell(ids, alert.Opened)
		if err := before.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting := all("waiting: no mail server is configured")
		before.waitRows(string(ids[0]), waiting)
		if err := before.jobs.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := newPost()
		after := open(t, address, p)
		for range 3 { // several instances start
			if err := after.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		after.start()
		for _, id := range ids {
			after.waitRows(string(id), all("sent"))
		}
		if got := len(p.messages()); got != 6 {
			t.Errorf("%d mails, want 6", got)
		}
		if err := after.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDigest(t *testing.T) {
	p := newPost()
	b := open(t, storetest.SQLite(t), p)
	b.addPeople()
	ids := b.addIncidents(1100)
	b.start()
	b.tell(ids, alert.Opened)
	b.tell(ids, alert.Opened)
	deadline := time.After(time.Minute)
	for range 3 {
		select {
		case <-p.moved:
		case <-deadline:
			t.Fatal("three mails did not leave within 30 s")
		}
	}
	for _, m := range p.messages() {
		checkMail(t, m.Subject, m.Text, m.HTML)
		if m.Subject != "[Magpie] High and below: 1100 secrets found" {
			t.Errorf("subject %q", m.Subject)
		}
		for i := range ids {
			link := fmt.Sprintf("%s/incidents/%d", publicURL, i+1)
			text, html := link+"\n", link+`"`
			if shown := i < 1000; strings.Contains(m.Text, text) != shown || strings.Contains(m.HTML, html) != shown {
				t.Fatalf("the link to incident %d is there or not, want %t", i, shown)
			}
		}
		if !strings.Contains(m.Text, "and 100 more") || !strings.Contains(m.HTML, "and 100 more") {
			t.Error("the mail does not say what it leaves out")
		}
	}
	if got := len(p.messages()); got != 3 {
		t.Errorf("%d mails, want one for each of 3 people", got)
	}
}

func TestEachReopeningIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		b := open(t, address, newPost())
		b.addPeople()
		ids := b.addIncidents(1)
		for i := range 2 {
			b.write(func(ctx context.Context, tx *store.Tx) error {
				if err := tx.AddIncidentEvent(ctx, ids[0], magpie.IncidentEvent{At: time.Now(), Action: "regressed"}); err != nil {
					return err
				}
				return b.IncidentsOpened(ctx, tx, ids, alert.Reopened)
			})
			b.tell(ids, alert.Reopened) // the same reopening again
			list, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]store.Alert, error) { return tx.AlertsAbout(t.Context(), string(ids[0])) })
			if err != nil || len(list) != 3*(i+1) {
				t.Errorf("%d messages after %d reopenings, %v", len(list), i+1, err)
			}
		}
	})
}

func TestWhoHearsWhat(t *testing.T) {
	p := newPost()
	b := open(t, storetest.SQLite(t), p)
	b.addPeople()
	id := b.addIncidents(1)[0]
	integration := magpie.Integration{
		ID: store.NewID[magpie.IntegrationID](), Mode: magpie.ModeInstance, BaseURL: "https://bitbucket.example.com", TokenUser: "robot",
		State: magpie.IntegrationTokenInvalid, CreatedAt: time.Now(),
	}
	b.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertIntegration(ctx, integration, []byte("sealed")); err != nil {
			return err
		}
		if err := b.TokenInvalid(ctx, tx, integration); err != nil {
			return err
		}
		if err := b.IncidentAssigned(ctx, tx, id, b.people["gone"], "1"); err != nil {
			return err
		}
		return b.IncidentAssigned(ctx, tx, id, b.people["member"], "1")
	})
	b.start()
	b.waitRows(string(integration.ID), map[string]string{"owner@example.com": "sent", "manager@example.com": "sent"})
	b.waitRows(string(id), map[string]string{"member@example.com": "sent"})
	subjects := map[string]string{}
	for _, m := range p.messages() {
		checkMail(t, m.Subject, m.Text, m.HTML)
		subjects[m.To] = m.Subject
	}
	want := map[string]string{
		"owner@example.com":   "[Magpie] Bitbucket refuses the access token: https://bitbucket.example.com",
		"manager@example.com": "[Magpie] Bitbucket refuses the access token: https://bitbucket.example.com",
		"member@example.com":  "[Magpie] High: Assigned to you: Test key in KEY/app",
	}
	if diff := cmp.Diff(want, subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
}

func TestDisabledMeanwhile(t *testing.T) {
	p := newPost()
	b := open(t, storetest.SQLite(t), p)
	b.addPeople()
	id := b.addIncidents(1)[0]
	b.tell([]magpie.IncidentID{id}, alert.Opened)
	b.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetAccountDisabled(ctx, b.people["member"].ID, true)
	})
	b.start()
	want := all("sent")
	want["member@example.com"] = "failed: the account was disabled before the mail could leave"
	b.waitRows(string(id), want)
}

func TestUndoneTransactionTellsNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		b := open(t, address, newPost())
		b.addPeople()
		ids := b.addIncidents(1)
		undo := errors.New("undo")
		err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			if err := b.IncidentsOpened(t.Context(), tx, ids, alert.Opened); err != nil {
				return err
			}
			return undo
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		if rows := b.rows(string(ids[0])); len(rows) != 0 {
			t.Errorf("outbox %v, want nothing", rows)
		}
	})
}

func ExampleService_IncidentURL() {
	s := alert.New(alert.Options{PublicURL: "https://magpie.example.com/"})
	fmt.Println(s.IncidentURL(42))
	// Output: https://magpie.example.com/incidents/42
}
