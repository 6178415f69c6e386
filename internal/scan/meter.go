package scan

import (
	"sync"
	"sync/atomic"
	"time"

	"magpie"
	"magpie/internal/git/smarthttp"
)

// Meter counts what a scan has done so far, and estimates how long it will still take. Its zero value is ready; it is safe
// for concurrent use. The counters are about the slice at hand, if the scan is one in slices; Progress adds up all of them.
type Meter struct {
	BytesReceived atomic.Int64
	Objects       atomic.Int64
	ObjectsTotal  atomic.Int64
	Blobs         atomic.Int64
	BlobBytes     atomic.Int64
	Findings      atomic.Int64
	Skipped       atomic.Int64

	phase atomic.Value // magpie.ScanPhase

	mu        sync.Mutex
	begun     time.Time
	estimator estimator
	before    magpie.Progress // of earlier slices
	remote    Remote
}

// Remote is how far the fetching is.
type Remote struct {
	Message string // what the server said last to people: one line that can't steer a terminal; empty if nothing
	Slice   int    // the number of the slice, from 1; 0 if all comes in one
	// Commits and CommitsTotal are how much of the history was scanned in earlier slices, in commits. The total is 0 where
	// it is not known.
	Commits, CommitsTotal int64
}

// Progress returns the present counts. The estimate of the time left is made from how they grew between calls, so it gets
// better if it is called about once a second.
func (m *Meter) Progress() magpie.Progress {
	p := magpie.Progress{
		BytesReceived: m.BytesReceived.Load(),
		Objects:       m.Objects.Load(),
		ObjectsTotal:  m.ObjectsTotal.Load(),
		Blobs:         m.Blobs.Load(),
		BlobBytes:     m.BlobBytes.Load(),
		Findings:      m.Findings.Load(),
		Skipped:       m.Skipped.Load(),
	}
	p.Phase, _ = m.phase.Load().(magpie.ScanPhase)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun.IsZero() {
		m.begun = time.Now()
	}
	p.Left = m.estimator.observe(stand{time.Since(m.begun), p.Phase, p.BytesReceived, p.Objects, p.ObjectsTotal})
	if m.remote.Slice > 0 {
		p.Left = 0 // what is left of a slice is not what is left of the scan
	}
	p.BytesReceived += m.before.BytesReceived
	p.Objects += m.before.Objects
	p.ObjectsTotal += m.before.ObjectsTotal
	p.Blobs += m.before.Blobs
	p.BlobBytes += m.before.BlobBytes
	p.Findings += m.before.Findings
	p.Skipped += m.before.Skipped
	return p
}

// Remote returns how far the fetching is.
func (m *Meter) Remote() Remote {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.remote
}

// fold counts the present slice among the earlier ones.
func (m *Meter) fold() { m.resume(m.Progress()) }

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

// told is the progress function of a server. That it sends is seen from what arrives.
func (m *Meter) told(p smarthttp.Progress) {
	m.mu.Lock()
	m.remote.Message = p.Remote
	m.mu.Unlock()
	switch p.Phase {
	case smarthttp.PhaseCounting:
		m.enter(magpie.PhaseCounting)
	case smarthttp.PhaseCompressing:
		m.enter(magpie.PhaseCompressing)
	default:
		return
	}
	m.Objects.Store(p.Done)
	m.ObjectsTotal.Store(p.Total)
}

// slice begins a slice.
func (m *Meter) slice(number int, commits, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remote.Slice, m.remote.Commits, m.remote.CommitsTotal = number, commits, total
}

// enter begins a phase whose counts start anew.
func (m *Meter) enter(phase magpie.ScanPhase) {
	if m.phase.Swap(phase) != phase {
		m.Objects.Store(0)
		m.ObjectsTotal.Store(0)
	}
}

// Received is the progress function of a transfer.
func (m *Meter) Received(bytes, done, total int64) { m.received(bytes, done, total) }

// received is Received.
func (m *Meter) received(bytes, done, total int64) {
	m.enter(magpie.PhaseReceiving)
	m.BytesReceived.Store(bytes)
	m.Objects.Store(done)
	m.ObjectsTotal.Store(total)
}

// indexed is the progress function of reading a pack that is here already, to find where its objects start.
func (m *Meter) indexed(_, done, total int64) {
	m.enter(magpie.PhaseIndexing)
	m.Objects.Store(done)
	m.ObjectsTotal.Store(total)
}

// objects is the progress function of a walk over blobs.
func (m *Meter) objects(done, total int64) {
	m.enter(magpie.PhaseScanning)
	m.Objects.Store(done)
	m.ObjectsTotal.Store(total)
}

// placed is the progress function of placing what was found.
func (m *Meter) placed(done, total int64) {
	m.enter(magpie.PhasePlacing)
	m.Objects.Store(done)
	m.ObjectsTotal.Store(total)
}

// checked is the progress function of looking for missing objects.
func (m *Meter) checked(done, total int64) {
	m.enter(magpie.PhaseChecking)
	m.Objects.Store(done)
	m.ObjectsTotal.Store(total)
}
