package measure

import (
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	same := func(d time.Duration) time.Duration { return d }
	tests := []struct {
		name string
		in   []time.Duration
		want time.Duration
	}{
		{"none", nil, 0},
		{"one", []time.Duration{7}, 7},
		{"odd, unsorted", []time.Duration{9, 1, 5}, 5},
		{"even", []time.Duration{8, 2, 100, 4}, 6},
	}
	for _, tt := range tests {
		if got := Median(tt.in, same); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
