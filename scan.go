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

// Progress counts what a scan has done so far. The totals are 0 until they are known.
type Progress struct {
	BytesReceived int64 // of the pack
	Objects       int64 // resolved so far
	ObjectsTotal  int64 // in the pack
	Blobs         int64 // scanned
	BlobBytes     int64 // scanned, expanded
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
