package scan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"magpie"
)

// recorded reads a sequence of observations.
func recorded(t *testing.T, path string) []stand {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []stand
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var s stand
		var ms int64
		if _, err := fmt.Sscan(line, &ms, (*string)(&s.phase), &s.bytes, &s.done, &s.total); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		s.at = time.Duration(ms) * time.Millisecond
		all = append(all, s)
	}
	return all
}

// steady makes observations of a phase that takes that long.
func steady(phase magpie.ScanPhase, from, length time.Duration, total int64) []stand {
	var all []stand
	for at := time.Duration(0); at <= length; at += time.Second {
		done := int64(float64(total) * at.Seconds() / length.Seconds())
		all = append(all, stand{from + at, phase, done * 100, done, total})
	}
	return all
}

// sequences are scans as they may go, good and bad.
func sequences(t *testing.T) map[string][]stand {
	stalled := steady(magpie.PhaseReceiving, 0, time.Minute, 6000)
	for i := 20; i < len(stalled); i++ {
		stalled[i].bytes, stalled[i].done = stalled[20].bytes, stalled[20].done
	}
	var wild []stand
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		wild = append(wild, stand{
			time.Duration(i) * time.Second, []magpie.ScanPhase{magpie.PhaseReceiving, magpie.PhaseScanning, magpie.PhasePlacing}[i/100],
			random.Int64N(1e12), random.Int64N(1e6), random.Int64N(1e6),
		})
	}
	slices := append(steady(magpie.PhaseReceiving, 0, 30*time.Second, 3000), steady(magpie.PhaseScanning, 31*time.Second, 20*time.Second, 2000)...)
	slices = append(slices, steady(magpie.PhaseReceiving, 52*time.Second, 30*time.Second, 5000)...)
	jump := steady(magpie.PhaseScanning, 0, time.Hour, 1_000_000)
	for i := 600; i < len(jump); i++ {
		jump[i].done = min(jump[i].done+500_000, jump[i].total)
	}
	return map[string][]stand{
		"recorded": recorded(t, "testdata/progress.txt"), "stalled": stalled, "wild": wild, "fetched in parts": slices, "sudden jump": jump,
	}
}

func TestEstimateIsCalm(t *testing.T) {
	for name, seq := range sequences(t) {
		t.Run(name, func(t *testing.T) {
			var e estimator
			last := time.Duration(0)
			for i, s := range seq {
				left := e.observe(s)
				if left < 0 || left > maxEstimate || last > 0 && left < time.Second {
					t.Fatalf("at %s: %s left", s.at, left)
				}
				if last > 0 {
					elapsed := s.at - seq[i-1].at
					bound := time.Duration(float64(last)*0.2*elapsed.Seconds()) + 2*elapsed
					if change := (left - (last - elapsed)).Abs(); change > bound {
						t.Errorf("at %s: from %s to %s, more than %s beside the clock", s.at, last, left, bound)
					}
				}
				last = left
			}
		})
	}
}

// TestEstimateIsRight has phases of a steady pace.
func TestEstimateIsRight(t *testing.T) {
	const length = 100 * time.Second
	for phase, after := range map[magpie.ScanPhase]time.Duration{
		magpie.PhaseScanning: time.Duration(placeShare * float64(length)), magpie.PhasePlacing: 0,
	} {
		var e estimator
		for _, s := range steady(phase, 0, length, 10_000) {
			left := e.observe(s)
			want := length - s.at + after
			if s.at > 5*time.Second && (left-want).Abs() > want/20+time.Second {
				t.Errorf("%s, after %s: %s left, want %s", phase, s.at, left, want)
			}
		}
	}
}

func TestEstimateSaysNothingBeforeItKnows(t *testing.T) {
	var e estimator
	for i, s := range []stand{
		{0, "", 0, 0, 0},
		{1 * time.Second, magpie.PhaseReceiving, 0, 0, 0},
		{5 * time.Second, magpie.PhaseReceiving, 1 << 20, 0, 1000},
		{6 * time.Second, magpie.PhaseReceiving, 2 << 20, 0, 1000},
	} {
		if left := e.observe(s); left != 0 {
			t.Errorf("%d. observation: %s left", i, left)
		}
	}
	if left := e.observe(stand{7 * time.Second, magpie.PhaseReceiving, 3 << 20, 100, 1000}); left < 10*time.Second {
		t.Errorf("%s left, want an estimate", left)
	}
}

// TestEstimateFollows has a transfer that becomes ten times slower.
func TestEstimateFollows(t *testing.T) {
	var e estimator
	var left time.Duration
	for i := range int64(60) {
		left = e.observe(stand{time.Duration(i) * time.Second, magpie.PhasePlacing, 0, i * 100, 20_000})
	}
	for i := range int64(60) {
		left = e.observe(stand{time.Duration(60+i) * time.Second, magpie.PhasePlacing, 0, 6000 + i*10, 20_000})
	}
	if want := 1341 * time.Second; left < want*9/10 || left > want*11/10 {
		t.Errorf("%s left, want about %s", left, want)
	}
}

func TestMeterKnowsItsPhase(t *testing.T) {
	var m Meter
	if p := m.Progress(); p.Phase != "" || p.Left != 0 {
		t.Errorf("before it begins: %+v", p)
	}
	m.received(500, 3, 10)
	if p := m.Progress(); p.Phase != magpie.PhaseReceiving || p.BytesReceived != 500 || p.Objects != 3 || p.ObjectsTotal != 10 {
		t.Errorf("receiving: %+v", p)
	}
	m.objects(1, 4)
	m.placed(2, 8)
	if p := m.Progress(); p.Phase != magpie.PhasePlacing || p.Objects != 2 || p.ObjectsTotal != 8 || p.BytesReceived != 500 {
		t.Errorf("placing: %+v", p)
	}
}
