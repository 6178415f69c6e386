package git_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
)

// oracle asks git log where every blob was introduced: lines "blob commit path author email adate previous...".
func oracle(repo *gittest.Repo) map[magpie.Hash][]string {
	type change struct {
		in   map[string]string // path → blob, for each parent
		prev map[string]string
	}
	log := repo.Git("log", "--all", "-m", "--root", "--raw", "--no-renames", "--no-abbrev", "-t", "-z",
		"--format=%x01%H%x02%P%x02%an%x02%ae%x02%at%x02%ct%x03")
	byCommit := map[string][]change{}
	head := map[string][]string{}
	for block := range strings.SplitSeq(log, "\x01") {
		meta, raw, ok := strings.Cut(block, "\x03")
		if !ok {
			continue
		}
		fields := strings.Split(meta, "\x02")
		head[fields[0]] = fields
		c := change{map[string]string{}, map[string]string{}}
		parts := strings.Split(raw, "\x00")
		for i := 0; i+1 < len(parts); i++ {
			line := strings.TrimLeft(parts[i], "\n")
			if !strings.HasPrefix(line, ":") {
				continue
			}
			f := strings.Fields(line[1:])
			path := parts[i+1]
			i++
			oldBlob := strings.HasPrefix(f[0], "10") || strings.HasPrefix(f[0], "12")
			newBlob := strings.HasPrefix(f[1], "10") || strings.HasPrefix(f[1], "12")
			if newBlob && (f[2] != f[3] || !oldBlob) {
				c.in[path] = f[3]
				c.prev[path] = ""
				if oldBlob {
					c.prev[path] = f[2]
				}
			}
		}
		byCommit[fields[0]] = append(byCommit[fields[0]], c)
	}
	out := map[magpie.Hash][]string{}
	for commit, changes := range byCommit {
		parents := max(1, len(strings.Fields(head[commit][1])))
		if len(changes) < parents {
			continue // the same as one of its parents
		}
		for path, blob := range changes[0].in {
			var previous []string
			in := 0
			for _, c := range changes {
				if c.in[path] == blob {
					in++
					if p := c.prev[path]; p != "" && !slices.Contains(previous, p) {
						previous = append(previous, p)
					}
				}
			}
			if in == parents {
				h := head[commit]
				out[magpie.Hash(blob)] = append(out[magpie.Hash(blob)], line(h[5], commit, path, h[2], h[3], h[4], previous))
			}
		}
	}
	return out
}

func line(ctime, commit, path, author, email, atime string, previous []string) string {
	return fmt.Sprintf("%s %s %q %s <%s> %s %v", ctime, commit, path, author, email, atime, previous)
}

// placed brings what Place found into the form of the oracle.
func placed(p git.Placement) []string {
	var out []string
	for _, in := range p.Introductions {
		var previous []string
		for _, h := range in.Previous {
			previous = append(previous, string(h))
		}
		out = append(out, line(fmt.Sprint(in.CommitterDate.Unix()), string(in.Commit), in.Path, in.Author, in.Email,
			fmt.Sprint(in.AuthorDate.Unix()), previous))
	}
	return out
}

func TestPlaceAgainstGitLog(t *testing.T) {
	for seed := range uint64(4) {
		format := []string{"sha1", "sha256"}[seed%2]
		t.Run(fmt.Sprintf("%s seed %d", format, seed), func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, format)
			repo.Generate(seed, 200)
			want := oracle(repo)
			r, err := pack.Open(repo.Dir, pack.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var blobs []magpie.Hash
			for id, o := range repo.Objects() {
				if o.Kind == "blob" {
					blobs = append(blobs, magpie.Hash(id))
				}
			}
			got, report, err := git.Place(context.Background(), r, blobs, git.PlaceOptions{})
			if err != nil || report.Skipped != 0 {
				t.Fatalf("Place: %v, skipped %d", err, report.Skipped)
			}
			several := 0
			for _, b := range blobs {
				slices.SortFunc(want[b], cmp.Compare)
				have := placed(got[b])
				slices.SortFunc(have, cmp.Compare)
				if diff := gocmp.Diff(want[b], have); diff != "" {
					t.Fatalf("blob %s (-git +ours):\n%s", b, diff)
				}
				if !slices.IsSortedFunc(got[b].Introductions, func(a, b git.Introduction) int { return a.CommitterDate.Compare(b.CommitterDate) }) {
					t.Errorf("blob %s: introductions are not in the order of time", b)
				}
				for _, in := range got[b].Introductions {
					if in.ParentUnknown {
						t.Errorf("blob %s: parent unknown in a complete repository", b)
					}
				}
				if len(have) > 1 {
					several++
				}
			}
			if several < 20 {
				t.Errorf("only %d blobs were introduced several times; the repository does not test much", several)
			}
		})
	}
}

// TestPlaceRealRepository compares some hundred blobs of the repository named by MAGPIE_TEST_REPO.
func TestPlaceRealRepository(t *testing.T) {
	dir := os.Getenv("MAGPIE_TEST_REPO")
	if dir == "" {
		t.Skip("MAGPIE_TEST_REPO names no repository; generated ones are compared by TestPlaceAgainstGitLog")
	}
	repo := gittest.At(t, dir)
	want := oracle(repo)
	var blobs []magpie.Hash
	for _, b := range slices.Sorted(maps.Keys(want)) {
		if len(blobs) < 500 && (b[1] == '7' || b[1] == '3') {
			blobs = append(blobs, b)
		}
	}
	r, err := pack.Open(dir, pack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	got, report, err := git.Place(context.Background(), r, blobs, git.PlaceOptions{})
	if err != nil || report.Skipped != 0 {
		t.Fatalf("Place: %v, skipped %v", err, report.Why)
	}
	took, n := time.Since(start), 0
	for _, b := range blobs {
		slices.Sort(want[b])
		have := placed(got[b])
		slices.Sort(have)
		n += len(have)
		if diff := gocmp.Diff(want[b], have); diff != "" {
			t.Errorf("blob %s (-git +ours):\n%s", b, diff)
		}
	}
	t.Logf("%d blobs, %d introductions in %v", len(blobs), n, took)
}
