package git_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
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

// oracle asks git log where every blob was introduced, in lines as placed makes them.
func oracle(repo *gittest.Repo) map[magpie.Hash][]string {
	type change struct {
		in   map[string]string // path → blob, for each parent
		prev map[string]string
	}
	log := repo.Git("log", "--all", "-m", "--root", "--raw", "--no-renames", "--no-abbrev", "-t", "-z",
		"--format=%x01%H%x02%P%x02%an%x02%ae%x02%at%x02%ct%x02%cn%x02%ce%x03")
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
				out[magpie.Hash(blob)] = append(out[magpie.Hash(blob)], line(h[5], commit, path, h[2], h[3], h[4], h[6], h[7], previous))
			}
		}
	}
	return out
}

func line(ctime, commit, path, author, email, atime, committer, cemail string, previous []string) string {
	return fmt.Sprintf("%s %s %q %s <%s> %s by %s <%s> %v", ctime, commit, path, author, email, atime, committer, cemail, previous)
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
			fmt.Sprint(in.AuthorDate.Unix()), in.Committer, in.CommitterEmail, previous))
	}
	return out
}

// weave adds merges of all shapes to a generated history: of up to five branches at once, criss-cross, with the files
// of one side or of another, with folders joined, moved and removed; and refs of all kinds, some at old commits.
func weave(repo *gittest.Repo, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	rev := func(name string) string { return strings.TrimSpace(repo.Git("rev-parse", name)) }
	for round := range 8 {
		branches := strings.Fields(repo.Git("for-each-ref", "--format=%(refname)", "refs/heads"))
		rnd.Shuffle(len(branches), func(i, j int) { branches[i], branches[j] = branches[j], branches[i] })
		var stream strings.Builder
		for i := range min(2, len(branches)) { // each merges the other as it was: criss-cross
			fmt.Fprintf(&stream, "commit %s\nauthor W <w@example.com> %d +0100\ncommitter V <v@example.com> %d -0330\ndata 1\nw\nfrom %s\n",
				branches[i], 1_600_000_000+round, 1_600_000_100+round, rev(branches[i]))
			for _, other := range branches[:min(len(branches), 2+rnd.IntN(4))] {
				if other != branches[i] {
					fmt.Fprintf(&stream, "merge %s\n", rev(other))
				}
			}
			tree := rev(branches[(i+1)%len(branches)] + "^{tree}")
			switch rnd.IntN(4) {
			case 0:
				fmt.Fprintf(&stream, "M 040000 %s \n", tree)
			case 1:
				fmt.Fprintf(&stream, "M 040000 %s joined\n", tree)
			case 2:
				stream.WriteString("D src\nD joined\n")
			}
		}
		repo.Feed([]byte(stream.String()), "fast-import", "--quiet", "--force")
	}
	commits := strings.Fields(repo.Git("rev-list", "--all", "--date-order"))
	var updates strings.Builder
	for i := range 90 {
		kind := []string{"refs/tags/light%d", "refs/pull-requests/%d/from", "refs/heads/old/%d"}[i%3]
		fmt.Fprintf(&updates, "create "+kind+" %s\n", i, commits[rnd.IntN(len(commits))])
	}
	repo.Feed([]byte(updates.String()), "update-ref", "--stdin")
	repo.Git("tag", "-a", "-m", "t", "annotated", commits[len(commits)/2])
	repo.Git("tag", "-a", "-m", "t", "nested", "annotated")
	repo.Git("tag", "-a", "-m", "t", "of-tree", commits[0]+"^{tree}")
	repo.Git("tag", "blob", strings.Fields(repo.Git("ls-tree", "-r", commits[0]))[2])
}

// refsOf lists a repository's refs as a server does.
func refsOf(repo *gittest.Repo) []magpie.Tip {
	var refs []magpie.Tip
	for l := range strings.Lines(repo.Git("for-each-ref", "--format=%(refname) %(objectname)")) {
		f := strings.Fields(l)
		refs = append(refs, magpie.Tip{Ref: f[0], Hash: magpie.Hash(f[1])})
	}
	return refs
}

