package patient

import (
	"net/http/httptest"
	"testing"
	"time"
)

// deadlines is a response that notes how long each write may take.
type deadlines struct {
	*httptest.ResponseRecorder
	last time.Time
}

// SetWriteDeadline is what http.ResponseController calls.
func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.last = t
	return nil
}

// A reader has time for each part, but can't hold a connection for ever by taking a byte now and then.
func TestWriterEnds(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := began
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	w := newWriter(d, func() time.Time { return now })
	for _, step := range []struct{ after, want time.Duration }{
		{0, Part},
		{10 * Part, 11 * Part},
		{All - Part/2, All},
		{All + Part, All},
	} {
		now = began.Add(step.after)
		if _, err := w.Write([]byte("a,b\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := d.last.Sub(began); got != step.want {
			t.Errorf("what is written after %s may take until %s, want %s", step.after, got, step.want)
		}
	}
}
