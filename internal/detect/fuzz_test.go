package detect_test

import (
	"testing"

	"magpie/internal/detect"
)

// FuzzScan expects no panic, offsets within the file, matches in order, and the same answer twice.
func FuzzScan(f *testing.F) {
	e := engine(f, detect.Options{})
	for _, r := range e.Rules() {
		for _, m := range r.Match {
			f.Add([]byte(m))
		}
	}
	f.Add([]byte("password=\"\x00\\\""))
	f.Add([]byte("secret:"))
	s := e.NewScanner()
	f.Fuzz(func(t *testing.T, data []byte) {
		type place struct {
			id         string
			start, end int
		}
		var first []place
		lines := detect.NewLines(data)
		for _, m := range s.Scan(data) {
			first = append(first, place{string(m.Rule.ID), m.Start, m.End})
			if m.Start < 0 || m.End > len(data) || m.Start >= m.End || m.MatchStart > m.Start || m.MatchEnd < m.End {
				t.Errorf("%s: bounds %d-%d in match %d-%d of %d bytes", m.Rule.ID, m.Start, m.End, m.MatchStart, m.MatchEnd, len(data))
			}
			if m.WindowStart > m.MatchStart || m.WindowEnd < m.MatchEnd || m.WindowStart < 0 || m.WindowEnd > len(data) {
				t.Errorf("%s: window %d-%d does not hold the match %d-%d", m.Rule.ID, m.WindowStart, m.WindowEnd, m.MatchStart, m.MatchEnd)
			}
			if l, c, l2, _ := lines.Range(m); l < 1 || c < 1 || l2 < l {
				t.Errorf("%s: lines %d to %d, column %d", m.Rule.ID, l, l2, c)
			}
		}
		again := s.Scan(data)
		if len(again) != len(first) {
			t.Fatalf("second scan found %d, first %d", len(again), len(first))
		}
		for i, m := range again {
			if (place{string(m.Rule.ID), m.Start, m.End}) != first[i] {
				t.Errorf("second scan differs at match %d", i)
			}
		}
	})
}
