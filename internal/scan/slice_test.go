package scan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/detect"
	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/smarthttp"
	"magpie/internal/rule"
	"magpie/internal/scan"
)

// lineRules find about every third line that gittest.Generate writes, so that all its renames, copies, merges and contents
// that come back are about secrets.
const lineRules = `
vendor: Test
rules:
  - id: test-line
    title: Test line
    category: token
    severity: high
    confidence: high
    description: A line of a generated file.
    remediation: None.
    references: ['https://example.com/']
    since: '1.0'
    literals: ['line ']
    pattern: '\bline (?P<secret>[0-5][0-9a-f]{12,15} [0-9a-f]{6,8})\b'
    examples:
      match: ['line <>1234567890abcde 1234567', 'line <>0234567890abcdef 12345678', 'line <>5234567890abcd 123456']
      no_match: ['line 9234567890abcde 1234567', 'line 1']
`

func lineEngine(t testing.TB) *detect.Engine {
	t.Helper()
	all, err := rule.Parse("test.yaml", []byte(lineRules))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detect.New(all, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// generate fills the simulated repository with a random history, tags of a file and of a tree included.
func (b *bundle) generate(seed uint64, commits int) *gittest.Repo {
	b.t.Helper()
	repo := gittest.New(b.t, "sha1")
	repo.Generate(seed, commits)
	blob := strings.TrimSpace(string(repo.Feed([]byte("line 1d7a6fb0ce85923 7ac1fdb\n"), "hash-object", "-w", "--stdin")))
	repo.Git("tag", "file", blob)
	log := strings.Fields(repo.Git("rev-list", "--date-order", "--all"))
	repo.Git("tag", "-a", "-m", "x", "tagged-tree", log[len(log)*2/3]+"^{tree}") // which is not in the last slice
	cmd := exec.Command("git", "-c", "http.extraHeader=Authorization: Bearer "+b.writer().Text, "-C", repo.Dir, "push", "-q", "--mirror", b.sim.CloneURL(b.simRepo.ID))
	cmd.Env = append(gittest.Env(), "GIT_SSL_CAINFO="+b.sim.CAFile())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("git push: %v\n%s", err, out)
	}
	return repo
}

func (b *bundle) writer() bitbucketsim.Token {
	b.t.Helper()
	token, err := b.sim.CreateToken(bitbucketsim.TokenSpec{User: "magpie-bot", Permissions: []string{"REPO_WRITE"}})
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// fetcher is a client of its own for the simulated repository, which loses no time.
func (b *bundle) fetcher(t *testing.T, v scan.Slicing) *scan.Fetcher {
	t.Helper()
	client, err := smarthttp.New(smarthttp.Options{
		HTTP: httpClient(t, b.sim), URL: b.sim.CloneURL(b.simRepo.ID), Token: magpie.NewSecret(b.token.Text),
		Limits: smarthttp.Limits{IdleTimeout: 300 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	if v.Backoff == 0 {
		v.Backoff = time.Millisecond
	}
	return &scan.Fetcher{
		Client: client, Dir: t.TempDir(), Slicing: v,
		Examination: scan.Examination{Engine: lineEngine(t), Progress: new(scan.Meter)},
	}
}

// want is everything that the refs reach.
func want(t *testing.T, f *scan.Fetcher) scan.Want {
	t.Helper()
	listing, err := f.Client.LsRefs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := scan.Want{Format: listing.Format}
	for _, ref := range listing.Refs {
		if !slices.Contains(w.Tips, ref.Hash) {
			w.Tips = append(w.Tips, ref.Hash)
		}
	}
	return w
}

// places describes what was found, in an order of its own. What came in several slices is there once, and a file that came
// without a commit, because a tag names it, does not count if a commit has it, too: the database leaves that out.
func places(all []scan.Place) []string {
	var text []string
	placed := map[magpie.Hash]bool{}
	for _, p := range all {
		placed[p.Blob] = placed[p.Blob] || p.Commit != ""
	}
	for _, p := range all {
		if p.Commit == "" && placed[p.Blob] {
			continue
		}
		text = append(text, fmt.Sprintf("%s %s:%d:%d %s by %s %s standing %t unknown %t", p.Commit, p.File, p.LineStart, p.ColumnStart,
			p.Blob, p.Author, p.Date.UTC(), p.Standing, p.ParentUnknown))
	}
	slices.Sort(text)
	return slices.Compact(text)
}

// collect scans everything and returns the places and the number of slices.
func collect(t *testing.T, f *scan.Fetcher, w scan.Want) ([]scan.Place, int) {
	t.Helper()
	var all []scan.Place
	n, last := 0, false
	err := f.Scan(t.Context(), w, scan.Position{}, func(_ context.Context, s scan.Slice) error {
		if last {
			t.Error("a slice comes after the last")
		}
		n, last = n+1, s.Last
		all = append(all, s.Places...)
		return nil
	})
	if err != nil || !last {
		t.Fatalf("scan ended with %v after %d slices, the last one: %t", err, n, last)
	}
	return all, n
}

// TestSlicesFindTheSame scans a history in one piece and in slices of every kind.
func TestSlicesFindTheSame(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket(nil)
	b.generate(11, 120)
	whole := b.fetcher(t, scan.Slicing{})
	all, n := collect(t, whole, want(t, whole))
	expected := places(all)
	if n != 1 || len(expected) < 500 {
		t.Fatalf("%d places in %d slices, which is too little to compare", len(expected), n)
	}
	for name, tc := range map[string]struct {
		dialect bitbucketsim.GitDialect
		slicing scan.Slicing
		slices  int
		exact   bool
	}{
		"by commits":            {bitbucketsim.GitDialect{}, scan.Slicing{AboveObjects: 100, Objects: 200}, 4, true},
		"commit by commit":      {bitbucketsim.GitDialect{}, scan.Slicing{AboveObjects: 100, Objects: 1}, 100, true},
		"by commits, version 0": {bitbucketsim.GitDialect{OldProtocol: true, AnyHash: true}, scan.Slicing{AboveObjects: 100, Objects: 200}, 4, true},
		"by depth":              {bitbucketsim.GitDialect{NoFilter: true}, scan.Slicing{AboveObjects: 100, Depth: 5}, 6, true},
		"by the least depth":    {bitbucketsim.GitDialect{NoFilter: true}, scan.Slicing{AboveObjects: 100, Depth: 2}, 12, true},
		"by depth, version 1":   {bitbucketsim.GitDialect{Version1: true, AnyHash: true, NoFilter: true}, scan.Slicing{AboveObjects: 100, Depth: 5}, 6, true},
		"by refs":               {bitbucketsim.GitDialect{NoShallow: true}, scan.Slicing{AboveObjects: 100, Objects: 100}, 3, false},
		"by refs, only tips":    {bitbucketsim.GitDialect{OnlyTips: true}, scan.Slicing{AboveObjects: 100, Objects: 100}, 3, false},
		"by refs, version 0":    {bitbucketsim.GitDialect{OldProtocol: true}, scan.Slicing{AboveObjects: 100, Objects: 100}, 3, false},
		"many refs":             {bitbucketsim.GitDialect{}, scan.Slicing{AboveRefs: 3, Objects: 300}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			b.sim.SetGitDialect(tc.dialect)
			defer b.sim.SetGitDialect(bitbucketsim.GitDialect{})
			f := b.fetcher(t, tc.slicing)
			got, n := collect(t, f, want(t, f))
			if n < tc.slices {
				t.Errorf("%d slices, want %d at least", n, tc.slices)
			}
			t.Logf("%d slices, %d bytes; in one piece %d", n, f.Progress.Progress().BytesReceived, whole.Progress.Progress().BytesReceived)
			if tc.exact {
				if diff := cmp.Diff(expected, places(got)); diff != "" {
					t.Errorf("places (-one piece +slices):\n%s", diff)
				}
			}
			if diff := cmp.Diff(secretsOf(all), secretsOf(got)); diff != "" {
				t.Errorf("secrets (-one piece +slices):\n%s", diff)
			}
		})
	}
}

func secretsOf(all []scan.Place) []string {
	var found []string
	for _, p := range all {
		found = append(found, string(p.Secret.Reveal()))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestBrokenTransfers cuts, truncates and stalls packs, and has weak servers whose packs never come over above a size. In
// the end all is found, and nothing else.
func TestBrokenTransfers(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket(nil)
	b.generate(12, 150)
	b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
	f := b.fetcher(t, scan.Slicing{})
	all, _ := collect(t, f, want(t, f))
	expected := places(all)
	size, _ := b.sim.PackBytes()
	random := rand.New(rand.NewPCG(1, 2))
	cuts := func(n int) (after []int64) {
		for range n {
			after = append(after, random.Int64N(size*9/10))
		}
		return after
	}
	for name, tc := range map[string]struct {
		trouble bitbucketsim.PackTrouble
		dialect bitbucketsim.GitDialect
	}{
		"cut once":                   {bitbucketsim.PackTrouble{After: cuts(1)}, bitbucketsim.GitDialect{}},
		"cut often":                  {bitbucketsim.PackTrouble{After: cuts(12)}, bitbucketsim.GitDialect{}},
		"truncated often":            {bitbucketsim.PackTrouble{After: cuts(12), End: bitbucketsim.PackTruncate}, bitbucketsim.GitDialect{}},
		"stalls":                     {bitbucketsim.PackTrouble{After: cuts(4), End: bitbucketsim.PackStall}, bitbucketsim.GitDialect{}},
		"never more than a third":    {bitbucketsim.PackTrouble{Always: size / 3}, bitbucketsim.GitDialect{}},
		"never more than a quarter":  {bitbucketsim.PackTrouble{Always: size / 4}, bitbucketsim.GitDialect{}},
		"cut often, by depth":        {bitbucketsim.PackTrouble{After: cuts(6)}, bitbucketsim.GitDialect{NoFilter: true}},
		"never more, by depth":       {bitbucketsim.PackTrouble{Always: size / 3}, bitbucketsim.GitDialect{NoFilter: true}},
		"not even the commits":       {bitbucketsim.PackTrouble{After: []int64{size / 2, size / 2, 100, 100}}, bitbucketsim.GitDialect{}},
		"cut at once":                {bitbucketsim.PackTrouble{After: []int64{0, 3, 11, 12, 13}}, bitbucketsim.GitDialect{}},
		"cut once, old protocol":     {bitbucketsim.PackTrouble{After: cuts(1)}, bitbucketsim.GitDialect{OldProtocol: true}},
		"old protocol and any hash":  {bitbucketsim.PackTrouble{After: cuts(6)}, bitbucketsim.GitDialect{OldProtocol: true, AnyHash: true}},
		"truncated, by depth and v1": {bitbucketsim.PackTrouble{After: cuts(4), End: bitbucketsim.PackTruncate}, bitbucketsim.GitDialect{Version1: true, AnyHash: true, NoFilter: true}},
	} {
		t.Run(name, func(t *testing.T) {
			b.sim.SetGitDialect(tc.dialect)
			b.sim.SetPackTrouble(tc.trouble)
			defer b.sim.SetGitDialect(bitbucketsim.GitDialect{})
			defer b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
			f := b.fetcher(t, scan.Slicing{})
			got, n := collect(t, f, want(t, f))
			sent, cut := b.sim.PackBytes()
			if cut == 0 {
				t.Error("no pack was cut")
			}
			t.Logf("%d slices, %d packs cut, %d bytes sent, %.2f times the whole", n, cut, sent, float64(sent)/float64(size))
			if diff := cmp.Diff(expected, places(got)); diff != "" {
				t.Errorf("places (-undisturbed +broken):\n%s", diff)
			}
		})
	}
}

// TestGivesUp has a server through which nothing comes: the error says so, and no slice is handed out.
func TestGivesUp(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket([]bitbucketsim.Commit{{Files: map[string]string{"a": "line 3f9c81d2e07ab45 9ac31fe\n"}}})
	for name, d := range map[string]bitbucketsim.GitDialect{
		"by commits": {}, "by depth": {NoFilter: true}, "by refs": {NoShallow: true}, "version 0": {OldProtocol: true},
	} {
		t.Run(name, func(t *testing.T) {
			b.sim.SetGitDialect(d)
			b.sim.SetPackTrouble(bitbucketsim.PackTrouble{Always: 20})
			defer b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
			defer b.sim.SetGitDialect(bitbucketsim.GitDialect{})
			f := b.fetcher(t, scan.Slicing{})
			err := f.Scan(t.Context(), want(t, f), scan.Position{}, func(context.Context, scan.Slice) error {
				t.Error("a slice came")
				return nil
			})
			if magpie.KindOf(err) != magpie.KindUnavailable || !smarthttp.Broken(err) {
				t.Errorf("got %v (kind %q), want that the connection broke", err, magpie.KindOf(err))
			}
		})
	}
}

// TestBusyServers waits for servers that say when to come back, and not for longer than is sensible.
func TestBusyServers(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket([]bitbucketsim.Commit{{Files: map[string]string{"a": "line 3f9c81d2e07ab45 9ac31fe\n"}}})
	after := func(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }
	for name, tc := range map[string]struct {
		set  func(on bool)
		kind magpie.Kind // of the error if it lasts
	}{
		"no ticket": {func(on bool) {
			b.sim.SetBusy(bitbucketsim.Busy{})
			if on {
				b.sim.SetBusy(bitbucketsim.Busy{Share: 1, FetchesOnly: true})
			}
		}, magpie.KindUnavailable},
		"503": {func(on bool) {
			b.sim.SetFailures()
			if on {
				b.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: 503, Path: "/git-upload-pack", Header: after("0")})
			}
		}, magpie.KindUnavailable},
		"503 for an hour": {func(on bool) {
			b.sim.SetFailures()
			if on {
				b.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: 503, Path: "/git-upload-pack", Header: after("3600")})
			}
		}, magpie.KindUnavailable},
		"429": {func(on bool) {
			b.sim.SetFailures()
			if on {
				b.sim.SetFailures(bitbucketsim.Failure{Share: 1, Status: 429, Path: "/git-upload-pack", Header: after("0")})
			}
		}, magpie.KindRateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			f := b.fetcher(t, scan.Slicing{Patience: 50 * time.Millisecond})
			w := want(t, f)
			tc.set(true)
			err := f.Scan(t.Context(), w, scan.Position{}, func(context.Context, scan.Slice) error { return nil })
			if magpie.KindOf(err) != tc.kind {
				t.Errorf("got %v (kind %q), want kind %q", err, magpie.KindOf(err), tc.kind)
			}
			if strings.Contains(name, "hour") {
				if wait, busy := smarthttp.Busy(err); !busy || wait != time.Hour {
					t.Errorf("busy %t for %s, want an hour", busy, wait)
				}
				tc.set(false)
				return
			}
			// It becomes free while it is waited for.
			f = b.fetcher(t, scan.Slicing{Patience: time.Minute})
			f.Progress = new(scan.Meter)
			go func() {
				for f.Progress.Progress().Phase != magpie.PhaseWaiting {
					time.Sleep(time.Millisecond)
				}
				tc.set(false)
			}()
			if got, _ := collect(t, f, w); len(got) != 1 {
				t.Errorf("%d places, want 1", len(got))
			}
		})
	}
}

// TestScanResumes stops after every slice, and goes on in a new process as it were, from the stored position.
func TestScanResumes(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket(nil)
	b.generate(13, 90)
	f := b.fetcher(t, scan.Slicing{})
	w := want(t, f)
	all, _ := collect(t, f, w)
	expected := places(all)
	for name, dialect := range map[string]bitbucketsim.GitDialect{"by commits": {}, "by depth": {NoFilter: true}, "by refs": {NoShallow: true}} {
		t.Run(name, func(t *testing.T) {
			b.sim.SetGitDialect(dialect)
			defer b.sim.SetGitDialect(bitbucketsim.GitDialect{})
			var stored []byte
			var got []scan.Place
			var received int64
			stop := errors.New("stopped")
			runs := 0
			for last := false; !last; runs++ {
				if runs > 200 {
					t.Fatal("it never ends")
				}
				f := b.fetcher(t, scan.Slicing{AboveObjects: 100, Objects: 200, Depth: 6})
				var at scan.Position
				if stored != nil {
					if err := json.Unmarshal(stored, &at); err != nil {
						t.Fatal(err)
					}
				}
				err := f.Scan(t.Context(), w, at, func(_ context.Context, s scan.Slice) error {
					if s.Next.Progress.BytesReceived <= received && !s.Last {
						t.Errorf("progress goes from %d to %d bytes", received, s.Next.Progress.BytesReceived)
					}
					received = s.Next.Progress.BytesReceived
					got = append(got, s.Places...)
					var err error
					if stored, err = json.Marshal(s.Next); err != nil {
						return err
					}
					if last = s.Last; last {
						return nil
					}
					return stop
				})
				if last != (err == nil) || err != nil && !errors.Is(err, stop) {
					t.Fatalf("got %v, the last slice: %t", err, last)
				}
			}
			if runs < 2 {
				t.Errorf("only %d slices", runs)
			}
			if name == "by refs" {
				if diff := cmp.Diff(secretsOf(all), secretsOf(got)); diff != "" {
					t.Errorf("secrets (-one piece +resumed):\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff(expected, places(got)); diff != "" {
				t.Errorf("places (-one piece +resumed):\n%s", diff)
			}
		})
	}
}

// TestSlicesBeyondWhatIsKnown scans what is new since some tips, as a push does, in slices that end where those are.
func TestSlicesBeyondWhatIsKnown(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket(nil)
	repo := b.generate(14, 100)
	log := strings.Fields(repo.Git("rev-list", "main"))
	known := magpie.Hash(log[len(log)/2])
	gone := magpie.Hash(strings.Repeat("5", 40))
	w := scan.Want{Tips: []magpie.Hash{magpie.Hash(log[0])}, Known: []magpie.Hash{gone, known}, Optional: []magpie.Hash{gone, magpie.Hash(log[1])}, Format: git.SHA1}
	fresh := map[string]bool{}
	for _, id := range strings.Fields(repo.Git("rev-list", log[0], "^"+string(known))) {
		fresh[id] = true
	}
	for name, dialect := range map[string]bitbucketsim.GitDialect{"by commits": {}, "by depth": {NoFilter: true}, "by refs": {NoShallow: true}} {
		t.Run(name, func(t *testing.T) {
			b.sim.SetGitDialect(dialect)
			defer b.sim.SetGitDialect(bitbucketsim.GitDialect{})
			f := b.fetcher(t, scan.Slicing{AboveObjects: 5, Objects: 60, Depth: 5})
			got, n := collect(t, f, w)
			if n < 2 || len(got) == 0 {
				t.Fatalf("%d places in %d slices", len(got), n)
			}
			for _, p := range got {
				if !fresh[string(p.Commit)] {
					t.Errorf("%s is blamed, which was known", p.Commit)
				}
				if name == "by commits" && p.ParentUnknown {
					t.Errorf("%s: what stood in %s before is not known", p.Commit, p.File)
				}
			}
		})
	}
}

// TestUnknownHaves has a server of an old protocol that refuses what it does not know.
func TestUnknownHaves(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket([]bitbucketsim.Commit{{Files: map[string]string{"a": "line 3f9c81d2e07ab45 9ac31fe\n"}}})
	refs, err := b.sim.Refs(b.simRepo.ID)
	if err != nil {
		t.Fatal(err)
	}
	known := magpie.Hash(refs["refs/heads/main"])
	b.commit(map[string]string{"b": "line 2e8b70c1df96a34 8bd20ec\n"})
	b.sim.SetGitDialect(bitbucketsim.GitDialect{OldProtocol: true, NoHave: true})
	f := b.fetcher(t, scan.Slicing{})
	w := want(t, f)
	w.Known = []magpie.Hash{magpie.Hash(strings.Repeat("5", 40)), known}
	got, n := collect(t, f, w)
	if len(got) != 1 || got[0].File != "b" || n != 1 {
		t.Errorf("found %q in %d slices, want what is new in b", places(got), n)
	}
}

// TestNoRoom fetches nothing that the disk has no room for, and goes on when there is.
func TestNoRoom(t *testing.T) {
	b := &bundle{t: t}
	b.startBitbucket([]bitbucketsim.Commit{{Files: map[string]string{"a": "line 3f9c81d2e07ab45 9ac31fe\n"}}})
	f := b.fetcher(t, scan.Slicing{})
	w := want(t, f)
	b.sim.SetPackTrouble(bitbucketsim.PackTrouble{})
	f.Room = scan.NewRoom(f.Dir, 1<<60)
	err := f.Scan(t.Context(), w, scan.Position{}, func(context.Context, scan.Slice) error { return nil })
	if full, ok := errors.AsType[*scan.NoSpaceError](err); !ok || magpie.KindOf(err) != magpie.KindUnavailable || full.Reserve != 1<<60 {
		t.Errorf("got %v, want that there is no space", err)
	}
	if sent, _ := b.sim.PackBytes(); sent != 0 {
		t.Errorf("%d bytes were sent all the same", sent)
	}
	f.Room = scan.NewRoom(f.Dir, -1)
	if got, _ := collect(t, f, w); len(got) != 1 {
		t.Errorf("%d places, want 1", len(got))
	}
	if left, err := os.ReadDir(f.Dir); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}
