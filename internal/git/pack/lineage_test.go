package pack_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"magpie/internal/git"
	"magpie/internal/git/pack"
)

// oneTree makes a pack whose objects are all deltas of one another, and returns their contents.
func oneTree(n int) (data []byte, contents []string) {
	rnd := rand.New(rand.NewPCG(5, 6))
	contents = []string{"first " + string(bytes.Repeat([]byte("some text "), 20))}
	entries := []raw{blob(contents[0])}
	offs := []int64{12}
	for i := 1; i < n; i++ {
		offs = append(offs, offs[i-1]+int64(len(entries[i-1].append(nil))))
		base := rnd.IntN(i)
		from := contents[base]
		cut, added := 2+rnd.IntN(len(from)-2), fmt.Sprint("new ", i, " ")
		result := from[:cut] + added + from[cut:]
		entries = append(entries, raw{typ: ofsDelta, distance: offs[i] - offs[base], data: delta(int64(len(from)), int64(len(result)),
			copyOp(0, uint32(cut/2)), copyOp(uint32(cut/2), uint32(cut-cut/2)), insert(added), copyOp(uint32(cut), uint32(len(from)-cut)))})
		contents = append(contents, result)
	}
	return build(0, entries...), contents
}

// TestLineages walks one large tree of deltas with several workers, who go on slowly until all the others have had an
// object, which they come to only if the tree is shared. Each object must come once, with the note on the very object that
// it was made of and the copies that say how.
func TestLineages(t *testing.T) {
	const workers = 4
	data, contents := oneTree(600)
	ctx := t.Context()
	spooled, err := pack.Spool(ctx, bytes.NewReader(data), t.TempDir(), git.SHA1, pack.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer spooled.Close()
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	all.Add(workers)
	met := make(chan struct{})
	go func() { all.Wait(); close(met) }()
	report, err := spooled.WalkLineages(ctx, git.WalkOptions{Workers: workers}, func(int) git.VersionVisitor {
		own := 0
		return func(v *git.Version) (any, error) {
			mu.Lock()
			seen[string(v.Data)]++
			mu.Unlock()
			checkCopies(t, v)
			if own++; own == 1 {
				all.Done()
			}
			select {
			case <-met:
			case <-time.After(5 * time.Millisecond):
			}
			return string(v.Data), nil
		}
	})
	if err != nil || report.Objects != int64(len(contents)) || report.Skipped > 0 {
		t.Fatalf("%+v, %v; want %d objects", report, err, len(contents))
	}
	select {
	case <-met:
	case <-time.After(time.Minute): // it may have to wait for its turn to say so
		t.Error("not all workers were given something to do")
	}
	for _, c := range contents {
		if seen[c] != 1 {
			t.Errorf("%.40q was handed out %d times", c, seen[c])
		}
	}
}

// checkCopies fails unless the copies of v are what it has from its base, which its note holds.
func checkCopies(t *testing.T, v *git.Version) {
	t.Helper()
	base, _ := v.Base.(string)
	if (base == "") != (len(v.Copies) == 0) {
		t.Errorf("%d copies from a base of %d bytes", len(v.Copies), len(base))
	}
	end := 0
	for i, c := range v.Copies {
		if c.To < end || c.Len < 1 || base[c.From:c.From+c.Len] != string(v.Data[c.To:c.To+c.Len]) {
			t.Errorf("copy %+v of base %.40q is not in %.40q", c, base, v.Data)
		}
		if i > 0 && v.Copies[i-1].From+v.Copies[i-1].Len == c.From && end == c.To {
			t.Errorf("copies %+v and %+v lie together in both and are two", v.Copies[i-1], c)
		}
		end = c.To + c.Len
	}
}
