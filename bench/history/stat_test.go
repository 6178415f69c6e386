package main

import (
	"math"
	"testing"
	"time"

	"magpie/bench/measure"
)

func TestMediansOfASeriesAreEachOfTheirOwn(t *testing.T) {
	s := series{Runs: []measure.Figures{{CPU: 3, Wall: 10, Peak: 5}, {CPU: 1, Wall: 30, Peak: 6}, {CPU: 2, Wall: 20, Peak: 1}}}
	if s.cpu() != 2 || s.wall() != 20 || s.peak() != 5 {
		t.Errorf("got %d, %d, %d; want 2, 20, 5", s.cpu(), s.wall(), s.peak())
	}
}

func TestSteady(t *testing.T) {
	s := series{Runs: []measure.Figures{{Found: &measure.Tally{Findings: 2, Secrets: 1}}, {Found: &measure.Tally{Findings: 2, Secrets: 1}}}}
	if !s.steady() {
		t.Error("equal findings are not steady")
	}
	s.Runs = append(s.Runs, measure.Figures{Found: &measure.Tally{Findings: 2, Secrets: 2}})
	if s.steady() {
		t.Error("different findings are steady")
	}
	if s = (series{Runs: []measure.Figures{{}, {}}}); !s.steady() {
		t.Error("a program without findings is not steady")
	}
}

func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-9
}

func TestPowers(t *testing.T) {
	linear, quadratic := []point{{10, 3}, {20, 6}, {80, 24}}, []point{{1, 2}, {3, 18}, {10, 200}}
	tests := []struct {
		name string
		got  float64
		want float64
	}{
		{"proportional step", slope(linear[0], linear[1]), 1},
		{"quadratic step", slope(quadratic[0], quadratic[1]), 2},
		{"step down", slope(quadratic[1], quadratic[0]), 2},
		{"equal sizes", slope(point{5, 1}, point{5, 2}), math.NaN()},
		{"sizes too near", slope(point{100, 1}, point{105, 2}), math.NaN()},
		{"no cost", slope(point{1, 0}, point{2, 1}), math.NaN()},
		{"proportional fit", fit(linear), 1},
		{"quadratic fit", fit(quadratic), 2},
		{"constant fit", fit([]point{{1, 5}, {2, 5}, {4, 5}}), 0},
		{"fit of one", fit(linear[:1]), math.NaN()},
		{"fit of none", fit(nil), math.NaN()},
		{"fit of equal sizes", fit([]point{{5, 1}, {5, 2}}), math.NaN()},
	}
	for _, tt := range tests {
		if !near(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestGrowthIsOfCompleteSeriesBySize(t *testing.T) {
	ok := func(name string, cpu time.Duration) *series {
		return &series{Name: name, Runs: []measure.Figures{{CPU: cpu}}}
	}
	failed := &series{Name: "b", Runs: []measure.Figures{{CPU: 1}}, Failure: "longer than 1s"}
	list := growths([]result{
		{Facts: facts{Name: "large", Blobs: 200}, Series: []*series{ok("a", 20), failed}},
		{Facts: facts{Name: "small", Blobs: 100}, Series: []*series{ok("a", 10), ok("b", 1)}},
	})
	if len(list) != 1 || list[0].program != "a" {
		t.Fatalf("got %+v, want only program a, the other was measured once", list)
	}
	if rows := list[0].rows; len(rows) != 2 || rows[0].facts.Name != "small" || rows[0].cpu != 10 || rows[1].cpu != 20 {
		t.Errorf("got %+v, want the small repository first", list[0].rows)
	}
}
