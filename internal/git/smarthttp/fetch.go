package smarthttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"magpie"
	"magpie/internal/git"
)

// Fetch asks for the wanted objects and everything they reach that the known ones don't, and returns the pack as it
// arrives. The caller reads to io.EOF, which comes only after a complete answer, and closes; closing early ends the
// request.
//
// A wanted object that the server does not have gives an error of kind KindNotFound whose cause is a *NotOurRefError. Of a
// server of protocol version 0 or 1 only what its refs show is asked for, unless it allows more.
func (c *Client) Fetch(ctx context.Context, req Request) (*Pack, error) {
	if len(req.Wants) == 0 {
		return nil, magpie.Errorf(magpie.KindInvalid, "nothing is wanted")
	}
	s, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	body, err := c.fetchBody(s, req)
	if err != nil {
		return nil, err
	}
	a, err := c.post(ctx, s, body)
	if err != nil {
		return nil, err
	}
	p := &Pack{
		answer: a, pkt: newPktReader(a, 0), limit: c.limits.MaxPackBytes, maxEdge: c.limits.MaxRefs, format: s.format,
		progress: progressParser{token: c.token, told: req.Progress},
	}
	start := p.start
	if s.version < 2 {
		start = p.startOld
	}
	if err := start(); err != nil {
		_ = a.Close()
		return nil, badAnswer(err)
	}
	return p, nil
}

// fetchBody writes the request for a pack.
func (c *Client) fetchBody(s *server, req Request) ([]byte, error) {
	switch {
	case req.Format != s.format:
		return nil, magpie.Errorf(magpie.KindInvalid, "the repository has object format %s, not %s", s.format, req.Format)
	case (req.Depth > 0 || len(req.Shallow) > 0) && !s.shallow, req.Depth > 0 && len(req.Shallow) > 0:
		return nil, magpie.Errorf(magpie.KindInvalid, "the git server does not send parts of a history")
	case req.CommitsOnly && !s.filter:
		return nil, magpie.Errorf(magpie.KindInvalid, "the git server does not send commits alone")
	}
	var lines [3][]byte
	for i, ids := range [][]magpie.Hash{req.Wants, req.Shallow, req.Haves[:min(len(req.Haves), c.limits.MaxHaves)]} {
		var err error
		if lines[i], err = idLines([]string{"want", "shallow", "have"}[i], ids, s.format); err != nil {
			return nil, err
		}
	}
	if s.version < 2 {
		return c.oldFetchBody(s, req, lines)
	}
	body := c.command("fetch", s)
	body = appendPkt(body, "ofs-delta\n")
	if req.Progress == nil {
		body = appendPkt(body, "no-progress\n")
	}
	body = append(append(body, lines[0]...), lines[1]...)
	if req.Depth > 0 {
		body = appendPkt(body, "deepen %d\n", req.Depth)
	}
	if req.CommitsOnly {
		body = appendPkt(body, "filter tree:0\n")
	}
	body = append(body, lines[2]...)
	body = appendPkt(body, "done\n")
	return append(body, "0000"...), nil
}

// idLines writes a line for each id, each once.
func idLines(word string, ids []magpie.Hash, format git.Format) ([]byte, error) {
	var lines []byte
	seen := make(map[git.ID]bool, len(ids))
	for _, h := range ids {
		id, err := git.ParseID(h)
		if err != nil || id.Format() != format {
			return nil, magpie.Errorf(magpie.KindInvalid, "%.70q is not an object id of this repository", string(h))
		}
		if !seen[id] && !id.IsZero() {
			seen[id] = true
			lines = appendPkt(lines, "%s %s\n", word, id)
		}
	}
	return lines, nil
}

