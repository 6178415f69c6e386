package lzma

import "io"

// MaxWindow is how far back a stream may copy from, in bytes: as far as the strongest setting of xz does.
const MaxWindow = 64 << 20

// window holds what came out last. It grows until it holds as much as the stream asks for, and then goes in circles.
type window struct {
	buf   []byte
	at    int    // where the next byte goes
	full  bool   // the whole of buf is filled
	size  int    // how large buf may become
	asked uint32 // how large it would be if the stream had its way
	total int64  // bytes that ever came out since the stream began anew
	out   []byte // where what comes out also goes
}

const firstWindow = 64 << 10

// newWindow returns a window for a stream that asks for size bytes, of at most limit.
func newWindow(size uint32, limit int) *window {
	return &window{size: max(int(min(int64(size), int64(limit))), 4096), asked: size}
}

// clear makes the stream begin anew.
func (w *window) clear() { w.at, w.full, w.total = 0, false, 0 }

// kept returns how many bytes can be copied from.
func (w *window) kept() int {
	if w.full {
		return len(w.buf)
	}
	return w.at
}

// room makes room for at least one byte at w.at.
func (w *window) room() {
	if w.at < len(w.buf) {
		return
	}
	if len(w.buf) < w.size && !w.full {
		grown := make([]byte, min(max(2*len(w.buf), firstWindow), w.size))
		copy(grown, w.buf)
		w.buf = grown
		return
	}
	w.at, w.full = 0, true
}

// put appends a byte.
func (w *window) put(b byte) {
	w.room()
	w.buf[w.at] = b
	w.at++
	w.total++
	w.out = append(w.out, b)
}

// back returns the byte n before the last one; there must be one.
func (w *window) back(n int) byte {
	i := w.at - 1 - n
	if i < 0 {
		i += len(w.buf)
	}
	if i < 0 || i >= len(w.buf) {
		return 0
	}
	return w.buf[i]
}

// copy appends n bytes that stand from so many back before the last one on.
func (w *window) copy(back, n int) {
	for n > 0 {
		w.room()
		from := w.at - 1 - back
		if from < 0 {
			from += len(w.buf)
		}
		got := min(n, len(w.buf)-w.at, len(w.buf)-from)
		if from < w.at {
			got = min(got, w.at-from)
		}
		copy(w.buf[w.at:w.at+got], w.buf[from:from+got])
		w.out = append(w.out, w.buf[w.at:w.at+got]...)
		w.at += got
		w.total += int64(got)
		n -= got
	}
}

// add appends bytes that were not packed.
func (w *window) add(p []byte) {
	w.out = append(w.out, p...)
	w.total += int64(len(p))
	for len(p) > 0 {
		w.room()
		n := copy(w.buf[w.at:], p)
		w.at += n
		p = p[n:]
	}
}

// input reads the packed bytes.
type input struct {
	r    io.Reader
	room []byte
	buf  []byte
	at   int
	// limit is how many more bytes may be read; negative for any number.
	limit int
	// taken counts the bytes read.
	taken int64
}

// more reads more bytes, now that all are used.
func (in *input) more() error {
	if in.limit == 0 {
		return io.EOF
	}
	if in.room == nil {
		in.room = make([]byte, 16<<10)
	}
	p := in.room
	if in.limit > 0 {
		p = p[:min(len(p), in.limit)]
	}
	n, err := in.r.Read(p)
	in.buf, in.at = p[:n], 0
	in.taken += int64(n)
	if in.limit > 0 {
		in.limit -= n
	}
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}
