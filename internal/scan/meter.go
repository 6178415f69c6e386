package scan

import (
	"sync/atomic"

	"magpie"
)

// Meter counts what a scan has done so far. Its zero value is ready; it is safe for concurrent use.
type Meter struct {
	BytesReceived atomic.Int64
	Objects       atomic.Int64
	ObjectsTotal  atomic.Int64
	Blobs         atomic.Int64
	BlobBytes     atomic.Int64
	Findings      atomic.Int64
	Skipped       atomic.Int64
}

// Progress returns the present counts.
func (m *Meter) Progress() magpie.Progress {
	return magpie.Progress{
		BytesReceived: m.BytesReceived.Load(),
		Objects:       m.Objects.Load(),
		ObjectsTotal:  m.ObjectsTotal.Load(),
		Blobs:         m.Blobs.Load(),
		BlobBytes:     m.BlobBytes.Load(),
		Findings:      m.Findings.Load(),
		Skipped:       m.Skipped.Load(),
	}
}

// received is the progress function of a transfer.
func (m *Meter) received(bytes, _, total int64) {
	m.BytesReceived.Store(bytes)
	m.ObjectsTotal.Store(total)
}

// objects is the progress function of a walk.
func (m *Meter) objects(done, total int64) {
	m.Objects.Store(done)
	m.ObjectsTotal.Store(total)
}
