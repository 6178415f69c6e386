package detect_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"magpie/internal/detect"
	"magpie/internal/detect/detecttest"
	"magpie/rules"
)

// source returns real source to measure on: this repository's own, or what MAGPIE_BENCH_TREE names.
func source(b *testing.B) (files [][]byte, size int64) {
	b.Helper()
	root := os.Getenv("MAGPIE_BENCH_TREE")
	if root == "" {
		root = "../.."
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files, size = append(files, data), size+int64(len(data))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return files, size
}

// BenchmarkScan measures throughput with ten rules and with all, with and without decoding.
func BenchmarkScan(b *testing.B) {
	all, err := rules.All()
	if err != nil {
		b.Fatal(err)
	}
	files, size := source(b)
	for _, bm := range []struct {
		name  string
		rules int
		opts  detect.Options
	}{{"10 rules", 10, detect.Options{}}, {"all rules", len(all), detect.Options{}}, {"all rules, no decoding", len(all), detect.Options{NoDecode: true}}} {
		b.Run(bm.name, func(b *testing.B) {
			e, err := detect.New(all[:bm.rules], bm.opts)
			if err != nil {
				b.Fatal(err)
			}
			s := e.NewScanner()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, f := range files {
					s.Scan(f)
				}
			}
		})
	}
}

// cpu returns the CPU time of this process so far, which tells more than the clock on a machine that does other work.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStart measures parsing all rules and building the engine.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		all, err := rules.All()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := detect.New(all, detect.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHostile measures lines without breaks that hold, over and over, what the engine looks at more closely.
func BenchmarkHostile(b *testing.B) {
	e := engine(b, detect.Options{})
	s := e.NewScanner()
	var literals []string
	for _, r := range e.Rules() {
		r.Anchors(func(text string, _ bool) { literals = append(literals, text) })
	}
	slices.Sort(literals)
	for _, shape := range detecttest.Shapes(slices.Compact(literals)) {
		text := shape.Text(1 << 20)
		b.Run(shape.Name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			s.Scan(text) // compiles what it needs
			before := cpu(b)
			for b.Loop() {
				s.Scan(text)
			}
			b.ReportMetric(float64(b.N*len(text))/float64((cpu(b)-before).Microseconds()), "cpuMB/s")
			b.ReportMetric(float64(len(s.Scan(text))), "found")
			b.ReportMetric(float64(len(s.Skipped())), "skipped")
		})
	}
}
