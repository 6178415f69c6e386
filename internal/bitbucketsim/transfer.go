package bitbucketsim

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// GitDialect is what a server's git offers besides protocol version 2, or does not. The zero value is a present-day git.
type GitDialect struct {
	OldProtocol bool // the Git-Protocol header is lost on the way, as at some proxies: answers are of version 0
	Version1    bool // answers are of version 1, which is version 0 with a line before
	AnyHash     bool // in version 0: uploadpack.allowAnySHA1InWant; version 2 never refuses
	OnlyTips    bool // in version 2: hashes that no ref shows are refused, as by servers that are not git
	NoFilter    bool // partial clones are switched off, whatever the version
	NoShallow   bool // shallow clones are neither offered nor served
	NoHave      bool // in version 0: an unknown "have" ends the request with an error
}

// SetGitDialect chooses how git answers.
func (s *Server) SetGitDialect(d GitDialect) { set(&s.faults, &s.faults.dialect, d) }

// PackEnd is how a pack ends that does not arrive whole.
type PackEnd int

// The ways in which packs end too early.
const (
	PackCut      PackEnd = iota // the connection is cut
	PackTruncate                // the answer ends as if it were complete
	PackStall                   // nothing more comes until the client gives up
)

// PackTrouble is what happens to packs on their way to a client.
type PackTrouble struct {
	After  []int64 // each pack takes the next number and ends after so many of its bytes, if it is longer
	Always int64   // all packs longer than this end there; 0 is none
	End    PackEnd
}

// SetPackTrouble replaces the trouble with packs. It also starts the count of PackBytes anew.
func (s *Server) SetPackTrouble(t PackTrouble) {
	t.After = slices.Clone(t.After)
	set(&s.faults, &s.faults.packs, t)
	s.packBytes.Store(0)
	s.packsCut.Store(0)
}

// PackBytes returns how many bytes of packs were sent since SetPackTrouble, and how many packs ended too early.
func (s *Server) PackBytes() (bytes, cut int64) { return s.packBytes.Load(), s.packsCut.Load() }

// packLimit returns after how many bytes the next pack ends, -1 for never.
func (f *faults) packLimit() (int64, PackEnd) {
	f.mu.Lock()
	defer f.mu.Unlock()
	limit := int64(-1)
	if len(f.packs.After) > 0 {
		limit, f.packs.After = f.packs.After[0], f.packs.After[1:]
	}
	if always := f.packs.Always; always > 0 && (limit < 0 || always < limit) {
		limit = always
	}
	return limit, f.packs.End
}

// config is what the dialect changes in git's configuration.
func (d GitDialect) config(partialClone bool) [][2]string {
	return [][2]string{
		{"uploadpack.allowFilter", strconv.FormatBool(partialClone && !d.NoFilter)},
		{"uploadpack.allowAnySHA1InWant", strconv.FormatBool(d.AnyHash)},
	}
}

// protocol is the protocol version that git is asked for.
func (d GitDialect) protocol(asked string) string {
	switch {
	case d.OldProtocol:
		return ""
	case d.Version1:
		return "version=1"
	}
	return asked
}

