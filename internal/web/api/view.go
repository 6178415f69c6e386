package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"magpie"
	"magpie/internal/incident"
	"magpie/internal/store"
)

// page is a part of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one."`
}

func newPage[F, T any](from []F, next string, view func(F) T) page[T] {
	p := page[T]{Items: make([]T, len(from)), Next: next}
	for i, v := range from {
		p.Items[i] = view(v)
	}
	return p
}

// Paging is the query parameters of every list; exported as IntegrationPath is.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"The next of the page before; empty for the first page."`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"The most items on a page."`
}

// secretText is a secret in a request. It is never answered.
type secretText struct{ magpie.Secret }

// UnmarshalJSON implements json.Unmarshaler.
func (s *secretText) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	s.Secret = magpie.NewSecret(bytes.TrimSpace([]byte(text)))
	return nil
}

// Schema implements huma.SchemaProvider.
func (*secretText) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Format: "password", WriteOnly: true}
	s.PrecomputeMessages()
	return s
}

// optionalTime is a time in a request that may be left out, which leaves things as they are, or null, which means none.
type optionalTime struct {
	at   time.Time
	said bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *optionalTime) UnmarshalJSON(raw []byte) error {
	o.said = true
	return json.Unmarshal(raw, &o.at) // null leaves it zero
}

// Schema implements huma.SchemaProvider.
func (*optionalTime) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true}
	s.PrecomputeMessages()
	return s
}

// when returns nil for the zero time, which JSON then leaves out.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type userView struct {
	ID       magpie.UserID `json:"id"`
	Email    string        `json:"email"`
	Name     string        `json:"name"`
	Role     magpie.Role   `json:"role" enum:"owner,manager,member"`
	Disabled bool          `json:"disabled"`
}

func viewUser(u magpie.User) userView {
	return userView{ID: u.ID, Email: u.Email, Name: u.Name, Role: u.Role, Disabled: u.Disabled}
}

type auditView struct {
	ID      magpie.AuditID `json:"id"`
	At      time.Time      `json:"at"`
	ActorID magpie.UserID  `json:"actor_id,omitempty" doc:"Absent when Magpie itself acted."`
	Actor   string         `json:"actor,omitempty" doc:"The actor's e-mail address at the time."`
	Action  string         `json:"action"`
	Subject string         `json:"subject"`
	Detail  string         `json:"detail,omitempty"`
}

func viewAudit(e store.AuditEntry) auditView {
	return auditView{ID: e.ID, At: e.At, ActorID: e.ActorID, Actor: e.Actor, Action: e.Action, Subject: e.Subject, Detail: e.Detail}
}

type integrationView struct {
	ID          magpie.IntegrationID    `json:"id"`
	Mode        magpie.Mode             `json:"mode" enum:"instance,project"`
	URL         string                  `json:"url"`
	Version     string                  `json:"version"`
	TokenUser   string                  `json:"token_user" doc:"Name of the token's owner."`
	State       magpie.IntegrationState `json:"state" enum:"active,token_invalid,no_licence,unreachable"`
	StateReason string                  `json:"state_reason,omitempty"`
	AuthFailing *time.Time              `json:"auth_failing_since,omitempty" doc:"First refusal of the token since it last worked."`
	TokenEnds   *time.Time              `json:"token_expires_at,omitempty" doc:"Absent: never, or not known."`
	Autoscan    bool                    `json:"autoscan" doc:"The history of each repository added is scanned."`
	AutoMonitor bool                    `json:"auto_monitor" doc:"Repositories that appear later are monitored."`
	CreatedAt   time.Time               `json:"created_at"`
	SyncedAt    *time.Time              `json:"synced_at,omitempty" doc:"End of the last complete sync."`
	SyncError   string                  `json:"sync_error,omitempty" doc:"Why the last sync did not complete."`
	Syncing     bool                    `json:"syncing" doc:"A sync was asked for and has not completed yet."`
	Removing    bool                    `json:"removing" doc:"Its webhooks are being taken away."`
	Coverage    *coverageView           `json:"coverage,omitempty"`
}

type coverageView struct {
	Repositories   int64 `json:"repositories"`
	Monitored      int64 `json:"monitored"`
	HooksInstalled int64 `json:"hooks_installed"`
	HooksPending   int64 `json:"hooks_pending"`
	HooksFailed    int64 `json:"hooks_failed"`
	HistoryDone    int64 `json:"history_done"`
	HistoryPending int64 `json:"history_pending"`
	HistoryFailed  int64 `json:"history_failed"`
	Unavailable    int64 `json:"unavailable" doc:"Monitored, but out of reach."`
	Deleted        int64 `json:"deleted" doc:"Gone at Bitbucket; not among the repositories."`
}

