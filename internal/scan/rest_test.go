package scan

import (
	"fmt"
	"testing"
	"time"

	"magpie"
)

func TestRests(t *testing.T) {
	var r rests
	now := time.Now()
	if got := r.left("a", now); got > 0 {
		t.Errorf("a repository that was never scanned rests for %v", got)
	}
	r.begin("a", now, 100*time.Millisecond)
	r.begin("b", now, time.Minute)
	for _, tt := range []struct {
		repo  magpie.RepoID
		after time.Duration
		want  time.Duration
	}{
		{"a", 0, 1900 * time.Millisecond},
		{"a", 400 * time.Millisecond, 1500 * time.Millisecond},
		{"b", 0, 3 * time.Second},
	} {
		if got := r.left(tt.repo, now.Add(tt.after)); got != tt.want {
			t.Errorf("%s rests for %v after %v, want %v", tt.repo, got, tt.after, tt.want)
		}
	}
	for i := range 5 * restingAtMost {
		now = now.Add(time.Millisecond)
		r.begin(magpie.RepoID(fmt.Sprint(i)), now, time.Millisecond)
	}
	if len(r.until) > restingAtMost {
		t.Errorf("%d rests are remembered, want at most %d", len(r.until), restingAtMost)
	}
}
