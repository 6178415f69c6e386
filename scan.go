package magpie

import "time"

// ScanKind says why a scan was started.
type ScanKind string

// The kinds of scan.
const (
	ScanHistory ScanKind = "history" // everything reachable from all refs
	ScanPush    ScanKind = "push"    // what an event announced, or a sweep found, since the last scanned tips
)

// ScanState is where a scan stands.
type ScanState string

// The states of a scan.
const (
	ScanQueued   ScanState = "queued"
	ScanRunning  ScanState = "running"
	ScanFinished ScanState = "finished"
	ScanFailed   ScanState = "failed"   // gave up; Error says why
	ScanCanceled ScanState = "canceled" // by a user, or because the repository left the perimeter
)

// ScanPhase is what a running scan is busy with.
type ScanPhase string

// The phases of a scan, in the order in which they follow one another. A history that is fetched in parts goes through
// them once for each. The empty phase is that of a scan that does not run.
const (
	PhaseAsking      ScanPhase = "asking"      // the server has not answered yet
	PhaseCounting    ScanPhase = "counting"    // the server counts what it will send
	PhaseCompressing ScanPhase = "compressing" // the server packs it
	PhaseReceiving   ScanPhase = "receiving"   // the pack arrives
	PhaseWaiting     ScanPhase = "waiting"     // before another try
	PhaseIndexing    ScanPhase = "indexing"    // it is found out where objects start
	PhaseScanning    ScanPhase = "scanning"    // blobs are searched for secrets
	PhasePlacing     ScanPhase = "placing"     // the commits and paths of what was found are looked for
	PhaseChecking    ScanPhase = "checking"    // only on the command line: whether objects are missing
)

// Progress counts what a scan has done so far. The totals are 0 until they are known.
type Progress struct {
	Phase         ScanPhase
	Left          time.Duration // estimate of the time until it ends; 0 if there is none
	BytesReceived int64         // of the pack
	Objects       int64         // dealt with in this phase
	ObjectsTotal  int64         // of this phase, and when the scan has ended, of the pack
	Blobs         int64         // scanned
	BlobBytes     int64         // scanned, expanded
	Findings      int64
	Skipped       int64 // objects that could not be scanned; the log and SkippedWhy say why
}

// Scan is one look at one repository.
type Scan struct {
	ID         ScanID
	RepoID     RepoID
	Kind       ScanKind
	State      ScanState
	Progress   Progress
	SkippedWhy string // for people; empty when nothing was skipped
	Error      string // for people; empty unless failed
	CreatedAt  time.Time
	StartedAt  time.Time // zero while queued
	EndedAt    time.Time // zero until it ended
}
