package smarthttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"magpie"
	"magpie/internal/git"
)

// Fetch asks for the wanted objects and everything they reach that the known ones don't, and returns the pack as it
// arrives. The caller reads to io.EOF, which comes only after a complete answer, and closes; closing early ends the
// request.
//
// A wanted object that the server does not have gives an error of kind KindNotFound whose cause is a *NotOurRefError.
func (c *Client) Fetch(ctx context.Context, req Request) (io.ReadCloser, error) {
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
	p := &packStream{answer: a, pkt: newPktReader(a, 0), limit: c.limits.MaxPackBytes}
	if err := p.start(); err != nil {
		_ = a.Close()
		return nil, badAnswer(err)
	}
	return p, nil
}

// fetchBody writes the fetch command.
func (c *Client) fetchBody(s *server, req Request) ([]byte, error) {
	if req.Format != s.format {
		return nil, magpie.Errorf(magpie.KindInvalid, "the repository has object format %s, not %s", s.format, req.Format)
	}
	body := c.command("fetch", s)
	body = appendPkt(body, "ofs-delta\n")
	body = appendPkt(body, "no-progress\n")
	haves := req.Haves[:min(len(req.Haves), c.limits.MaxHaves)]
	for _, line := range []struct {
		word string
		ids  []magpie.Hash
	}{{"want", req.Wants}, {"have", haves}} {
		seen := map[git.ID]bool{}
		for _, h := range line.ids {
			id, err := git.ParseID(h)
			if err != nil || id.Format() != s.format {
				return nil, magpie.Errorf(magpie.KindInvalid, "%.70q is not an object id of this repository", string(h))
			}
			if !seen[id] && !id.IsZero() {
				seen[id] = true
				body = appendPkt(body, "%s %s\n", line.word, id)
			}
		}
	}
	body = appendPkt(body, "done\n")
	return append(body, "0000"...), nil
}

// FetchAvailable is Fetch with further wants that may be gone by now, such as ids that an event named and a later push
// removed. Those the server does not have are left out and returned. If a required want is refused, or nothing
// is left to want, the error is that of Fetch.
func (c *Client) FetchAvailable(ctx context.Context, req Request, optional []magpie.Hash) (pack io.ReadCloser, dropped []magpie.Hash, err error) {
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

// packStream takes the pack out of the answer to a fetch.
type packStream struct {
	answer *answer
	pkt    *pktReader
	data   []byte // of the current packet
	got    int64  // bytes of pack
	limit  int64
	err    error // sticky
}

// maxChatter is how many bytes that are no pack an answer may hold beyond as many as are.
const maxChatter = 16 << 20

var errChatter = errors.New("the server sends packets without end and no pack in them")

// start reads up to the section that holds the pack.
func (s *packStream) start() error {
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
			if kind, _, err = s.pkt.line(); err != nil {
				return cutShort(err)
			}
			if s.pkt.read > maxChatter {
				return errChatter
			}
		}
		if kind != pktDelim {
			return fmt.Errorf("the answer ends after its section %.40q", printable(section))
		}
	}
}

// Read implements io.Reader.
func (s *packStream) Read(p []byte) (int, error) {
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
func (s *packStream) fill() error {
	kind, payload, err := s.pkt.next()
	if err != nil {
		return cutShort(err)
	}
	if kind != pktData {
		return io.EOF
	}
	if len(payload) == 0 {
		return errors.New("a packet of the pack names no band")
	}
	switch band, data := payload[0], payload[1:]; band {
	case 1:
		s.data = data
		s.got += int64(len(data))
	case 2: // progress, although none was asked for
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
func (s *packStream) Close() error {
	if s.err == nil {
		s.err = errors.New("pack stream is closed")
	}
	s.data = nil
	return s.answer.Close()
}
