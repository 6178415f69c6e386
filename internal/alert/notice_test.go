package alert_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/notify"
	"magpie/internal/queue"
	"magpie/internal/store"
	"magpie/internal/store/storetest"
)

// receiver is a webhook whose answers a test decides.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(n int) int // status of the n-th delivery, from 1
	tries  map[string]int  // by delivery id
	bodies []string        // taken
}

func newReceiver(t *testing.T, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer, tries: map[string]int{}}
	n := 0
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		n++
		r.tries[req.Header.Get(notify.HeaderDelivery)]++
		status := r.answer(n)
		if status == http.StatusOK {
			r.bodies = append(r.bodies, string(body))
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) sender(t *testing.T, kind notify.Kind) *notify.Sender {
	t.Helper()
	s, err := notify.New(notify.Options{HTTP: r.Client(), Kind: kind, URL: r.URL + "/hidden-path", Secret: magpie.NewSecret(strings.Repeat("made-up-", 4))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *receiver) taken() ([]string, map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.bodies...), r.tries
}

// openNotifying opens a workspace without people and mail whose incidents go to a receiver, or nowhere.
func openNotifying(t *testing.T, address string, to *notify.Sender) *bundle {
	t.Helper()
	b := &bundle{t: t}
	b.db, b.jobs = storetest.Open(t, address, func(e *queue.Engine, db *store.DB) {
		b.Service = alert.New(alert.Options{DB: db, Notify: to, PublicURL: publicURL})
		b.Register(e)
	})
	return b
}

func taking(int) int { return http.StatusOK }

func TestWebhookIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		r := newReceiver(t, func(n int) int { return []int{http.StatusServiceUnavailable, http.StatusOK}[min(n-1, 1)] })
		b := openNotifying(t, address, r.sender(t, notify.Webhook))
		ids := b.addIncidents(1)
		b.tell(ids, alert.Opened)
		b.tell(ids, alert.Opened) // once is enough
		b.start()
		name := "webhook " + strings.TrimPrefix(r.URL, "https://")
		b.waitRows(string(ids[0]), map[string]string{name: "sent"})
		bodies, tries := r.taken()
		if len(bodies) != 1 || len(tries) != 1 {
			t.Fatalf("%d deliveries under %d ids, want one", len(bodies), len(tries))
		}
		var e notify.Event
		if err := json.Unmarshal([]byte(bodies[0]), &e); err != nil {
			t.Fatal(err)
		}
		if tries[e.ID] != 2 {
			t.Errorf("tries %v, want two of delivery %s", tries, e.ID)
		}
		v := e.Incident
		if e.Type != notify.Opened || v == nil || v.ID != ids[0] || v.Masked != planted.Masked() || v.File != hostileFile || v.Line != 12 ||
			v.Repository != "KEY/app" || v.URL != publicURL+"/incidents/1" || v.Severity != magpie.SeverityHigh {
			t.Errorf("body %s", bodies[0])
		}
		if strings.Contains(bodies[0], string(planted.Reveal())) {
			t.Error("the body holds the secret")
		}
		events, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]magpie.IncidentEvent, error) { return tx.IncidentEvents(t.Context(), ids[0]) })
		if err != nil || len(events) != 1 || events[0].Action != "alerted" || events[0].Detail != name {
			t.Errorf("history %v, %v, want one alert to %s", events, err, name)
		}
	})
}

func TestWebhookThatRefuses(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(int) int { return http.StatusGone })
	b := openNotifying(t, storetest.SQLite(t), r.sender(t, notify.Webhook))
	ids := b.addIncidents(1)
	b.tell(ids, alert.Opened)
	b.start()
	host := strings.TrimPrefix(r.URL, "https://")
	b.waitRows(string(ids[0]), map[string]string{
		"webhook " + host: "failed: " + host + " refuses the notification with status 410; check MAGPIE_NOTIFY_URL",
	})
}

func TestManyIncidentsAtOnce(t *testing.T) {
	t.Parallel()
	for kind, want := range map[notify.Kind]int{notify.Webhook: 21, notify.Slack: 1} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b := openNotifying(t, storetest.SQLite(t), newReceiver(t, taking).sender(t, kind))
			b.tell(b.addIncidents(21), alert.Opened)
			list, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]store.Alert, error) { return tx.AlertsToSend(t.Context(), "", 100) })
			if err != nil || len(list) != want {
				t.Errorf("%d messages, %v, want %d", len(list), err, want)
			}
			for _, a := range list {
				if a.Channel != store.AlertByNotify || a.UserID != "" {
					t.Errorf("message %+v, want one to nobody in particular", a)
				}
			}
		})
	}
}

func TestChatGetsADigest(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, taking)
	b := openNotifying(t, storetest.SQLite(t), r.sender(t, notify.Slack))
	b.tell(b.addIncidents(21), alert.Opened)
	list, err := store.Query(t.Context(), b.db, func(tx *store.Tx) ([]store.Alert, error) { return tx.AlertsToSend(t.Context(), "", 100) })
	if err != nil || len(list) != 1 {
		t.Fatalf("messages %v, %v, want one", list, err)
	}
	b.start()
	b.waitRows(list[0].Subject, map[string]string{list[0].Recipient: "sent"})
	if bodies, _ := r.taken(); len(bodies) != 1 || !strings.Contains(bodies[0], "21 secrets found together") {
		t.Errorf("bodies %q, want one about 21 secrets", bodies)
	}
}

// TestReceiverComesBack checks that what waits for a receiver that was taken out of the configuration is sent once there
// is one again.
func TestReceiverComesBack(t *testing.T) {
	t.Parallel()
	address := storetest.SQLite(t)
	r := newReceiver(t, taking)
	first := openNotifying(t, address, r.sender(t, notify.Webhook))
	ids := first.addIncidents(1)
	first.tell(ids, alert.Opened)
	name := "webhook " + strings.TrimPrefix(r.URL, "https://")

	without := openNotifying(t, address, nil)
	without.start()
	without.waitRows(string(ids[0]), map[string]string{name: "waiting: no webhook or chat is configured"})
	if err := without.jobs.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	again := openNotifying(t, address, r.sender(t, notify.Webhook))
	if err := again.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	again.start()
	again.waitRows(string(ids[0]), map[string]string{name: "sent"})
}