// oldFetchBody writes the request of protocol version 0 and 1, where the first want carries what we want of the server's
// capabilities.
func (c *Client) oldFetchBody(s *server, req Request, lines [3][]byte) ([]byte, error) {
	if !s.sideBand {
		return nil, magpie.Errorf(magpie.KindInvalid, "the git server is too old: it can't tell a pack from errors")
	}
	if !s.anyHash {
		for _, h := range req.Wants {
			if _, shown := s.tips[h]; !shown {
				cause := &NotOurRefError{Hash: h}
				return nil, &magpie.Error{Kind: magpie.KindNotFound, Message: cause.Error(), Err: cause}
			}
		}
	}
	words := "side-band-64k"
	for _, w := range []struct {
		word string
		used bool
	}{
		{"ofs-delta", s.offsets},
		{"multi_ack_detailed", s.multiAck},
		{"no-progress", s.canBeQuiet && req.Progress == nil},
		{"filter", req.CommitsOnly},
		{"agent=" + strings.ReplaceAll(c.agent, " ", "-"), s.agent},
		{"object-format=" + s.format.String(), s.named},
	} {
		if w.used {
			words += " " + w.word
		}
	}
	first := len("0000want \n") + 2*s.format.Size()
	if len(lines[0]) < first {
		return nil, magpie.Errorf(magpie.KindInvalid, "nothing is wanted")
	}
	body := appendPkt(nil, "%s %s\n", lines[0][4:first-1], words)
	body = append(append(body, lines[0][first:]...), lines[1]...)
	if req.Depth > 0 {
		body = appendPkt(body, "deepen %d\n", req.Depth)
	}
	if req.CommitsOnly {
		body = appendPkt(body, "filter tree:0\n")
	}
	body = append(append(body, "0000"...), lines[2]...)
	return appendPkt(body, "done\n"), nil
}

// FetchAvailable is Fetch with further wants that may be gone by now, such as ids that an event named and a later push
// removed. Those the server does not have are left out and returned. If a required want is refused, or nothing
// is left to want, the error is that of Fetch.
func (c *Client) FetchAvailable(ctx context.Context, req Request, optional []magpie.Hash) (pack *Pack, dropped []magpie.Hash, err error) {
	required := req.Wants
	for {
		req.Wants = slices.Concat(required, optional)
		pack, err = c.Fetch(ctx, req)
		refused, ok := errors.AsType[*NotOurRefError](err)
		if !ok || len(optional) == 0 {
			return pack, dropped, err
		}
		if slices.Contains(optional, refused.Hash) && !slices.Contains(required, refused.Hash) {
			dropped = append(dropped, refused.Hash)
			optional = slices.DeleteFunc(slices.Clone(optional), func(h magpie.Hash) bool { return h == refused.Hash })
			if len(required)+len(optional) > 0 {
				continue
			}
			return nil, dropped, err
		}
		if refused.Hash != "" {
			return nil, dropped, err
		}
		// The server does not say which one it lacks.
		kept, gone, err := c.probe(ctx, req, optional)
		if err != nil {
			return nil, dropped, err
		}
		dropped, optional = append(dropped, gone...), kept
		if len(required)+len(optional) == 0 {
			return nil, dropped, refused
		}
		if len(gone) == 0 {
			// Each is fine by itself, so a required one is at fault: Fetch says so.
			optional = nil
		}
	}
}

// probe sorts hashes by whether the server has them, asking for ever smaller halves. Answers are dropped as soon as
// they start.
func (c *Client) probe(ctx context.Context, req Request, hashes []magpie.Hash) (kept, gone []magpie.Hash, err error) {
	req.Wants = hashes
	pack, err := c.Fetch(ctx, req)
	if err == nil {
		return hashes, nil, pack.Close()
	}
	if _, ok := errors.AsType[*NotOurRefError](err); !ok {
		return nil, nil, err
	}
	if len(hashes) == 1 {
		return nil, hashes, nil
	}
	for _, half := range [][]magpie.Hash{hashes[:len(hashes)/2], hashes[len(hashes)/2:]} {
		k, g, err := c.probe(ctx, req, half)
		if err != nil {
			return nil, nil, err
		}
		kept, gone = append(kept, k...), append(gone, g...)
	}
	return kept, gone, nil
}

// Pack is a pack on its way: the part of the answer to a fetch that holds it.
type Pack struct {
	answer   *answer
	pkt      *pktReader
	data     []byte // of the current packet
	got      int64  // bytes of pack
	limit    int64
	err      error // sticky
	format   git.Format
	edge     []magpie.Hash
	maxEdge  int
	progress progressParser
}

// Edge returns, for a request with a depth, the commits that are in the pack without their parents.
func (s *Pack) Edge() []magpie.Hash { return s.edge }

// maxChatter is how many bytes that are no pack an answer may hold beyond as many as are.
const maxChatter = 16 << 20

var errChatter = errors.New("the server sends packets without end and no pack in them")

