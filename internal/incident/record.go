package incident

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"magpie"
	"magpie/internal/alert"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Source says where findings come from.
type Source struct {
	Repo   magpie.Repo
	ScanID magpie.ScanID
	Kind   magpie.ScanKind
}

// Outcome counts what recording findings led to.
type Outcome struct {
	Opened   int // new incidents
	Joined   int // known incidents that got new occurrences and were not reopened
	Reopened int // resolved incidents whose secret appeared anew
}

// Record stores findings as occurrences of incidents, inside the scan's own transaction, and puts the alerts about opened
// and reopened ones into the outbox. Findings that are known change nothing. An occurrence of a resolved incident that is
// new reopens it; of an ignored one it is only added. Other transactions that record findings wait until this one ends, so
// it should come late in it.
func (s *Service) Record(ctx context.Context, tx *store.Tx, src Source, findings []magpie.Finding) (Outcome, error) {
	if len(findings) == 0 {
		return Outcome{}, nil
	}
	if err := tx.LockIncidents(ctx); err != nil {
		return Outcome{}, err
	}
	var outcome Outcome
	var opened, reopened []magpie.IncidentID
	for _, g := range s.group(findings) {
		v, what, err := s.recordGroup(ctx, tx, src, g)
		if err != nil {
			return Outcome{}, fmt.Errorf("recording findings in %s: %w", src.Repo.FullName(), err)
		}
		switch what {
		case "opened":
			outcome.Opened++
			opened = append(opened, v.ID)
		case "regressed":
			outcome.Reopened++
			reopened = append(reopened, v.ID)
			if err := s.told(ctx, tx, v.ID); err != nil {
				return Outcome{}, err
			}
		case "occurrence":
			outcome.Joined++
		}
	}
	if err := s.alerts.IncidentsOpened(ctx, tx, opened, alert.Opened); err != nil {
		return Outcome{}, err
	}
	if err := s.wantChecks(ctx, tx, slices.Concat(opened, reopened)); err != nil {
		return Outcome{}, err
	}
	return outcome, s.alerts.IncidentsOpened(ctx, tx, reopened, alert.Reopened)
}

// KnownAt reports whether a finding's secret already has an occurrence in a repository and file, at whatever commit.
func (s *Service) KnownAt(ctx context.Context, tx *store.Tx, repo magpie.RepoID, f magpie.Finding) (bool, error) {
	return tx.OccurrenceKnown(ctx, s.keys.Fingerprint(f.Secret), repo, clean(f.File))
}

// KnownIn reports whether a finding's secret already has an occurrence in the same version of a file of a repository, at
// whatever commit and path.
func (s *Service) KnownIn(ctx context.Context, tx *store.Tx, repo magpie.RepoID, f magpie.Finding) (bool, error) {
	return tx.OccurrenceOfBlob(ctx, s.keys.Fingerprint(f.Secret), repo, f.Blob)
}

// group is the findings of one secret, the earliest first.
type group struct {
	fingerprint string
	findings    []magpie.Finding
}

// group sorts findings by secret; the secrets come in the order of their first finding, so that numbers follow the scan.
func (s *Service) group(findings []magpie.Finding) []group {
	var groups []group
	at := map[string]int{}
	for _, f := range findings {
		f.File, f.Author, f.Email = clean(f.File), clean(f.Author), clean(f.Email)
		fingerprint := s.keys.Fingerprint(f.Secret)
		i, ok := at[fingerprint]
		if !ok {
			i = len(groups)
			at[fingerprint] = i
			groups = append(groups, group{fingerprint: fingerprint})
		}
		groups[i].findings = append(groups[i].findings, f)
	}
	for _, g := range groups {
		slices.SortStableFunc(g.findings, earlier)
	}
	return groups
}

// earlier orders findings by the date of their commit, unknown dates last.
func earlier(a, b magpie.Finding) int {
	if a.Date.IsZero() != b.Date.IsZero() {
		if a.Date.IsZero() {
			return 1
		}
		return -1
	}
	return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.File, b.File), cmp.Compare(a.LineStart, b.LineStart))
}

// recordGroup stores the findings of one secret and says what that was for its incident: "opened", "regressed",
// "occurrence", or "" if all of them were known.
func (s *Service) recordGroup(ctx context.Context, tx *store.Tx, src Source, g group) (v magpie.Incident, what string, err error) {
	now := time.Now()
	v, err = tx.LockIncidentByFingerprint(ctx, g.fingerprint)
	isNew := magpie.KindOf(err) == magpie.KindNotFound
	if isNew {
		v, err = s.add(ctx, tx, src, g, now)
	}
	if err != nil {
		return v, "", err
	}
	var fresh []magpie.Finding
	for _, f := range g.findings {
		added, err := s.addOccurrence(ctx, tx, src, v.ID, f, now)
		if err != nil {
			return v, "", err
		}
		if added {
			fresh = append(fresh, f)
		}
	}
	if !isNew { // known places count too: a surer detector may have found them this time
		if err := learnDetector(ctx, tx, &v, g.findings); err != nil {
			return v, "", err
		}
	}
	if len(fresh) == 0 {
		return v, "", nil
	}
	what, detail := "occurrence", fmt.Sprintf("%d in %s", len(fresh), src.Repo.FullName())
	if isNew {
		what = "opened"
	} else {
		learnPlace(&v, src, fresh)
	}
	was := v.Status
	a, err := appearance(ctx, tx, v, src, fresh)
	if err != nil {
		return v, "", err
	}
	if v.Status, err = next(v, a); err != nil {
		return v, "", err
	}
	if was == magpie.IncidentResolved && a == appear {
		what = "regressed"
		v.Regressed, v.SecretRevoked, v.ClosedAt = true, false, time.Time{}
	}
	v.Occurrences += int64(len(fresh))
	v.LastSeenAt = now
	if err := tx.UpdateIncident(ctx, v); err != nil {
		return v, "", err
	}
	return v, what, tx.AddIncidentEvent(ctx, v.ID, magpie.IncidentEvent{At: now, Action: what, Detail: detail})
}