func viewIntegration(i magpie.Integration) integrationView {
	return integrationView{
		ID: i.ID, Mode: i.Mode, URL: i.BaseURL, Version: i.Version, TokenUser: i.TokenUser, State: i.State, StateReason: i.StateReason,
		AuthFailing: when(i.AuthFailingSince), TokenEnds: when(i.TokenExpiresAt), Autoscan: i.Autoscan, AutoMonitor: i.AutoMonitor,
		CreatedAt: i.CreatedAt, SyncedAt: when(i.SyncedAt), SyncError: i.SyncError, Removing: i.Removing,
	}
}

func viewCoverage(c store.Coverage) *coverageView {
	return &coverageView{
		Repositories: c.Repos, Monitored: c.Monitored, HooksInstalled: c.HooksInstalled, HooksPending: c.HooksPending,
		HooksFailed: c.HooksFailed, HistoryDone: c.HistoryDone, HistoryPending: c.HistoryPending, HistoryFailed: c.HistoryFailed,
		Unavailable: c.Unavailable, Deleted: c.Deleted,
	}
}

type projectView struct {
	ID            magpie.ProjectID     `json:"id"`
	IntegrationID magpie.IntegrationID `json:"integration_id"`
	Key           string               `json:"key"`
	Name          string               `json:"name"`
	Personal      bool                 `json:"personal"`
	Installed     bool                 `json:"installed"`
	AutoMonitor   projectDefault       `json:"auto_monitor" enum:"inherit,on,off" doc:"Whether repositories that appear in it later are monitored."`
	Insights      bool                 `json:"insights" doc:"Leaks are reported on the commits of open pull requests."`
	InsightsError string               `json:"insights_error,omitempty" doc:"Why Bitbucket refused the last report."`
	InsightKey    string               `json:"insight_key,omitempty" doc:"Key of the reports, for a required report at Bitbucket."`
	SyncedAt      *time.Time           `json:"synced_at,omitempty" doc:"When its repositories were last listed to the end."`
	Repositories  int64                `json:"repositories"`
	Monitored     int64                `json:"monitored"`
	Hooked        int64                `json:"hooked" doc:"Monitored ones with an installed webhook."`
	Trouble       int64                `json:"trouble" doc:"Monitored ones whose webhook or history failed or that are out of reach."`
}

func (s *server) viewProject(p store.PerimeterProject) projectView {
	v := projectView{
		ID: p.ID, IntegrationID: p.IntegrationID, Key: p.Key, Name: p.Name, Personal: p.Personal, Installed: p.Installed,
		AutoMonitor: nameDefault(p.AutoMonitor), Insights: p.Insights, InsightsError: p.InsightsError, SyncedAt: when(p.SyncedAt),
		Repositories: p.Repos, Monitored: p.Monitored, Hooked: p.Hooked, Trouble: p.Trouble,
	}
	if p.Insights {
		v.InsightKey = s.InsightKey
	}
	return v
}

type repositoryView struct {
	ID            magpie.RepoID        `json:"id"`
	IntegrationID magpie.IntegrationID `json:"integration_id"`
	ProjectID     magpie.ProjectID     `json:"project_id"`
	FullName      string               `json:"full_name" example:"PRJ/service"`
	Name          string               `json:"name"`
	BrowseURL     string               `json:"browse_url"`
	State         magpie.RepoState     `json:"state" enum:"available,archived,unavailable,deleted"`
	StateReason   string               `json:"state_reason,omitempty"`
	Monitored     bool                 `json:"monitored"`
	Hook          magpie.HookState     `json:"hook" enum:"none,pending,installed,failed"`
	HookReason    string               `json:"hook_reason,omitempty"`
	History       magpie.HistoryState  `json:"history" enum:"none,pending,done,failed"`
	DefaultBranch string               `json:"default_branch,omitempty" example:"refs/heads/main"`
	OpenIncidents *int64               `json:"open_incidents,omitempty" doc:"In lists only."`
	LastPushAt    *time.Time           `json:"last_push_at,omitempty"`
	LastScanAt    *time.Time           `json:"last_scan_at,omitempty"`
	ComparedAt    *time.Time           `json:"compared_at,omitempty" doc:"When all refs were last found to be scanned, or were scanned."`
}