// dialectRefused answers a fetch that the dialect has no words for, and reports whether it did.
func (s *Server) dialectRefused(w http.ResponseWriter, r *http.Request, target *repo) bool {
	d := get(&s.faults, &s.faults.dialect)
	if r.Method != http.MethodPost || r.PathValue("rest") != "git-upload-pack" || !d.NoShallow && !d.OnlyTips && !d.NoHave {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return true // the client went away
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	why := ""
	for _, line := range dialectLine.FindAllSubmatch(body, -1) {
		word, rest := string(line[1]), string(line[2])
		switch {
		case d.NoShallow && (word == "shallow" || strings.HasPrefix(word, "deepen")):
			why = "upload-pack: " + word + " is not supported"
		case d.OnlyTips && word == "want" && !s.isTip(target.ID, rest):
			why = "upload-pack: not our ref " + rest
		case d.NoHave && word == "have" && !s.hasObject(r, target.ID, rest):
			why = "upload-pack: unknown have " + rest
		}
	}
	if why == "" {
		return false
	}
	gitHeaders(w, "application/x-git-upload-pack-result")
	io.WriteString(w, packet("ERR "+why))
	return true
}

var dialectLine = regexp.MustCompile(`\n?[0-9a-f]{4}(want|have|shallow|deepen[a-z-]*) ([0-9a-zA-Z/]+)`)

func (s *Server) isTip(id int, hash string) bool {
	refs, err := s.refs(id)
	if err != nil {
		return false
	}
	for _, tip := range refs {
		if tip == hash {
			return true
		}
	}
	return false
}

func (s *Server) hasObject(r *http.Request, id int, hash string) bool {
	_, err := s.git(r.Context(), id, nil, "cat-file", "-e", hash)
	return err == nil
}

// packWriter passes on the answer to a fetch, up to where its pack is to end.
type packWriter struct {
	http.ResponseWriter
	s       *Server
	r       *http.Request
	limit   int64
	end     PackEnd
	inPack  bool
	tail    []byte // the last bytes before the pack
	written int64
}

// Write implements io.Writer.
func (p *packWriter) Write(b []byte) (int, error) {
	if !p.inPack {
		p.tail = append(p.tail, b...)
		at := bytes.Index(p.tail, []byte("PACK"))
		if at < 0 {
			p.tail = p.tail[max(0, len(p.tail)-3):]
			return p.ResponseWriter.Write(b)
		}
		p.inPack = true
		p.limit, p.end = p.s.faults.packLimit()
		before := max(len(b)-(len(p.tail)-at), 0)
		if _, err := p.ResponseWriter.Write(b[:before]); err != nil {
			return 0, err
		}
		n, err := p.pack(b[before:])
		return before + n, err
	}
	return p.pack(b)
}

// pack passes on bytes of the pack.
func (p *packWriter) pack(b []byte) (int, error) {
	allowed := b
	if p.limit >= 0 {
		allowed = b[:min(int64(len(b)), p.limit-p.written)]
	}
	n, err := p.ResponseWriter.Write(allowed)
	p.written += int64(n)
	p.s.packBytes.Add(int64(n))
	if err != nil || len(allowed) == len(b) {
		return n, err
	}
	p.s.packsCut.Add(1)
	p.Flush()
	switch p.end {
	case PackStall:
		select {
		case <-p.r.Context().Done():
		case <-p.s.done:
		}
	case PackTruncate:
		return n, errPackEnds
	}
	panic(http.ErrAbortHandler)
}

// Flush implements http.Flusher.
func (p *packWriter) Flush() { _ = http.NewResponseController(p.ResponseWriter).Flush() }

// errPackEnds makes the handler stop where the pack is to end.
var errPackEnds = errors.New("the pack ends here")

// plainWriter takes the words for shallow clones out of an advertisement.
type plainWriter struct {
	http.ResponseWriter
	text bytes.Buffer
}

// Write implements io.Writer.
func (p *plainWriter) Write(b []byte) (int, error) { return p.text.Write(b) }

var shallowWords = regexp.MustCompile(`(=| )(shallow|deepen-since|deepen-not|deepen-relative)\b`)

// finish sends what was written, without those words.
func (p *plainWriter) finish() {
	rest := p.text.Bytes()
	for len(rest) >= 4 {
		n, err := strconv.ParseUint(string(rest[:4]), 16, 16)
		if err != nil || int(n) > len(rest) {
			break
		}
		if n < 4 {
			p.ResponseWriter.Write(rest[:4])
			rest = rest[4:]
			continue
		}
		line := shallowWords.ReplaceAllStringFunc(string(rest[4:n]), func(m string) string {
			if m[0] == '=' {
				return "="
			}
			return ""
		})
		io.WriteString(p.ResponseWriter, packet(line))
		rest = rest[n:]
	}
}
