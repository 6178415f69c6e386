package scan_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie/internal/detect"
	"magpie/internal/git/gittest"
	"magpie/internal/git/pack"
	"magpie/internal/rule"
	"magpie/internal/scan"
	"magpie/rules"
)

// TestAgreesWithTheReference compares Examine with the plainest way there is: let git print every blob and scan each
// whole. MAGPIE_TEST_REPO names a real repository to do this on; without it a generated one is used.
func TestAgreesWithTheReference(t *testing.T) {
	dir := os.Getenv("MAGPIE_TEST_REPO")
	if dir == "" {
		dir = generated(t)
	}
	all, err := rules.All()
	if err != nil {
		t.Fatal(err)
	}
	more, err := rule.Parse("test.yaml", []byte(testRules))
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, more...)
	engine, err := detect.New(all, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := reference(t, dir, engine)
	for _, whole := range []bool{false, true} {
		if diff := cmp.Diff(want, examined(t, dir, engine, whole)); diff != "" {
			t.Errorf("each version scanned whole: %t; (blob, secret) pairs (-reference +Examine):\n%s", whole, diff)
		}
	}
	if os.Getenv("MAGPIE_TEST_REPO") == "" && len(want) < 100 {
		t.Errorf("the generated repository has only %d pairs, too few to tell anything", len(want))
	}
	t.Logf("%d pairs of blob and secret", len(want))
}

// generated returns a repository in which many versions of many files hold secrets, tightly packed, so that most blobs
// are deltas.
func generated(t *testing.T) string {
	t.Helper()
	repo := gittest.New(t, "sha1")
	repo.Generate(7, 300)
	var stream strings.Builder
	for n := range 120 {
		var file strings.Builder
		for line := range 60 {
			switch {
			case line == n%60 || line == (n*7)%60:
				fmt.Fprintf(&file, "token%d = \"%s\"\n", line, key(fmt.Sprint("version", n%9)))
			default:
				fmt.Fprintf(&file, "line %d of version %d\n", line, n/(line+1))
			}
		}
		fmt.Fprintf(&stream, "commit refs/heads/secrets\ncommitter T <t@example.com> %d +0000\ndata 1\nx\nM 100644 inline dir%d/config.txt\ndata %d\n%s\n",
			1_700_000_000+n, n%3, file.Len(), file.String())
	}
	repo.Feed([]byte(stream.String()), "fast-import", "--quiet")
	repo.Git("repack", "-adfq", "--window=50")
	return repo.Dir
}

// reference scans what git prints.
func reference(t *testing.T, dir string, engine *detect.Engine) map[string]bool {
	t.Helper()
	cmd := exec.Command("git", "-C", dir, "cat-file", "--batch-all-objects", "--batch", "--unordered")
	cmd.Env = gittest.Env()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pairs := map[string]bool{}
	scanner := engine.NewScanner()
	in := bufio.NewReaderSize(out, 1<<20)
	for {
		header, err := in.ReadString('\n')
		if err == io.EOF {
			break
		}
		fields := strings.Fields(header)
		if err != nil || len(fields) != 3 {
			t.Fatalf("git cat-file printed %q: %v", header, err)
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, size+1)
		if _, err := io.ReadFull(in, data); err != nil {
			t.Fatal(err)
		}
		if fields[1] != "blob" {
			continue
		}
		for _, m := range scanner.Scan(data[:size]) {
			pairs[pair(fields[0], m.Secret)] = true
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return pairs
}

// examined scans the repository's own way, and keeps the pairs whatever path rules say, by an engine that allows all.
func examined(t *testing.T, dir string, engine *detect.Engine, whole bool) map[string]bool {
	t.Helper()
	repository, err := pack.Open(dir, pack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer repository.Close()
	pairs := map[string]bool{}
	for workers := range min(runtime.GOMAXPROCS(0), 2) {
		again := map[string]bool{}
		matches, err := scan.Matches(context.Background(), repository, scan.Examination{Engine: engine, Workers: workers + 1, Whole: whole})
		if err != nil {
			t.Fatal(err)
		}
		for blob, secrets := range matches {
			for _, secret := range secrets {
				again[pair(string(blob), secret)] = true
			}
		}
		if workers > 0 && !maps.Equal(pairs, again) {
			t.Errorf("%d workers found %d pairs, one found %d", workers+1, len(again), len(pairs))
		}
		pairs = again
	}
	return pairs
}

func pair(blob string, secret []byte) string {
	sum := sha256.Sum256(secret)
	return blob + " " + hex.EncodeToString(sum[:8])
}