func viewRepo(r magpie.Repo) repositoryView {
	return repositoryView{
		ID: r.ID, IntegrationID: r.IntegrationID, ProjectID: r.ProjectID, FullName: r.FullName(), Name: r.Name, BrowseURL: r.BrowseURL,
		State: r.State, StateReason: r.StateReason, Monitored: r.Monitored, Hook: r.Hook, HookReason: r.HookReason, History: r.History,
		DefaultBranch: r.DefaultBranch, LastPushAt: when(r.LastPushAt), LastScanAt: when(r.LastScanAt), ComparedAt: when(r.ComparedAt),
	}
}

func viewListedRepo(r store.PerimeterRepo) repositoryView {
	v := viewRepo(r.Repo)
	v.OpenIncidents = &r.Open
	return v
}

type scanView struct {
	ID            magpie.ScanID    `json:"id"`
	RepositoryID  magpie.RepoID    `json:"repository_id"`
	Repository    string           `json:"repository" example:"PRJ/service"`
	Kind          magpie.ScanKind  `json:"kind" enum:"history,push"`
	State         magpie.ScanState `json:"state" enum:"queued,running,finished,failed,canceled"`
	Phase         magpie.ScanPhase `json:"phase,omitempty" enum:"receiving,indexing,scanning,placing" doc:"What it is busy with; absent unless it runs."`
	ETASeconds    *int64           `json:"eta_seconds,omitempty" doc:"Estimate of the seconds until it ends; absent unless it runs and that can be told."`
	BytesReceived int64            `json:"bytes_received" doc:"Of the pack."`
	Objects       int64            `json:"objects" doc:"Dealt with in this phase."`
	ObjectsTotal  int64            `json:"objects_total" doc:"Of this phase; 0 until it is known. When the scan has ended, of the pack."`
	Blobs         int64            `json:"blobs"`
	BlobBytes     int64            `json:"blob_bytes" doc:"Expanded bytes of the scanned blobs."`
	Findings      int64            `json:"findings"`
	Skipped       int64            `json:"skipped"`
	SkippedWhy    string           `json:"skipped_why,omitempty"`
	Error         string           `json:"error,omitempty"`
	CreatedAt     time.Time        `json:"created_at"`
	StartedAt     *time.Time       `json:"started_at,omitempty"`
	EndedAt       *time.Time       `json:"ended_at,omitempty"`
}

func viewScan(s store.ListedScan) scanView {
	p := s.Progress
	var eta *int64
	if s.State == magpie.ScanRunning && p.Left > 0 {
		seconds := int64(math.Ceil(p.Left.Seconds()))
		eta = &seconds
	}
	return scanView{
		Phase: p.Phase, ETASeconds: eta,
		ID: s.ID, RepositoryID: s.RepoID, Repository: s.RepoName, Kind: s.Kind, State: s.State, BytesReceived: p.BytesReceived,
		Objects: p.Objects, ObjectsTotal: p.ObjectsTotal, Blobs: p.Blobs, BlobBytes: p.BlobBytes, Findings: p.Findings,
		Skipped: p.Skipped, SkippedWhy: s.SkippedWhy, Error: s.Error, CreatedAt: s.CreatedAt, StartedAt: when(s.StartedAt), EndedAt: when(s.EndedAt),
	}
}

type incidentView struct {
	ID              magpie.IncidentID     `json:"id"`
	Number          int64                 `json:"number"`
	URL             string                `json:"url" doc:"Its page in the web app."`
	Rule            magpie.RuleID         `json:"rule"`
	Title           string                `json:"title"`
	Provider        string                `json:"provider,omitempty"`
	Severity        magpie.Severity       `json:"severity" enum:"critical,high,medium,low,info"`
	Confidence      magpie.Confidence     `json:"confidence" enum:"proven,high,medium,low"`
	Status          magpie.IncidentStatus `json:"status" enum:"triggered,assigned,resolved,ignored"`
	IgnoreReason    magpie.IgnoreReason   `json:"ignore_reason,omitempty"`
	SecretRevoked   bool                  `json:"secret_revoked"`
	Regressed       bool                  `json:"regressed" doc:"Reopened by a new occurrence after it was resolved."`
	AssigneeID      magpie.UserID         `json:"assignee_id,omitempty"`
	Masked          string                `json:"masked" doc:"A hint at the value for those who know it."`
	Occurrences     int64                 `json:"occurrences"`
	FromHistory     bool                  `json:"from_history" doc:"First found by a history scan, not by a push."`
	FirstRepository string                `json:"first_repository"`
	FirstFile       string                `json:"first_file"`
	FirstAuthor     string                `json:"first_author,omitempty"`
	FirstEmail      string                `json:"first_email,omitempty"`
	FirstCommitAt   *time.Time            `json:"first_commit_at,omitempty"`
	FirstSeenAt     time.Time             `json:"first_seen_at"`
	LastSeenAt      time.Time             `json:"last_seen_at"`
	ClosedAt        *time.Time            `json:"closed_at,omitempty"`
	Validity        magpie.Validity       `json:"validity" enum:"not_checked,valid,invalid,unknown,failed,no_checker" doc:"What the vendor last said about the secret."`
	CheckedAt       *time.Time            `json:"checked_at,omitempty" doc:"When the vendor was last asked."`
}