// appearance tells new leaks from known ones in another repository: a fork, or a repository that was connected anew,
// brings the same commits once more.
func appearance(ctx context.Context, tx *store.Tx, v magpie.Incident, src Source, fresh []magpie.Finding) (action, error) {
	if v.Status != magpie.IncidentResolved {
		return appear, nil
	}
	for _, f := range fresh {
		known, err := tx.OccurrenceElsewhere(ctx, v.ID, src.Repo.ID, f.File, f.Commit)
		if err != nil {
			return "", err
		}
		if !known {
			return appear, nil
		}
	}
	return repeat, nil
}

// add stores a new incident, without its occurrences.
func (s *Service) add(ctx context.Context, tx *store.Tx, src Source, g group, now time.Time) (magpie.Incident, error) {
	best := slices.MinFunc(g.findings, surer)
	v := magpie.Incident{
		ID: store.NewID[magpie.IncidentID](), Status: magpie.IncidentTriggered, Masked: best.Secret.Masked(),
		Rule: best.Rule, Title: best.RuleName, Provider: best.Provider, Severity: best.Severity, Confidence: best.Confidence,
		FirstSeenAt: now, LastSeenAt: now, FromHistory: src.Kind == magpie.ScanHistory,
	}
	setFirst(&v, src, g.findings[0])
	sealed, err := s.keys.Seal(seal.Evidence, secretPlace(v.ID), best.Secret)
	if err != nil {
		return v, err
	}
	if v.Number, err = tx.NextIncidentNumber(ctx); err != nil {
		return v, err
	}
	return v, tx.AddIncident(ctx, v, g.fingerprint, sealed)
}

func setFirst(v *magpie.Incident, src Source, f magpie.Finding) {
	v.FirstCommitAt, v.FirstRepoID, v.FirstRepo = f.Date, src.Repo.ID, src.Repo.FullName()
	v.FirstFile, v.FirstAuthor, v.FirstAuthorEml = f.File, f.Author, f.Email
}

// learnPlace updates a known incident if a new finding is an earlier first place. With learnDetector it sees to it that it
// does not matter in which order repositories are scanned.
func learnPlace(v *magpie.Incident, src Source, fresh []magpie.Finding) {
	first := slices.MinFunc(fresh, earlier)
	if !first.Date.IsZero() && (v.FirstCommitAt.IsZero() || first.Date.Before(v.FirstCommitAt)) {
		setFirst(v, src, first)
	}
}

// learnDetector updates a known incident if a surer detector found its secret.
func learnDetector(ctx context.Context, tx *store.Tx, v *magpie.Incident, findings []magpie.Finding) error {
	best := slices.MinFunc(findings, surer)
	// The detector's own severity is not known any more if a person chose another, so it does not count here.
	if compareDetectors(best.Confidence, best.Rule, v.Confidence, v.Rule) >= 0 {
		return nil
	}
	v.Rule, v.Title, v.Provider, v.Severity, v.Confidence = best.Rule, best.RuleName, best.Provider, best.Severity, best.Confidence
	return tx.SetIncidentDetector(ctx, *v)
}

func surer(a, b magpie.Finding) int {
	return compareDetectors(a.Confidence, a.Rule, b.Confidence, b.Rule)
}

// compareDetectors orders detectors by confidence, the surest first, and then by name, so that there is always one best.
func compareDetectors(a magpie.Confidence, ruleA magpie.RuleID, b magpie.Confidence, ruleB magpie.RuleID) int {
	return cmp.Or(cmp.Compare(confidenceRank(a), confidenceRank(b)), cmp.Compare(ruleA, ruleB))
}

func confidenceRank(c magpie.Confidence) int {
	all := []magpie.Confidence{magpie.ConfidenceProven, magpie.ConfidenceHigh, magpie.ConfidenceMedium, magpie.ConfidenceLow}
	if i := slices.Index(all, c); i >= 0 {
		return i
	}
	return len(all)
}

func (s *Service) addOccurrence(ctx context.Context, tx *store.Tx, src Source, incident magpie.IncidentID, f magpie.Finding, now time.Time) (bool, error) {
	o := magpie.Occurrence{
		ID: store.NewID[magpie.OccurrenceID](), IncidentID: incident, RepoID: src.Repo.ID, ScanID: src.ScanID,
		File: f.File, LineStart: f.LineStart, LineEnd: f.LineEnd, ColumnStart: f.ColumnStart, ColumnEnd: f.ColumnEnd,
		DecodedFrom: f.DecodedFrom, Blob: f.Blob, Commit: f.Commit, Author: f.Author, Email: f.Email,
		CommitAt: f.Date, FoundAt: now, Presence: f.Presence,
	}
	if f.Presence != magpie.PresenceUnknown {
		o.PresenceAt = now
	}
	sealed, err := s.sealExcerpt(o.ID, f.Excerpt)
	if err != nil {
		return false, err
	}
	return tx.AddOccurrence(ctx, o, sealed)
}

// clean makes text from Git storable: PostgreSQL takes neither NUL nor bytes that are not UTF-8.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "�"), "\x00", "�")
}

func auditSubject(v magpie.Incident) string { return fmt.Sprintf("incident %d", v.Number) }
