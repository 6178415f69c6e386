package alert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/store"
)

// notConfigured is shown at messages that wait for a mail server.
const notConfigured = "no mail server is configured"

// sendMail is the job that sends one message of the outbox.
type sendMail struct {
	AlertID magpie.AlertID `json:"alert_id"`
}

// Kind implements magpie.Job.
func (sendMail) Kind() string { return "alert_send_mail" }

// noReceiver is shown at messages that wait for a webhook or chat that is no longer configured.
const noReceiver = "no webhook or chat is configured"

// sendNotice is the job that sends one message of the outbox to the webhook or chat.
type sendNotice struct {
	AlertID magpie.AlertID `json:"alert_id"`
}

// Kind implements magpie.Job.
func (sendNotice) Kind() string { return "alert_send_notice" }

// Register adds the workers that send mail and notify the webhook or chat.
func (s *Service) Register(engine *queue.Engine) {
	queue.Register(engine, queue.WorkerOptions{Queue: "mail", Concurrency: 4, Timeout: time.Minute},
		func(ctx context.Context, run *queue.Run[sendMail]) error {
			return s.deliver(ctx, run.Args.AlertID, attempt{send: s.sendMail(), missing: notConfigured, last: run.Last, complete: run.Complete})
		})
	queue.Register(engine, queue.WorkerOptions{Queue: "notify", Concurrency: 2, Timeout: time.Minute},
		func(ctx context.Context, run *queue.Run[sendNotice]) error {
			return s.deliver(ctx, run.Args.AlertID, attempt{send: s.sendNotice(), missing: noReceiver, last: run.Last, complete: run.Complete})
		})
}

// resumePage is how many waiting messages get a job in one transaction.
const resumePage = 500

// Resume gives every waiting message a job if it has none, once there is a mail server or a receiver. It is called at each
// start, after the job engine is open.
func (s *Service) Resume(ctx context.Context) error {
	after := magpie.AlertID("")
	for {
		n := 0
		err := s.db.Write(ctx, func(tx *store.Tx) error {
			waiting, err := tx.AlertsToSend(ctx, after, resumePage)
			if err != nil {
				return err
			}
			n = len(waiting)
			for _, a := range waiting {
				if err := s.enqueue(ctx, tx, a, magpie.JobOptions{Once: true}); err != nil {
					return err
				}
				after = a.ID
			}
			return nil
		})
		if err != nil || n < resumePage {
			return err
		}
	}
}

// enqueue gives a message the job that sends it, if there is what it takes to send.
func (s *Service) enqueue(ctx context.Context, tx *store.Tx, a store.Alert, o magpie.JobOptions) error {
	switch {
	case a.Channel == store.AlertByNotify && s.notify != nil:
		return tx.Enqueue(ctx, sendNotice{AlertID: a.ID}, o)
	case a.Channel != store.AlertByNotify && s.mail != nil:
		return tx.Enqueue(ctx, sendMail{AlertID: a.ID}, o)
	}
	return nil
}

// attempt is one run of a job that sends a message.
type attempt struct {
	send     func(context.Context, store.Alert) error // nil if what it takes is not configured
	missing  string                                   // says so to people
	last     bool
	complete func(ctx context.Context, nativeTx any) error
}

// sendMail returns what sends a message by mail.
func (s *Service) sendMail() func(context.Context, store.Alert) error {
	if s.mail == nil {
		return nil
	}
	return func(ctx context.Context, a store.Alert) error {
		m, err := s.compose(ctx, a)
		if err != nil {
			return err
		}
		return s.mail.Send(ctx, m)
	}
}

// deliver sends one message. It may run again for one that is settled, and then does nothing.
func (s *Service) deliver(ctx context.Context, id magpie.AlertID, try attempt) error {
	a, err := store.Query(ctx, s.db, func(tx *store.Tx) (store.Alert, error) { return tx.Alert(ctx, id) })
	if err != nil {
		return err
	}
	if a.State != store.AlertWaiting {
		return s.settle(ctx, try, a, a.State, a.Error)
	}
	if try.send == nil { // Resume will give it another job
		return s.settle(ctx, try, a, store.AlertWaiting, try.missing)
	}
	err = try.send(ctx, a)
	switch {
	case err == nil:
		return s.settle(ctx, try, a, store.AlertSent, "")
	case ctx.Err() != nil || errors.Is(err, context.Canceled): // the process is stopping
		return err
	case try.last || permanent(err):
		s.log.Warn("a message is given up", "alert", a.ID, "channel", a.Channel, "kind", a.Kind, "error", err)
		return s.settle(ctx, try, a, store.AlertFailed, magpie.Explain(err))
	}
	note := s.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.SettleAlert(ctx, a.ID, store.AlertWaiting, magpie.Explain(err), time.Time{})
		return err
	})
	if note != nil {
		s.log.Error("storing why a message waits", "alert", a.ID, "error", note)
	}
	return err
}

// permanent reports whether trying again would give the same.
func permanent(err error) bool {
	switch magpie.KindOf(err) {
	case magpie.KindInvalid, magpie.KindNotFound, magpie.KindForbidden, magpie.KindConflict, magpie.KindTooLarge:
		return true
	}
	return false
}

// settle stores what became of a message and completes its job.
func (s *Service) settle(ctx context.Context, try attempt, a store.Alert, state store.AlertState, why string) error {
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		now := time.Now()
		sentAt := time.Time{}
		if state == store.AlertSent {
			sentAt = now
		}
		changed, err := tx.SettleAlert(ctx, a.ID, state, why, sentAt)
		if err != nil {
			return err
		}
		if changed && state == store.AlertSent && aboutIncident(a.Kind) {
			event := magpie.IncidentEvent{At: now, Action: "alerted", Detail: a.Recipient}
			if err := tx.AddIncidentEvent(ctx, magpie.IncidentID(a.Subject), event); err != nil {
				return err
			}
		}
		return try.complete(ctx, tx.Native())
	})
	if err != nil {
		return fmt.Errorf("storing what became of message %s: %w", a.ID, err)
	}
	return nil
}

func aboutIncident(kind string) bool {
	return kind == kindOpened || kind == kindReopened || kind == kindAssigned
}