// start reads up to the section that holds the pack.
func (s *Pack) start() error {
	for {
		kind, section, err := s.pkt.line()
		if err != nil {
			return cutShort(err)
		}
		if kind != pktData {
			return errors.New("there is no pack in the answer")
		}
		if section == "packfile" {
			return nil
		}
		for kind == pktData {
			var line string
			if kind, line, err = s.pkt.line(); err != nil {
				return cutShort(err)
			}
			if section == "shallow-info" && kind == pktData {
				err = s.addEdge(line)
			} else if s.pkt.read > s.edgeBytes()+maxChatter {
				err = errChatter
			}
			if err != nil {
				return err
			}
		}
		if kind != pktDelim {
			return fmt.Errorf("the answer ends after its section %.40q", printable(section))
		}
	}
}

// edgeBytes is how much of what was read tells the edge.
func (s *Pack) edgeBytes() int64 {
	return int64(len(s.edge)) * int64(len("0000shallow \n")+2*s.format.Size())
}

// startOld reads up to the pack in an answer of protocol version 0 or 1: the edge, what the server has of what we have, and
// then the bands. The first byte tells words from bands.
func (s *Pack) startOld() error {
	for {
		kind, payload, err := s.pkt.next()
		switch {
		case err != nil:
			return cutShort(err)
		case kind == pktDelim || kind == pktEnd:
			return errors.New("there is no pack in the answer")
		case kind == pktFlush:
		case len(payload) > 0 && payload[0] <= 3:
			return s.band(payload)
		default:
			line := strings.TrimSuffix(string(payload), "\n")
			switch word, _, _ := strings.Cut(line, " "); word {
			case "ACK", "NAK":
			case "shallow", "unshallow":
				err = s.addEdge(line)
			default:
				err = fmt.Errorf("the answer holds %.60q where the pack should be", printable(line))
			}
			if err != nil {
				return err
			}
		}
		if s.pkt.read > s.edgeBytes()+maxChatter {
			return errChatter
		}
	}
}

// addEdge reads "shallow <id>"; what is said to be no edge any more is of no use.
func (s *Pack) addEdge(line string) error {
	digits, ok := strings.CutPrefix(line, "shallow ")
	if !ok {
		if strings.HasPrefix(line, "unshallow ") && s.pkt.read <= s.edgeBytes()+maxChatter {
			return nil
		}
		return fmt.Errorf("%.60q is not where a history ends", printable(line))
	}
	id, err := git.ParseID(digits)
	if err != nil || id.Format() != s.format {
		return fmt.Errorf("%.60q is not where a history ends", printable(line))
	}
	if len(s.edge) >= s.maxEdge {
		return magpie.Errorf(magpie.KindTooLarge, "the history ends at more commits than the limit of %d", s.maxEdge)
	}
	s.edge = append(s.edge, id.Hash())
	return nil
}

// Read implements io.Reader.
func (s *Pack) Read(p []byte) (int, error) {
	for len(s.data) == 0 && s.err == nil {
		if s.err = s.fill(); s.err != nil && s.err != io.EOF {
			s.err = badAnswer(s.err)
		}
	}
	if len(s.data) == 0 {
		return 0, s.err
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	return n, nil
}

// fill reads the next packet.
func (s *Pack) fill() error {
	kind, payload, err := s.pkt.next()
	if err != nil {
		return cutShort(err)
	}
	if kind != pktData {
		return io.EOF
	}
	return s.band(payload)
}

// band takes a packet of one of the bands.
func (s *Pack) band(payload []byte) error {
	if len(payload) == 0 {
		return errors.New("a packet of the pack names no band")
	}
	switch band, data := payload[0], payload[1:]; band {
	case 1:
		s.data = data
		s.got += int64(len(data))
	case 2:
		s.progress.add(data)
	case 3:
		return serverError(data, s.answer.token)
	default:
		return fmt.Errorf("a packet of the pack is for band %d, which does not exist", band)
	}
	if s.got > s.limit {
		return magpie.Errorf(magpie.KindTooLarge, "the packfile is larger than the limit of %d bytes", s.limit)
	}
	if s.pkt.read-2*s.got > maxChatter {
		return errChatter
	}
	return nil
}

// Close ends the request.
func (s *Pack) Close() error {
	if s.err == nil {
		s.err = errors.New("pack stream is closed")
	}
	s.data = nil
	return s.answer.Close()
}
