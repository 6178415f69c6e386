package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"magpie"
)

// Jobs that are not let in wait longer each time, and never for so long that nobody sees them resume.
func TestWaitsGrow(t *testing.T) {
	for _, tt := range []struct {
		kind     magpie.Kind
		metadata string
		want     time.Duration
	}{
		{magpie.KindTokenInvalid, ``, 30 * time.Second},
		{magpie.KindTokenInvalid, `{"snoozes":1}`, time.Minute},
		{magpie.KindNoLicence, `{"snoozes":3}`, 2 * time.Minute},
		{magpie.KindTokenInvalid, `{"snoozes":5000}`, 10 * time.Minute},
		{magpie.KindRateLimited, `{"snoozes":5000}`, 10 * time.Second},
	} {
		err := outcome(magpie.Errorf(tt.kind, "no"), waited(&rivertype.JobRow{Metadata: []byte(tt.metadata)}))
		snooze, ok := errors.AsType[*rivertype.JobSnoozeError](err)
		if !ok || snooze.Duration != tt.want || !waits(tt.kind) {
			t.Errorf("%s after %s: %v, want a wait of %s", tt.kind, tt.metadata, err, tt.want)
		}
	}
}
