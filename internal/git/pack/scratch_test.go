package pack_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"magpie/internal/git"
	"magpie/internal/git/pack"
)

// TestScratch walks a pack that expands to some megabytes, more than once, however much of it could be kept expanded, and
// expects the same objects each time.
func TestScratch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	var entries []raw
	want := map[string]int{}
	for i := range 60 {
		size := []int{10, 3000, 100_000, 300_000, 700_000}[i%5]
		var text strings.Builder
		for text.Len() < size {
			text.WriteString([]string{"alpha ", "beta ", "gamma ", "delta\n"}[rnd.IntN(4)])
		}
		entries = append(entries, blob(text.String()))
		want[text.String()]++
	}
	data := build(0, entries...)
	for name, tc := range map[string]struct {
		most  int64 // bytes that may go to the disk
		total int64 // that are asked for at least
	}{"all": {1 << 40, 10 << 20}, "some": {3 << 20, 3 << 20}, "none": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			var asked, written int64
			limits := pack.Limits{Scratch: func(n int64) bool {
				if asked += n; written+n > tc.most {
					return false
				}
				written += n
				return true
			}}
			spooled, err := pack.Spool(t.Context(), bytes.NewReader(data), t.TempDir(), git.SHA1, limits, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer spooled.Close()
			if asked < tc.total {
				t.Errorf("asked for %d bytes of disk, want at least %d", asked, tc.total)
			}
			for range 2 {
				got := map[string]int{}
				report, err := spooled.Walk(t.Context(), git.WalkOptions{Workers: 1}, func(int) git.Visitor {
					return func(o git.Object) error {
						got[string(o.Data)]++
						return nil
					}
				})
				if err != nil || report.Skipped > 0 || len(got) != len(want) {
					t.Errorf("%d of %d objects, %d skipped, error %v", len(got), len(want), report.Skipped, err)
				}
				for text := range got {
					if want[text] == 0 {
						t.Errorf("an object of %d bytes came that is not in the pack", len(text))
					}
				}
			}
		})
	}
}
