package scan

import (
	"sync"
	"sync/atomic"

	"magpie"
	"magpie/internal/git/smarthttp"
)

// Phase is what a scan is doing.
type Phase string

// The phases of a scan. A local one has no other than PhaseScanning; one in slices has all of them for each slice.
const (
	PhaseAsking      Phase = "asking"      // the server has not answered yet
	PhaseCounting    Phase = "counting"    // the server counts what it will send
	PhaseCompressing Phase = "compressing" // the server packs it
	PhaseReceiving   Phase = "receiving"
	PhaseWaiting     Phase = "waiting" // before another try
	PhaseScanning    Phase = "scanning"
)

// Meter counts what a scan has done so far. Its zero value is ready; it is safe for concurrent use. The counters are about
// the slice at hand, if the scan is one in slices; Progress adds up all of them.
type Meter struct {
	BytesReceived atomic.Int64
	Objects       atomic.Int64
	ObjectsTotal  atomic.Int64
	Blobs         atomic.Int64
	BlobBytes     atomic.Int64
	Findings      atomic.Int64
	Skipped       atomic.Int64

	mu     sync.Mutex
	before magpie.Progress // of earlier slices
	remote Remote
}

// Remote is how far the fetching is.
type Remote struct {
	Phase   Phase  // empty if nothing is fetched
	Done    int64  // objects of the phase
	Total   int64  // objects of the phase; 0 until known
	Message string // what the server said last to people: one line that can't steer a terminal; empty if nothing
	Slice   int    // the number of the slice, from 1; 0 if all comes in one
	// Commits and CommitsTotal are how much of the history was scanned in earlier slices, in commits. The total is 0 where
	// it is not known.
	Commits, CommitsTotal int64
}

// Progress returns the present counts.
func (m *Meter) Progress() magpie.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.before
	p.BytesReceived += m.BytesReceived.Load()
	p.Objects += m.Objects.Load()
	p.ObjectsTotal += m.ObjectsTotal.Load()
	p.Blobs += m.Blobs.Load()
	p.BlobBytes += m.BlobBytes.Load()
	p.Findings += m.Findings.Load()
	p.Skipped += m.Skipped.Load()
	return p
}

// Remote returns how far the fetching is.
func (m *Meter) Remote() Remote {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.remote
}

// fold counts the present slice among the earlier ones.
func (m *Meter) fold() {
	p := m.Progress()
	m.resume(p)
}

// resume starts a slice after the given progress.
func (m *Meter) resume(p magpie.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = p
	for _, c := range []*atomic.Int64{&m.BytesReceived, &m.Objects, &m.ObjectsTotal, &m.Blobs, &m.BlobBytes, &m.Findings, &m.Skipped} {
		c.Store(0)
	}
}

// discard forgets the slice at hand, which comes again, but for the bytes that were received of it.
func (m *Meter) discard() {
	m.mu.Lock()
	p := m.before
	p.BytesReceived += m.BytesReceived.Load()
	m.mu.Unlock()
	m.resume(p)
}

// received is the progress function of a transfer.
func (m *Meter) received(bytes, done, total int64) {
	m.BytesReceived.Store(bytes)
	m.ObjectsTotal.Store(total)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remote.Phase, m.remote.Done, m.remote.Total = PhaseReceiving, done, total
}

// objects is the progress function of a walk.
func (m *Meter) objects(done, total int64) {
	m.Objects.Store(done)
	m.ObjectsTotal.Store(total)
}

// told is the progress function of a server.
func (m *Meter) told(p smarthttp.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remote.Message = p.Remote
	switch p.Phase {
	case smarthttp.PhaseCounting:
		m.remote.Phase = PhaseCounting
	case smarthttp.PhaseCompressing:
		m.remote.Phase = PhaseCompressing
	default:
		return // that it sends is seen from what arrives
	}
	m.remote.Done, m.remote.Total = p.Done, p.Total
}

// enter begins a phase.
func (m *Meter) enter(p Phase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remote.Phase, m.remote.Done, m.remote.Total = p, 0, 0
}

// slice begins a slice.
func (m *Meter) slice(number int, commits, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remote.Slice, m.remote.Commits, m.remote.CommitsTotal = number, commits, total
}
