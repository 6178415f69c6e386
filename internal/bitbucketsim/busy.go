package bitbucketsim

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Busy is SCM throttling: when the tickets of throttle.resource.scm-hosting are used up, git calls wait for one and then
// end with an error inside the git protocol, under status 200.
type Busy struct {
	Share       float64       // of git calls, 0 to 1
	Wait        time.Duration // before the refusal
	FetchesOnly bool          // refs are still listed, as from the server's cache; packs are refused
}

const busyText = "Bitbucket is currently under heavy load and is not able to service your request. Please wait briefly and try your request again"

// SetBusy switches SCM throttling on or off.
func (s *Server) SetBusy(b Busy) { set(&s.faults, &s.faults.busy, b) }

// throttled answers a git call for which there is no ticket. It is asked twice, the second time when refs were listed.
func (s *Server) throttled(w http.ResponseWriter, r *http.Request, fetch bool) bool {
	busy := get(&s.faults, &s.faults.busy)
	rest := r.PathValue("rest")
	listing := rest == "info/refs"
	if busy.FetchesOnly && (listing || rest == "git-receive-pack" || !fetch) || !busy.FetchesOnly && fetch || !s.chance(busy.Share) {
		return false
	}
	if !s.pause(r, busy.Wait) {
		return true
	}
	service := r.URL.Query().Get("service")
	if !listing {
		service = rest
	}
	if !strings.HasPrefix(service, "git-") {
		gitRefuse(w, http.StatusServiceUnavailable, busyText)
		return true
	}
	kind, text := "result", packet("ERR "+busyText)
	if listing {
		kind, text = "advertisement", packet("# service="+service+"\n")+"0000"+text
	}
	gitHeaders(w, "application/x-"+service+"-"+kind)
	w.Write([]byte(text))
	return true
}

// packet is a pkt-line of the git protocol.
func packet(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

// pause waits, and reports false when the client or the server went away meanwhile.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.done:
	}
	return false
}
