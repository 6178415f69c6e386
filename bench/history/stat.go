package main

import (
	"cmp"
	"math"
	"slices"
	"time"

	"magpie/bench/measure"
)

func (s *series) cpu() time.Duration {
	return measure.Median(s.Runs, func(f measure.Figures) time.Duration { return f.CPU })
}

func (s *series) wall() time.Duration {
	return measure.Median(s.Runs, func(f measure.Figures) time.Duration { return f.Wall })
}

func (s *series) peak() int64 {
	return measure.Median(s.Runs, func(f measure.Figures) int64 { return f.Peak })
}

func (s *series) server() time.Duration {
	return measure.Median(s.Runs, func(f measure.Figures) time.Duration { return f.Server })
}

// complete reports whether all runs went well, so that the series may be quoted.
func (s *series) complete() bool { return s.Failure == "" && !s.absent && len(s.Runs) > 0 }

// steady reports whether every run found the same.
func (s *series) steady() bool {
	return !slices.ContainsFunc(s.Runs, func(f measure.Figures) bool { return f.Found != nil && *f.Found != *s.Runs[0].Found })
}

// point is a size and what it cost.
type point struct{ size, cost float64 }

// minStep is the least difference in size, as a logarithm, from which a slope is told: about a tenth.
const minStep = 0.1

// slope returns the power with which cost grows with size from one point to another: 1 is proportional, 2 quadratic. It
// is NaN if the sizes are too near to each other.
func slope(a, b point) float64 {
	step := math.Log(b.size / a.size)
	if math.Abs(step) < minStep || math.IsNaN(step) || a.cost <= 0 || b.cost <= 0 {
		return math.NaN()
	}
	return math.Log(b.cost/a.cost) / step
}

// fit returns the same power for many points, by least squares of the logarithms. It is NaN if there is no spread.
func fit(points []point) float64 {
	var x, y, n float64
	for _, p := range points {
		if p.size <= 0 || p.cost <= 0 {
			return math.NaN()
		}
		x, y, n = x+math.Log(p.size), y+math.Log(p.cost), n+1
	}
	x, y = x/n, y/n
	var above, below float64
	for _, p := range points {
		d := math.Log(p.size) - x
		above, below = above+d*(math.Log(p.cost)-y), below+d*d
	}
	if n < 2 || below < minStep*minStep/2 {
		return math.NaN()
	}
	return above / below
}

// measured is one program's cost on one repository.
type measured struct {
	facts facts
	cpu   time.Duration
}

// growth is one program over all repositories, from the fewest objects to the most.
type growth struct {
	program string
	rows    []measured
}

func (g growth) points(size func(facts) float64) []point {
	var all []point
	for _, row := range g.rows {
		all = append(all, point{size(row.facts), row.cpu.Seconds()})
	}
	return all
}

// growths collects the programs that were measured on two repositories or more, in the order of the first table.
func growths(all []result) []growth {
	var list []growth
	for _, r := range all {
		for _, s := range r.Series {
			if !s.complete() {
				continue
			}
			i := slices.IndexFunc(list, func(g growth) bool { return g.program == s.Name })
			if i < 0 {
				i, list = len(list), append(list, growth{program: s.Name})
			}
			list[i].rows = append(list[i].rows, measured{r.Facts, s.cpu()})
		}
	}
	list = slices.DeleteFunc(list, func(g growth) bool { return len(g.rows) < 2 })
	for _, g := range list {
		slices.SortStableFunc(g.rows, func(a, b measured) int { return cmp.Compare(a.facts.objects(), b.facts.objects()) })
	}
	return list
}

func objectsOf(f facts) float64 { return float64(f.objects()) }

func packOf(f facts) float64 { return float64(f.Pack) }
