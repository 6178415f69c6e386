package smarthttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"magpie"
)

// maxPkt is the largest pkt-line that the protocol allows, its length digits included.
const maxPkt = 65520

// pktKind tells data from the special packets.
type pktKind uint8

const (
	pktData pktKind = iota
	pktFlush
	pktDelim
	pktEnd
)

// errPktLength says that a length prefix is not one.
var errPktLength = errors.New("the server's answer has a malformed packet length")

// pktReader takes an answer apart into its packets.
type pktReader struct {
	r     *bufio.Reader
	buf   [maxPkt]byte
	read  int64 // bytes so far
	limit int64 // of bytes; 0 is none
	token magpie.Secret
}

func newPktReader(a *answer, limit int64) *pktReader {
	return &pktReader{r: bufio.NewReaderSize(a, 64<<10), limit: limit, token: a.token}
}

// next returns the next packet. The payload is valid until the next call. An answer that ends between packets gives
// io.EOF, one that ends within a packet io.ErrUnexpectedEOF. An ERR packet gives the server's error.
func (p *pktReader) next() (pktKind, []byte, error) {
	n, err := p.length()
	if err != nil {
		return 0, nil, err
	}
	p.read += max(n, 4)
	if p.limit > 0 && p.read > p.limit {
		return 0, nil, magpie.Errorf(magpie.KindTooLarge, "the git server's answer is larger than the limit of %d bytes", p.limit)
	}
	switch n {
	case 0:
		return pktFlush, nil, nil
	case 1:
		return pktDelim, nil, nil
	case 2:
		return pktEnd, nil, nil
	}
	payload := p.buf[:n-4]
	if _, err := io.ReadFull(p.r, payload); err != nil {
		return 0, nil, cutShort(err)
	}
	if msg, ok := strings.CutPrefix(string(payload[:min(len(payload), 4)]), "ERR "); ok && msg == "" {
		return 0, nil, serverError(payload[4:], p.token)
	}
	return pktData, payload, nil
}

// length reads a length prefix.
func (p *pktReader) length() (int64, error) {
	var digits [4]byte
	if _, err := io.ReadFull(p.r, digits[:]); err != nil {
		return 0, err
	}
	var n int64
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, badAnswer(errPktLength)
		}
		n = n<<4 | int64(c)
	}
	if n == 3 || n > maxPkt {
		return 0, badAnswer(errPktLength)
	}
	return n, nil
}

// line returns the next packet as text without its newline.
func (p *pktReader) line() (pktKind, string, error) {
	kind, payload, err := p.next()
	return kind, strings.TrimSuffix(string(payload), "\n"), err
}

// cutShort turns the end of the stream into io.ErrUnexpectedEOF where it must not end.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// badAnswer marks an answer that is not the protocol. Trying again later may help: proxies cut answers.
func badAnswer(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the git server's answer ends too early", Err: &protocolError{io.ErrUnexpectedEOF}}
	}
	if magpie.KindOf(err) != magpie.KindInternal || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the git server's answer can't be understood", Err: &protocolError{err}}
}

// appendPkt appends a pkt-line holding the formatted text.
func appendPkt(b []byte, format string, args ...any) []byte {
	start := len(b)
	b = append(b, "0000"...)
	b = fmt.Appendf(b, format, args...)
	copy(b[start:], fmt.Sprintf("%04x", len(b)-start))
	return b
}
