package bitbucketsim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPackTrouble(t *testing.T) {
	b := start(t, Options{})
	noise := make([]byte, 200_000)
	rand.Read(noise)
	b.commit("", "f", hex.EncodeToString(noise))
	clone := func() (string, error) {
		return b.git(b.token.Text, "clone", "-q", b.CloneURL(b.repo.ID), filepath.Join(t.TempDir(), "c"))
	}
	b.SetPackTrouble(PackTrouble{After: []int64{1000, 50_000}})
	for range 2 {
		if out, err := clone(); err == nil {
			t.Fatalf("a clone whose connection is cut succeeds: %s", out)
		}
	}
	sent, cut := b.PackBytes()
	if sent != 51_000 || cut != 2 {
		t.Errorf("sent %d bytes, cut %d packs, want 51000 and 2", sent, cut)
	}
	if out, err := clone(); err != nil {
		t.Errorf("the pack after those: %v %s", err, out)
	}
	if sent, cut := b.PackBytes(); sent < 51_000+200_000 || cut != 2 {
		t.Errorf("sent %d bytes, cut %d packs, want a whole one more", sent, cut)
	}
	b.SetPackTrouble(PackTrouble{Always: 1000, End: PackTruncate})
	if out, err := clone(); err == nil || !strings.Contains(out, "early EOF") && !strings.Contains(out, "unexpected") && !strings.Contains(out, "invalid index-pack") {
		t.Errorf("a truncated pack: %v %s", err, out)
	}
	b.SetPackTrouble(PackTrouble{Always: 1 << 30})
	if out, err := clone(); err != nil {
		t.Errorf("a pack below the limit: %v %s", err, out)
	}
	b.SetPackTrouble(PackTrouble{Always: 1000, End: PackStall})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tip := must(b.Refs(b.repo.ID))["refs/heads/main"]
	body := packet("command=fetch\n") + "0001" + packet("want "+tip+"\n") + packet("done\n") + "0000"
	req := must(http.NewRequestWithContext(ctx, "POST", b.CloneURL(b.repo.ID)+"/git-upload-pack", strings.NewReader(body)))
	req.Header.Set("Authorization", "Bearer "+b.token.Text)
	req.Header.Set("Git-Protocol", "version=2")
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	resp := must(b.Client().Do(req))
	defer resp.Body.Close()
	defer time.AfterFunc(500*time.Millisecond, cancel).Stop()
	if got, err := io.ReadAll(resp.Body); ctx.Err() == nil || err == nil || len(got) > 2000 {
		t.Errorf("a stalled pack ended by itself with %v after %d bytes", err, len(got))
	}
}

func TestGitDialects(t *testing.T) {
	b := start(t, Options{})
	first := b.commit("", "f", "1").Commits[0]
	kept := b.commit("", "f", "2").Commits[0]
	lost := b.commit("", "f", "pushed by mistake").Commits[0]
	b.push(Push{Repo: b.repo.ID, Refs: map[string]string{"refs/heads/main": kept}})
	tip := must(b.Refs(b.repo.ID))["refs/heads/main"]
	advertised := func() string {
		req := must(http.NewRequest("GET", b.CloneURL(b.repo.ID)+"/info/refs?service=git-upload-pack", nil))
		req.Header.Set("Authorization", "Bearer "+b.token.Text)
		req.Header.Set("Git-Protocol", "version=2")
		return string(b.do(req).body)
	}
	fetch := func(lines ...string) string {
		body, after := "", ""
		if strings.Contains(advertised(), "version 2") {
			body, after = packet("command=fetch\n")+"0001", "0000"
		}
		for _, l := range lines {
			if after == "" && !strings.HasPrefix(l, "want") && !strings.Contains(body, "0000") {
				body += "0000" // which ends the wants in version 0
			}
			body += packet(l + "\n")
		}
		body += after
		req := must(http.NewRequest("POST", b.CloneURL(b.repo.ID)+"/git-upload-pack", strings.NewReader(body)))
		req.Header.Set("Authorization", "Bearer "+b.token.Text)
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
		req.Header.Set("Git-Protocol", "version=2")
		return string(b.do(req).body)
	}
	gone := strings.Repeat("7", 40)
	for _, tc := range []struct {
		name    string
		dialect GitDialect
		has     []string
		hasNot  []string
		request []string
		refuses bool
	}{
		{"present-day", GitDialect{}, []string{"version 2", "fetch=shallow", "filter"}, nil, []string{"want " + first, "deepen 1", "done"}, false},
		{"version 0", GitDialect{OldProtocol: true}, []string{" refs/heads/main", "side-band-64k", "shallow"}, []string{"version"}, []string{"want " + lost, "done"}, true},
		{"version 0, tips", GitDialect{OldProtocol: true}, nil, []string{"allow-reachable"}, []string{"want " + tip, "done"}, false},
		{"version 0, any hash", GitDialect{OldProtocol: true, AnyHash: true}, []string{"allow-reachable-sha1-in-want"}, nil, []string{"want " + lost, "done"}, false},
		{"version 1", GitDialect{Version1: true}, []string{"version 1", " refs/heads/main"}, nil, []string{"want " + tip, "done"}, false},
		{"only tips", GitDialect{OnlyTips: true}, []string{"version 2"}, nil, []string{"want " + first, "done"}, true},
		{"no filter", GitDialect{NoFilter: true}, []string{"version 2", "fetch=shallow"}, []string{"filter"}, []string{"want " + tip, "done"}, false},
		{"no shallow", GitDialect{NoShallow: true}, []string{"version 2"}, []string{"shallow"}, []string{"want " + tip, "deepen 1", "done"}, true},
		{"no shallow in version 0", GitDialect{NoShallow: true, OldProtocol: true}, []string{"side-band-64k"}, []string{"shallow", "deepen"}, []string{"want " + tip, "done"}, false},
		{"no unknown haves", GitDialect{NoHave: true}, nil, nil, []string{"want " + tip, "have " + gone, "done"}, true},
		{"a known have", GitDialect{NoHave: true}, nil, nil, []string{"want " + tip, "have " + first, "done"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.SetGitDialect(tc.dialect)
			defer b.SetGitDialect(GitDialect{})
			text := advertised()
			for _, word := range tc.has {
				if !strings.Contains(text, word) {
					t.Errorf("%q is missing in %q", word, text)
				}
			}
			for _, word := range tc.hasNot {
				if strings.Contains(text, word) {
					t.Errorf("%q is in %q", word, text)
				}
			}
			answer := fetch(tc.request...)
			if strings.Contains(answer, "PACK") == tc.refuses {
				t.Errorf("%q is answered with %.200q", tc.request, answer)
			}
			if !tc.refuses && !strings.Contains(fmt.Sprint(tc.request), "deepen") {
				if out, err := b.git(b.token.Text, "clone", "-q", b.CloneURL(b.repo.ID), filepath.Join(t.TempDir(), "c")); err != nil {
					t.Errorf("git can't clone: %v %s", err, out)
				}
			}
		})
	}
}
