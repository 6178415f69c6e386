package decode

import (
	"math/rand/v2"
	"testing"
)

// naiveRun is nextRun as anybody would write it.
func naiveRun(data []byte, from, to int) (start, end int, ok bool) {
	for start = from; start < to; start++ {
		end = start
		for end < len(data) && class[data[end]]&inBase64 != 0 {
			end++
		}
		if end-start >= MinRun {
			return start, end, true
		}
	}
	return 0, 0, false
}

// TestNextRun compares the ways to find long runs on random texts whose runs are about as long as counts.
func TestNextRun(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	found := 0
	for range 3000 {
		data := make([]byte, rnd.IntN(1500))
		for i := range data {
			switch rnd.IntN(20) {
			case 0:
				data[i] = byte(rnd.IntN(256))
			case 1:
				data[i] = []byte(" ,@`[{:.^\x80\xff\x00")[rnd.IntN(12)]
			default:
				data[i] = []byte("azAZ09+/-_MmpP5")[rnd.IntN(15)]
			}
		}
		from := rnd.IntN(len(data) + 1)
		to := from + rnd.IntN(len(data)-from+1)
		for {
			start, end, ok := naiveRun(data, from, to)
			s, e, k := nextRun(data, from, to)
			ps, pe, pk := nextRunPlain(data, from, from, to)
			if s != start || e != end || k != ok || ps != start || pe != end || pk != ok {
				t.Fatalf("in %q[%d:%d]: got %d, %d, %t, plain %d, %d, %t, want %d, %d, %t", data, from, to, s, e, k, ps, pe, pk, start, end, ok)
			}
			if !ok {
				break
			}
			found++
			from = min(end, to)
		}
	}
	if found < 1000 {
		t.Errorf("only %d runs: too few to tell anything", found)
	}
}
