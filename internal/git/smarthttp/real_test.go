package smarthttp_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
	"magpie/internal/git/smarthttp"
)

// TestFetchRealRepository fetches all of the repository named by MAGPIE_TEST_REPO, or else of a generated one, and
// compares the number of objects with git's.
func TestFetchRealRepository(t *testing.T) {
	dir := os.Getenv("MAGPIE_TEST_REPO")
	repo := gittest.At(t, dir)
	if dir == "" {
		repo = gittest.New(t, "sha1")
		repo.Generate(21, 100)
	}
	want := int64(strings.Count(repo.Git("rev-list", "--objects", "--all"), "\n"))
	c := client(t, repo)
	wants, format := tips(t, c)
	start := time.Now()
	body, err := c.Fetch(context.Background(), smarthttp.Request{Wants: wants, Format: format})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	s, err := pack.Spool(context.Background(), body, t.TempDir(), format, pack.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	spooled := time.Since(start)
	report, err := s.Walk(context.Background(), git.WalkOptions{}, func(int) git.Visitor {
		return func(git.Object) error { return nil }
	})
	if err != nil || report.Skipped != 0 || report.Objects != want {
		t.Errorf("got %d objects, want %d; error %v, skipped %v", report.Objects, want, err, report.Why)
	}
	t.Logf("%d refs, %d bytes fetched and spooled in %v, %d objects of %d bytes walked in %v",
		len(wants), s.Size(), spooled, report.Objects, report.Bytes, time.Since(start)-spooled)
}
