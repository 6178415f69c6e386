package smarthttp_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"unicode"

	gocmp "github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/git/gittest"
	"magpie/internal/git/smarthttp"
)

// progressOf fetches from a server that says the given words in band 2, and returns what is told.
func progressOf(t *testing.T, words ...string) (told []smarthttp.Progress) {
	t.Helper()
	answer := pkt("packfile\n")
	for _, w := range words {
		answer += pkt("\x02" + w)
	}
	c := hostile(t, fake(capabilities, say(answer+pkt("\x01PACK")+"0000")), smarthttp.Limits{})
	body, err := c.Fetch(context.Background(), smarthttp.Request{
		Wants: []magpie.Hash{someID}, Progress: func(p smarthttp.Progress) { told = append(told, p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Fatal(err)
	}
	return told
}

func TestProgress(t *testing.T) {
	got := progressOf(t, "Enumerating objects: 5, done.\nCounting obj", "ects:  42% (21/50)\rCounting objects: 100% (50/50), done.\n",
		"the \x1b[31madministrator\x07 says "+token+" hello\u202e\n", "Compressing objects:  50% (1/2)\r", "Total 50 (delta 3), reused 0 (delta 0), pack-reused 0\n",
		"Counting objects: 7% (9/3)\n\n", strings.Repeat("x", 5000)+"\n", "no end of line")
	const notice = "the  [31madministrator  says [redacted] hello"
	want := []smarthttp.Progress{
		{Phase: smarthttp.PhaseCounting, Done: 5},
		{Phase: smarthttp.PhaseCounting, Done: 21, Total: 50},
		{Phase: smarthttp.PhaseCounting, Done: 50, Total: 50},
		{Phase: smarthttp.PhaseCounting, Done: 50, Total: 50, Remote: notice},
		{Phase: smarthttp.PhaseCompressing, Done: 1, Total: 2, Remote: notice},
		{Phase: smarthttp.PhaseSending, Total: 50, Remote: notice},
		{Phase: smarthttp.PhaseSending, Total: 50, Remote: "Counting objects: 7% (9/3)"},
		{Phase: smarthttp.PhaseSending, Total: 50, Remote: strings.Repeat("x", 300) + "…"},
	}
	for i := range got {
		if strings.Contains(got[i].Remote, token) {
			t.Fatalf("the token is told: %q", got[i].Remote)
		}
		got[i].Remote = strings.ReplaceAll(got[i].Remote, magpie.NewSecret("").String(), "[redacted]")
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestProgressOfGit reads what git itself says, and that it says nothing where nobody listens.
func TestProgressOfGit(t *testing.T) {
	repo := gittest.New(t, "sha1")
	repo.Generate(3, 150)
	c := client(t, repo)
	wants, format := tips(t, c)
	var last smarthttp.Progress
	phases := map[smarthttp.Phase]bool{}
	body, err := c.Fetch(context.Background(), smarthttp.Request{Wants: wants, Format: format, Progress: func(p smarthttp.Progress) {
		last = p
		phases[p.Phase] = true
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := objects(t, body, format)
	if int64(len(got)) != last.Total || last.Phase != smarthttp.PhaseSending || !phases[smarthttp.PhaseCounting] || !phases[smarthttp.PhaseCompressing] {
		t.Errorf("phases %v, in the end %+v; %d objects came", phases, last, len(got))
	}
}

func FuzzProgress(f *testing.F) {
	f.Add("Counting objects: 42% (21/50)\rTotal 50 (delta 3)\n")
	f.Add("\x1b]0;title\x07\n" + token + "\n")
	f.Add("Compressing objects: 999999999999999999999 (/)\n")
	f.Fuzz(func(t *testing.T, words string) {
		if len(words) > 60000 {
			return
		}
		for _, p := range progressOf(t, words) {
			if p.Done < 0 || p.Total < 0 || p.Total > 0 && p.Done > p.Total || len(p.Remote) > 2000 || strings.Contains(p.Remote, token) {
				t.Errorf("told %+v", p)
			}
			for _, r := range p.Remote {
				if !unicode.IsPrint(r) && r != unicode.ReplacementChar {
					t.Errorf("%q holds %q", p.Remote, r)
				}
			}
		}
	})
}
