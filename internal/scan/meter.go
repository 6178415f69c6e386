package scan

import (
	"sync"
	"sync/atomic"
	"time"

	"magpie"
)

// Meter counts what a scan has done so far, and estimates how long it will still take. Its zero value is ready; it is safe
// for concurrent use.
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
	return p
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
