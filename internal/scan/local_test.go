package scan_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"magpie/internal/git"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
	"magpie/internal/scan"
)

// leaky returns a repository with n commits, each of which adds a file with a secret.
func leaky(t *testing.T, n int) *gittest.Repo {
	t.Helper()
	repo := gittest.New(t, "sha1")
	var in strings.Builder
	for i := range n {
		text := "key = " + key(fmt.Sprint(i)) + "\n"
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.com> %d +0000\ndata 2\nm\n", 1_600_000_000+i)
		fmt.Fprintf(&in, "M 100644 inline file%d\ndata %d\n%s\n", i, len(text), text)
	}
	repo.Feed([]byte(in.String()), "fast-import", "--quiet")
	return repo
}

// interrupted is a repository whose walk over blobs is interrupted after some of them.
type interrupted struct {
	*pack.Repository
	after  int
	cancel context.CancelFunc
}

func (s interrupted) WalkLineages(ctx context.Context, opts git.WalkOptions, newVisitor func(int) git.VersionVisitor) (git.Report, error) {
	if !opts.Kinds.Has(git.Blob) {
		return s.Repository.WalkLineages(ctx, opts, newVisitor)
	}
	seen := 0
	return s.Repository.WalkLineages(ctx, opts, func(worker int) git.VersionVisitor {
		visit := newVisitor(worker)
		return func(v *git.Version) (any, error) {
			if seen++; seen > s.after {
				s.cancel()
				return nil, ctx.Err()
			}
			return visit(v)
		}
	})
}

func TestInterruptedExaminationKeepsWhatItFound(t *testing.T) {
	repo := leaky(t, 20)
	for _, grace := range []time.Duration{0, time.Minute} {
		r, err := pack.Open(repo.Dir, pack.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result, err := scan.Examine(ctx, interrupted{r, 5, cancel}, scan.Examination{Engine: testEngine(t), Workers: 1, Grace: grace})
		if !errors.Is(err, context.Canceled) || len(result.Places) != 5 {
			t.Errorf("grace %s: got %d places and %v, want 5", grace, len(result.Places), err)
		}
		for _, p := range result.Places {
			if placed := p.File != "" && p.Commit != "" && p.Email == "c@example.com"; placed != (grace > 0) {
				t.Errorf("grace %s: placed at %q in %q by %q", grace, p.File, p.Commit, p.Email)
			}
		}
	}
}

// TestExamineRepositorySaysWhatIsAbsent has a clone without blobs.
func TestExamineRepositorySaysWhatIsAbsent(t *testing.T) {
	repo := leaky(t, 7)
	repo.Git("config", "uploadpack.allowFilter", "true")
	dir := filepath.Join(t.TempDir(), "partial")
	repo.Git("clone", "-q", "--bare", "--filter=blob:none", "file://"+repo.Dir, dir)
	for path, want := range map[string]struct {
		found   int
		skipped int64
		why     string
	}{
		repo.Dir: {7, 0, ""},
		dir:      {0, 7, "it is a partial clone: 7 blobs absent, such as blob "},
	} {
		r, err := pack.Open(path, pack.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		result, err := scan.ExamineRepository(t.Context(), r, scan.Examination{Engine: testEngine(t)})
		said := slices.ContainsFunc(result.Skipped, func(why string) bool { return strings.HasPrefix(why, want.why) })
		if err != nil || len(result.Places) != want.found || result.SkippedCount != want.skipped || said != (want.why != "") {
			t.Errorf("%s: %d places, %d skipped %q, %v", path, len(result.Places), result.SkippedCount, result.Skipped, err)
		}
	}
}