// checkNow compares what Place says about refs and presence with git rev-list and git ls-tree.
func checkNow(t *testing.T, repo *gittest.Repo, refs []magpie.Tip, branch string, blobs []magpie.Hash, got map[magpie.Hash]git.Placement) {
	t.Helper()
	reached := map[magpie.Hash][]string{}
	for _, r := range refs {
		if _, ok := strings.CutPrefix(strings.TrimSpace(repo.Git("cat-file", "-t", r.Ref+"^{}")), "commit"); !ok {
			continue
		}
		for object := range strings.FieldsSeq(repo.Git("rev-list", "--objects", "--no-object-names", "--missing=allow-any", r.Ref)) {
			if _, ok := got[magpie.Hash(object)]; ok {
				reached[magpie.Hash(object)] = append(reached[magpie.Hash(object)], r.Ref)
			}
		}
	}
	paths := map[magpie.Hash][]string{}
	for entry := range strings.SplitSeq(repo.Git("ls-tree", "-r", "-z", branch), "\x00") {
		if about, path, ok := strings.Cut(entry, "\t"); ok {
			blob := magpie.Hash(strings.Fields(about)[2])
			paths[blob] = append(paths[blob], path)
		}
	}
	for _, b := range blobs {
		p := got[b]
		slices.Sort(reached[b])
		slices.Sort(paths[b])
		if p.RefCount != len(reached[b]) || len(p.Refs) != min(100, p.RefCount) || p.RefsTruncated {
			t.Errorf("blob %s: %d refs, listed %d, truncated %v; git says %d", b, p.RefCount, len(p.Refs), p.RefsTruncated, len(reached[b]))
		}
		for _, r := range p.Refs {
			if _, ok := slices.BinarySearch(reached[b], r); !ok {
				t.Errorf("blob %s: git says that %s does not reach it", b, r)
			}
		}
		if p.PresentCount != len(paths[b]) || p.PresentTruncated {
			t.Errorf("blob %s: present %d times, truncated %v; git says %d", b, p.PresentCount, p.PresentTruncated, len(paths[b]))
		}
		if len(paths[b]) <= 100 {
			if diff := gocmp.Diff(paths[b], p.Present); diff != "" {
				t.Errorf("blob %s is present at (-git +ours):\n%s", b, diff)
			}
		}
		if want := map[bool]magpie.Presence{true: magpie.PresencePresent, false: magpie.PresenceAbsent}[len(paths[b]) > 0]; p.Presence != want {
			t.Errorf("blob %s: presence %q, want %q", b, p.Presence, want)
		}
	}
}

func TestPlaceAgainstGitLog(t *testing.T) {
	for seed := range uint64(4) {
		format := []string{"sha1", "sha256"}[seed%2]
		t.Run(fmt.Sprintf("%s seed %d", format, seed), func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t, format)
			repo.Generate(seed, 200)
			weave(repo, seed)
			refs := refsOf(repo)
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
			opts := git.PlaceOptions{Refs: refs, Default: "refs/heads/main"}
			got, report, err := git.Place(context.Background(), r, blobs, opts)
			if err != nil || report.Skipped != 0 {
				t.Fatalf("Place: %v, skipped %d", err, report.Skipped)
			}
			checkNow(t, repo, refs, opts.Default, blobs, got)
			for _, opts.Workers = range []int{1, 3, 8} {
				again, _, err := git.Place(context.Background(), r, blobs, opts)
				if diff := gocmp.Diff(got, again); err != nil || diff != "" {
					t.Errorf("%d workers: %v (-before +now):\n%s", opts.Workers, err, diff)
				}
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

// realRefs picks branches and tags of a real repository, fewer than a hundred, since git is asked about each.
func realRefs(repo *gittest.Repo) []magpie.Tip {
	head := strings.TrimSpace(repo.Git("rev-parse", "--symbolic-full-name", "HEAD"))
	all := refsOf(repo)
	step := len(all)/60 + 1
	return slices.DeleteFunc(all, func(r magpie.Tip) bool {
		step--
		if step == 0 {
			step = len(all)/60 + 1
		}
		return r.Ref != head && step != 1
	})
}

// TestPlaceRealRepository compares thousands of blobs of the repository named by MAGPIE_TEST_REPO.
func TestPlaceRealRepository(t *testing.T) {
	dir := os.Getenv("MAGPIE_TEST_REPO")
	if dir == "" {
		t.Skip("MAGPIE_TEST_REPO names no repository; generated ones are compared by TestPlaceAgainstGitLog")
	}
	repo := gittest.At(t, dir)
	want := oracle(repo)
	var blobs []magpie.Hash
	for _, b := range slices.Sorted(maps.Keys(want)) {
		if len(blobs) < 20_000 {
			blobs = append(blobs, b)
		}
	}
	r, err := pack.Open(dir, pack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	refs := realRefs(repo)
	branch := strings.TrimSpace(repo.Git("rev-parse", "--symbolic-full-name", "HEAD"))
	start := time.Now()
	got, report, err := git.Place(context.Background(), r, blobs, git.PlaceOptions{Refs: refs, Default: branch, MaxPerBlob: 1 << 30})
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
	checkNow(t, repo, refs, branch, blobs, got)
	t.Logf("%d blobs, %d introductions in %v", len(blobs), n, took)
}
