package magpie

import "time"

// Mode says how much of a Bitbucket an integration watches.
type Mode string

// The two ways to integrate.
const (
	ModeInstance Mode = "instance" // everything the token can administer, now and later
	ModeProject  Mode = "project"  // only the projects that a user installed
)

// IntegrationState says whether an integration can work.
type IntegrationState string

// The states of an integration.
const (
	IntegrationActive       IntegrationState = "active"
	IntegrationTokenInvalid IntegrationState = "token_invalid" // Bitbucket refuses the token; work waits for a new one
	IntegrationNoLicence    IntegrationState = "no_licence"    // Bitbucket lets the token's user in no more for want of a licence; work waits
	IntegrationNoPermission IntegrationState = "no_permission" // the token works but may do no more of what it is for; what can be done still is
	IntegrationUnreachable  IntegrationState = "unreachable"   // network, TLS or server trouble; retried by itself
)

// Waits reports whether work for an integration in this state must wait because Bitbucket would refuse it.
func (s IntegrationState) Waits() bool {
	return s == IntegrationTokenInvalid || s == IntegrationNoLicence
}

// Integration is one connection to one Bitbucket by one access token. The token is not part of it: it is sealed in the
// store and handed only to the client.
type Integration struct {
	ID          IntegrationID
	Mode        Mode
	BaseURL     string // scheme, host and, where the instance has one, context path; no trailing slash
	Version     string // as the instance reports it, such as "9.4.3"
	TokenUser   string // name of the token's owner
	State       IntegrationState
	StateReason string // for people; while active only as long as the token is refused but not yet given up
	Autoscan    bool   // scan the history of each repository added to the perimeter
	AutoMonitor bool   // monitor repositories and projects that appear later
	CreatedBy   UserID
	CreatedAt   time.Time
	SyncedAt    time.Time // end of the last complete sync; zero before the first
	SyncError   string    // why the last sync did not complete; empty if it did
	Removing    bool      // its webhooks are being taken away; it is gone when that is done

	AuthFailingSince time.Time // first refusal of the token since it last worked; zero while it works
	TokenExpiresAt   time.Time // zero: never, or not known
}

// ProjectDefault says whether repositories that appear in a project later are monitored.
type ProjectDefault string

// The defaults of a project.
const (
	ProjectAsIntegration ProjectDefault = "" // as the integration's AutoMonitor says
	ProjectMonitorNew    ProjectDefault = "on"
	ProjectIgnoreNew     ProjectDefault = "off"
)

// Project is a Bitbucket project, or a user's personal one.
type Project struct {
	ID            ProjectID
	IntegrationID IntegrationID
	RemoteID      int64  // Bitbucket's numeric id, stable over renames
	Key           string // "PRJ", or "~user" for a personal project
	Name          string
	Personal      bool
	Installed     bool      // in ModeProject: a user chose it; in ModeInstance always true
	SyncedAt      time.Time // when its repositories were last listed to the end; zero before the first time
	AutoMonitor   ProjectDefault
	Insights      bool   // report leaks to Bitbucket's Code Insights on commits of open pull requests
	InsightsError string // why the last report was refused; empty if it was not
}

// RepoState says whether a repository can be scanned.
type RepoState string

// The states of a repository.
const (
	RepoAvailable   RepoState = "available"
	RepoArchived    RepoState = "archived"    // read-only at Bitbucket; its history can still be scanned
	RepoUnavailable RepoState = "unavailable" // initialising, offline, or out of the token's reach; StateReason says which
	RepoDeleted     RepoState = "deleted"     // gone at Bitbucket; its incidents stay
)

// HookState says whether Bitbucket will tell us about pushes.
type HookState string

// The states of a repository's webhook.
const (
	HookNone      HookState = "none"      // not wanted: the repository is not monitored
	HookPending   HookState = "pending"   // wanted, not yet there
	HookInstalled HookState = "installed" // at Bitbucket, with our secret
	HookFailed    HookState = "failed"    // could not be installed; HookReason says why, and it is tried again
)

// HistoryState says how far the scan of a repository's past is.
type HistoryState string

// The states of a repository's history scan.
const (
	HistoryNone    HistoryState = "none"    // never asked for
	HistoryPending HistoryState = "pending" // asked for, queued or running
	HistoryDone    HistoryState = "done"    // scanned up to the tips of its time
	HistoryFailed  HistoryState = "failed"  // gave up; the scan says why
)

// Repo is one Git repository at a Bitbucket.
type Repo struct {
	ID            RepoID
	IntegrationID IntegrationID
	ProjectID     ProjectID
	RemoteID      int64 // Bitbucket's numeric id, stable over renames and moves
	ProjectKey    string
	Slug          string
	Name          string
	CloneURL      string // smart HTTP address without credentials
	BrowseURL     string // its page at Bitbucket
	State         RepoState
	StateReason   string // for people; empty while available
	Monitored     bool
	Hook          HookState
	HookReason    string // for people; empty unless failed
	History       HistoryState
	LastPushAt    time.Time // zero if none was seen
	LastScanAt    time.Time // zero if never scanned
	CreatedAt     time.Time
	DefaultBranch string    // full ref name; empty if not known or the repository is empty
	ComparedAt    time.Time // when all refs were last found to be scanned, or were scanned; zero if never
}

// FullName returns "KEY/slug".
func (r Repo) FullName() string { return r.ProjectKey + "/" + r.Slug }

// Tip is a commit or tag object up to which a repository has been looked at.
type Tip struct {
	Ref  string // full name, such as "refs/heads/main"
	Hash Hash
}
