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

// Register adds the worker that sends mail.
func (s *Service) Register(engine *queue.Engine) {
	queue.Register(engine, queue.WorkerOptions{Queue: "mail", Concurrency: 4, Timeout: time.Minute}, s.send)
}

// resumePage is how many waiting messages get a job in one transaction.
const resumePage = 500

// Resume gives every waiting message a job if it has none, once there is a mail server. It is called at each start, after
// the job engine is open.
func (s *Service) Resume(ctx context.Context) error {
	if s.mail == nil {
		return nil
	}
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
				if err := tx.Enqueue(ctx, sendMail{AlertID: a.ID}, magpie.JobOptions{Once: true}); err != nil {
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

// send sends one message. It may run again for one that is settled, and then does nothing.
func (s *Service) send(ctx context.Context, run *queue.Run[sendMail]) error {
	id := run.Args.AlertID
	a, err := store.Query(ctx, s.db, func(tx *store.Tx) (store.Alert, error) { return tx.Alert(ctx, id) })
	if err != nil {
		return err
	}
	if a.State != store.AlertWaiting {
		return s.settle(ctx, run, a, a.State, a.Error)
	}
	if s.mail == nil {
		return s.wait(ctx, run, a)
	}
	m, err := s.compose(ctx, a)
	if err == nil {
		err = s.mail.Send(ctx, m)
	}
	switch {
	case err == nil:
		return s.settle(ctx, run, a, store.AlertSent, "")
	case ctx.Err() != nil || errors.Is(err, context.Canceled): // the process is stopping
		return err
	case run.Last || permanent(err):
		s.log.Warn("a mail is given up", "alert", a.ID, "kind", a.Kind, "error", err)
		return s.settle(ctx, run, a, store.AlertFailed, message(err))
	}
	note := s.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.SettleAlert(ctx, a.ID, store.AlertWaiting, message(err), time.Time{})
		return err
	})
	if note != nil {
		s.log.Error("storing why a mail waits", "alert", a.ID, "error", note)
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
func (s *Service) settle(ctx context.Context, run *queue.Run[sendMail], a store.Alert, state store.AlertState, why string) error {
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
		return run.Complete(ctx, tx.Native())
	})
	if err != nil {
		return fmt.Errorf("storing what became of mail %s: %w", a.ID, err)
	}
	return nil
}

// wait completes the job of a message that Resume will give another one.
func (s *Service) wait(ctx context.Context, run *queue.Run[sendMail], a store.Alert) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.SettleAlert(ctx, a.ID, store.AlertWaiting, notConfigured, time.Time{}); err != nil {
			return err
		}
		return run.Complete(ctx, tx.Native())
	})
}

func aboutIncident(kind string) bool {
	return kind == kindOpened || kind == kindReopened || kind == kindAssigned
}

// message is what a person may read of an error.
func message(err error) string {
	e, ok := errors.AsType[*magpie.Error](err)
	switch {
	case !ok:
		return "an internal error; the log has the details"
	case e.Hint != "":
		return e.Message + ". " + e.Hint
	default:
		return e.Message
	}
}