func (s *server) viewIncident(i magpie.Incident) incidentView {
	return incidentView{
		ID: i.ID, Number: i.Number, URL: fmt.Sprintf("%s/incidents/%d", s.PublicURL, i.Number), Rule: i.Rule, Title: i.Title, Provider: i.Provider,
		Severity: i.Severity, Confidence: i.Confidence, Status: i.Status, IgnoreReason: i.IgnoreReason, SecretRevoked: i.SecretRevoked,
		Regressed: i.Regressed, AssigneeID: i.AssigneeID, Masked: i.Masked, Occurrences: i.Occurrences, FromHistory: i.FromHistory,
		FirstRepository: i.FirstRepo, FirstFile: i.FirstFile, FirstAuthor: i.FirstAuthor, FirstEmail: i.FirstAuthorEml,
		FirstCommitAt: when(i.FirstCommitAt), FirstSeenAt: i.FirstSeenAt, LastSeenAt: i.LastSeenAt, ClosedAt: when(i.ClosedAt),
		Validity: i.Validity, CheckedAt: when(i.CheckedAt),
	}
}

type occurrenceView struct {
	ID            magpie.OccurrenceID `json:"id"`
	RepositoryID  magpie.RepoID       `json:"repository_id"`
	Repository    string              `json:"repository"`
	BrowseURL     string              `json:"browse_url,omitempty"`
	ScanID        magpie.ScanID       `json:"scan_id"`
	File          string              `json:"file"`
	LineStart     int                 `json:"line_start"`
	LineEnd       int                 `json:"line_end"`
	ColumnStart   int                 `json:"column_start"`
	ColumnEnd     int                 `json:"column_end"`
	DecodedFrom   string              `json:"decoded_from,omitempty"`
	Blob          magpie.Hash         `json:"blob"`
	Commit        magpie.Hash         `json:"commit"`
	Author        string              `json:"author,omitempty"`
	Email         string              `json:"email,omitempty"`
	CommitAt      *time.Time          `json:"commit_at,omitempty"`
	FoundAt       time.Time           `json:"found_at"`
	Presence      magpie.Presence     `json:"presence,omitempty" enum:"present,absent" doc:"Whether the secret stood anywhere on the repository's default branch when its history was last scanned; absent if that is not known."`
	PresenceAt    *time.Time          `json:"presence_at,omitempty" doc:"When that scan was."`
	ExcerptLine   int                 `json:"excerpt_line" doc:"Number of the first line of the excerpt."`
	ExcerptMasked string              `json:"excerpt" doc:"A few lines around, every found value masked."`
}

func viewOccurrence(o incident.Occurrence) occurrenceView {
	return occurrenceView{
		ID: o.ID, RepositoryID: o.RepoID, Repository: o.Repo, BrowseURL: o.BrowseURL, ScanID: o.ScanID, File: o.File,
		LineStart: o.LineStart, LineEnd: o.LineEnd, ColumnStart: o.ColumnStart, ColumnEnd: o.ColumnEnd, DecodedFrom: o.DecodedFrom,
		Blob: o.Blob, Commit: o.Commit, Author: o.Author, Email: o.Email, CommitAt: when(o.CommitAt), FoundAt: o.FoundAt,
		Presence: o.Presence, PresenceAt: when(o.PresenceAt),
		ExcerptLine: o.Excerpt.FirstLine, ExcerptMasked: o.Excerpt.Text,
	}
}

type eventView struct {
	At     time.Time     `json:"at"`
	Actor  magpie.UserID `json:"actor_id,omitempty"`
	Action string        `json:"action"`
	Detail string        `json:"detail,omitempty"`
}

func viewEvent(e magpie.IncidentEvent) eventView {
	return eventView{At: e.At, Actor: e.Actor, Action: e.Action, Detail: e.Detail}
}
