// Package patient writes answers of any length to readers of any speed. A server gives each answer a time in which all of it must
// have been read, which cuts off long ones; a Writer gives the reader time for each part instead.
package patient

import (
	"io"
	"net/http"
	"time"
)

// How long a reader may take for each part of an answer, and for all of it: one who takes a byte now and then would hold a
// connection for ever. Between two parts nothing else is held.
const (
	Part = time.Minute
	All  = time.Hour
)

// Writer moves the deadline of an HTTP answer with each write. It is for one goroutine.
type Writer struct {
	w    io.Writer
	now  func() time.Time
	last time.Time // when the answer must have been read
}

// NewWriter returns a writer to w, which counts from now on. A w that is not an HTTP answer has no deadline.
func NewWriter(w io.Writer) *Writer { return newWriter(w, time.Now) }

func newWriter(w io.Writer, now func() time.Time) *Writer { return &Writer{w, now, now().Add(All)} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if answer, ok := w.w.(http.ResponseWriter); ok {
		deadline := w.now().Add(Part)
		if deadline.After(w.last) {
			deadline = w.last
		}
		_ = http.NewResponseController(answer).SetWriteDeadline(deadline) // not every writer in a test can
	}
	return w.w.Write(p)
}
