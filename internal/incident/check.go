package incident

import (
	"context"
	"time"

	"magpie"
	"magpie/internal/queue"
	"magpie/internal/seal"
	"magpie/internal/store"
	"magpie/internal/verify"
)

// checkSecret is the job that asks the vendor of an incident's secret whether it is alive.
type checkSecret struct {
	IncidentID magpie.IncidentID `json:"incident_id"`
}

// Kind implements magpie.Job.
func (checkSecret) Kind() string { return "incident_verify" }

// checkAttempts is how often a vendor that does not answer is asked before that is the result. With the pauses of the job
// engine the last attempt comes some four minutes after the first.
const checkAttempts = 8

// Register adds the worker that asks vendors.
func (s *Service) Register(engine *queue.Engine) {
	queue.Register(engine, queue.WorkerOptions{Queue: "verify", Concurrency: 4, Timeout: 2 * time.Minute}, s.runCheck)
}

// CanCheck reports whether vendors are asked at all and a detector says how.
func (s *Service) CanCheck(id magpie.RuleID) bool {
	if s.verify == nil {
		return false
	}
	r := s.rule(id)
	return r != nil && r.Probe != nil
}

// patience is how long a user waits for a vendor's answer, its turn included.
const patience = 30 * time.Second

// wantChecks sees to it that the vendors of incidents' secrets are asked, once the transaction is committed.
func (s *Service) wantChecks(ctx context.Context, tx *store.Tx, ids []magpie.IncidentID) error {
	if s.verify == nil {
		return nil
	}
	for _, id := range ids {
		if err := tx.Enqueue(ctx, checkSecret{IncidentID: id}, magpie.JobOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// runCheck asks about one secret. Asking again changes no more than the time of the answer.
func (s *Service) runCheck(ctx context.Context, run *queue.Run[checkSecret]) error {
	id := run.Args.IncidentID
	if s.verify == nil { // it was switched off meanwhile
		return s.db.Write(ctx, func(tx *store.Tx) error { return run.Complete(ctx, tx.Native()) })
	}
	was, result, err := s.ask(ctx, id)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // the process is stopping
		return ctx.Err()
	}
	if result.Validity == magpie.ValidityFailed && run.Attempt < checkAttempts {
		return &magpie.Error{Kind: magpie.KindUnavailable, Message: result.Why}
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockIncident(ctx, id); err != nil {
			return err
		}
		if err := tx.SetIncidentValidity(ctx, id, result.Validity, result.CheckedAt); err != nil {
			return err
		}
		// That there is nobody to ask is no news, and so is the same answer again.
		if result.Validity != magpie.ValidityNoChecker && result.Validity != was {
			event := magpie.IncidentEvent{At: time.Now(), Action: "checked", Detail: checkDetail(result)}
			if err := tx.AddIncidentEvent(ctx, id, event); err != nil {
				return err
			}
		}
		return run.Complete(ctx, tx.Native())
	})
}

// CheckNow asks the vendor of an incident's secret whether it is alive, for a user who waits. That the value is to
// leave the server, and for whom, is recorded before.
func (s *Service) CheckNow(ctx context.Context, actor magpie.User, id magpie.IncidentID) (verify.Result, error) {
	if s.verify == nil {
		return verify.Result{}, &magpie.Error{
			Kind: magpie.KindConflict, Message: "asking vendors about secrets is switched off", Hint: "the operator can switch it on with MAGPIE_VERIFY",
		}
	}
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		v, err := s.lock(ctx, tx, actor, id)
		if err != nil {
			return err
		}
		return tx.Audit(ctx, actor, "incident.checked", auditSubject(v), "")
	})
	if err != nil {
		return verify.Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, result, err := s.ask(limited, id)
	if err != nil {
		return verify.Result{}, err
	}
	// The value has left; what came of it is stored even if the user has gone.
	ctx = context.WithoutCancel(ctx)
	return result, s.db.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockIncident(ctx, id); err != nil {
			return err
		}
		if err := tx.SetIncidentValidity(ctx, id, result.Validity, result.CheckedAt); err != nil {
			return err
		}
		event := magpie.IncidentEvent{At: time.Now(), Actor: actor.ID, Action: "checked", Detail: checkDetail(result)}
		return tx.AddIncidentEvent(ctx, id, event)
	})
}

// ask opens an incident's secret and asks its vendor.
func (s *Service) ask(ctx context.Context, id magpie.IncidentID) (was magpie.Validity, result verify.Result, err error) {
	var v magpie.Incident
	var sealed []byte
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if v, err = tx.Incident(ctx, id); err != nil {
			return err
		}
		sealed, err = tx.IncidentSecret(ctx, id)
		return err
	})
	if err != nil {
		return "", result, err
	}
	secret, err := s.keys.Open(seal.Evidence, secretPlace(id), sealed)
	if err != nil {
		return "", result, err
	}
	return v.Validity, s.verify.Check(ctx, s.rule(v.Rule), secret), nil
}

func checkDetail(r verify.Result) string { return string(r.Validity) + ": " + r.Why }
