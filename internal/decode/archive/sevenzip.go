package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"unicode/utf16"

	"github.com/klauspost/compress/flate"

	"magpie/internal/decode/lzma"
)

// A 7z holds folders: streams that one or several files were packed into together. What it holds is told by a header at its
// end, which may be packed itself. Numbers have as many bytes more as the first one has ones in front; booleans are bits.
//
//	7z       "7z" bc af 27 1c version(2) crc32(4) offset(8) size(8) crc32(4) streams header
//	header   1 [2 properties 0] [3 streams] [4 streams] [5 files] 0, or 0x17 streams, whose one folder is the header
//	streams  [6 position count [9 sizes] [10 digests] 0] [7 11 folders 0 {folder} 12 sizes [10 digests] 0]
//	         [8 [13 counts] [9 sizes but the last of each folder] [10 digests] 0] 0
//	folder   coders {flags id [inputs outputs] [size properties]} {input output of those bound together} [inputs that are packed]
//	files    count {kind size property} 0
const (
	sevenZipHead    = 32
	maxSevenZipHead = 64 << 20 // of a header that is expanded
	maxCoders       = 8        // of a folder
)

// The kinds of what a header is made of.
const (
	idEnd = iota
	idHeader
	idProperties
	idMoreStreams
	idMainStreams
	idFiles
	idPacked
	idUnpacked
	idSubstreams
	idSizes
	idDigests
	idFolder
	idCoderSizes
	idCounts
	idEmptyStream
	idEmptyFile
	idAnti
	idNames
	idEncoded = 0x17
)

var errSevenZip = errors.New("its header makes no sense")

// sevenZip emits the members of a 7z.
func (w *walker) sevenZip(data []byte) error {
	if len(data) < sevenZipHead {
		return errors.New("it is cut off")
	}
	offset, size := binary.LittleEndian.Uint64(data[12:]), binary.LittleEndian.Uint64(data[20:])
	if size == 0 {
		return nil // no files
	}
	if offset > uint64(len(data)-sevenZipHead) || size > uint64(len(data)-sevenZipHead)-offset {
		return errors.New("it is cut off: the header, which is at its end, is missing")
	}
	head := data[sevenZipHead+offset:][:size]
	if crc32.ChecksumIEEE(head) != binary.LittleEndian.Uint32(data[28:]) {
		return errors.New("its header does not match its checksum")
	}
	for range 4 { // a header may be packed, and that may be packed again
		p := &sevenZipParser{b: head}
		switch p.number() {
		case idHeader:
			return w.sevenZipFiles(data, p)
		case idEncoded:
			s, err := p.streams()
			if err != nil {
				return err
			}
			if head, err = w.sevenZipHeader(data, s); err != nil {
				return fmt.Errorf("its list of files: %w", err)
			}
		default:
			return errSevenZip
		}
	}
	return errSevenZip
}

// sevenZipHeader expands a header that is packed.
func (w *walker) sevenZipHeader(data []byte, s *sevenZipStreams) ([]byte, error) {
	if len(s.folders) == 0 {
		return nil, errSevenZip
	}
	f := s.folders[0]
	r, done, err := w.openFolder(data, s, f)
	if err != nil {
		return nil, err
	}
	defer done()
	n := min(f.size(), maxSevenZipHead, uint64(max(w.budget.Bytes, 0)))
	head, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && uint64(len(head)) < f.size() {
		err = errors.New("it is cut off, or too long")
	}
	if err != nil {
		return nil, err
	}
	return head, w.budget.take(len(head))
}

// sevenZipFiles emits the files that the header tells of.
func (w *walker) sevenZipFiles(data []byte, p *sevenZipParser) error {
	s := &sevenZipStreams{}
	var names []string
	var err error
	for {
		switch p.number() {
		case idProperties:
			err = p.properties()
		case idMoreStreams:
			_, err = p.streams()
		case idMainStreams:
			s, err = p.streams()
		case idFiles:
			names, err = p.files(w.budget.Members)
		case idEnd:
			if p.err != nil {
				return p.err
			}
			return w.folders(data, s, names)
		default:
			err = errSevenZip
		}
		if err != nil {
			return err
		}
	}
}

// folders emits what is in all folders. names are those of the files that are not empty, in order.
func (w *walker) folders(data []byte, s *sevenZipStreams, names []string) error {
	next := 0
	for n, f := range s.folders {
		sizes := f.files
		folderNames := make([]string, 0, min(len(sizes), len(names)))
		for range sizes {
			if next < len(names) {
				folderNames = append(folderNames, names[next])
			}
			next++
		}
		path := fmt.Sprintf("7z:folder %d", n)
		if len(folderNames) == 1 {
			path = "7z:" + shown(folderNames[0])
		}
		if err := w.tell(path, w.folder(data, s, f, folderNames)); err != nil {
			return err
		}
	}
	return nil
}

// folder emits the files of a folder.
func (w *walker) folder(data []byte, s *sevenZipStreams, f *sevenZipFolder, names []string) error {
	if len(f.files) == 0 {
		return nil
	}
	start, end, err := s.place(data, f)
	if err != nil {
		return err
	}
	r, done, err := w.openFolder(data, s, f)
	if err != nil {
		return err
	}
	defer done()
	for n, size := range f.files {
		m := Member{Path: "7z:", Start: start, End: end}
		if n < len(names) {
			m.Name = names[n]
			m.Path += shown(m.Name)
		}
		body := &checkedReader{r: io.LimitReader(r, int64(min(size, 1<<62))), left: size}
		if n < len(f.sums) && f.checked[n] && !f.filtered() {
			body.sum, body.want = crc32.NewIEEE(), f.sums[n]
		}
		if f.stored() {
			m.Start, m.End = start, start+int(min(size, uint64(end-start)))
			start = m.End
			err = w.whole(data, m)
		} else {
			err = w.pieces(body, m)
		}
		if err != nil && !errors.Is(err, errSum) {
			return err
		}
		if err := w.tell(m.Path, err); err != nil {
			return err
		}
	}
	return nil
}

// checkedReader fails where a file ends early, or does not match its checksum.
type checkedReader struct {
	r    io.Reader
	left uint64
	sum  hash.Hash32 // nil if there is none
	want uint32
}

var errSum = errors.New("it does not match its checksum")

// Read implements io.Reader.
func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.left -= uint64(n)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	switch {
	case err == io.EOF && c.left > 0:
		err = io.ErrUnexpectedEOF
	case err == io.EOF && c.sum != nil && c.sum.Sum32() != c.want:
		err = errSum
	}
	return n, err
}

// sevenZipStreams is what a header says of packed streams.
type sevenZipStreams struct {
	position uint64
	packed   []uint64 // sizes
	folders  []*sevenZipFolder
}

// sevenZipFolder is one stream of files.
type sevenZipFolder struct {
	coders  []coder
	bonds   [][2]uint64 // input, output
	first   int         // of the packed streams
	inputs  []uint64    // that are packed streams
	sizes   []uint64    // that each coder expands to
	files   []uint64    // sizes of the files
	checked []bool
	sums    []uint32
	sum     uint32
	hasSum  bool
}

// coder is one step of unpacking.
type coder struct {
	id      uint64
	inputs  uint64
	outputs uint64
	props   []byte
}

// What a coder does.
const (
	coderCopy    = 0x00
	coderDelta   = 0x03
	coderLZMA    = 0x030101
	coderLZMA2   = 0x21
	coderDeflate = 0x040108
	coderBzip2   = 0x040202
	coderZstd    = 0x04f71101
	coderPPMd    = 0x030401
	coderBCJ2    = 0x0303011b
	coderAES     = 0x06f10701
)

// isFilter reports whether a coder changes only the addresses in code for some processor. Text it leaves alone.
func (c coder) isFilter() bool {
	return c.id>>16 == 0x0303 && c.id != coderBCJ2 || c.id >= 4 && c.id <= 0x0b
}

// filtered reports whether what is handed out is not exactly what was packed.
func (f *sevenZipFolder) filtered() bool {
	for _, c := range f.coders {
		if c.isFilter() {
			return true
		}
	}
	return false
}

// stored reports whether files stand in the folder as they are.
func (f *sevenZipFolder) stored() bool { return len(f.coders) == 1 && f.coders[0].id == coderCopy }

// size returns the size of what the folder expands to: of the output that is bound to no input.
func (f *sevenZipFolder) size() uint64 {
	for n := range f.sizes {
		if f.boundTo(uint64(n)) < 0 {
			return f.sizes[n]
		}
	}
	return 0
}

// boundTo returns the input that an output is bound to, or -1.
func (f *sevenZipFolder) boundTo(output uint64) int {
	for _, b := range f.bonds {
		if b[1] == output {
			return int(b[0])
		}
	}
	return -1
}

// place returns where the packed stream of a folder stands.
func (s *sevenZipStreams) place(data []byte, f *sevenZipFolder) (start, end int, err error) {
	at := s.position
	for n, size := range s.packed {
		if at > uint64(len(data)-sevenZipHead) || size > uint64(len(data)-sevenZipHead)-at {
			return 0, 0, errors.New("it is cut off")
		}
		if n == f.first {
			return sevenZipHead + int(at), sevenZipHead + int(at+size), nil
		}
		at += size
	}
	return 0, 0, errSevenZip
}

// openFolder returns a reader of what a folder expands to, and what to call when it is not needed any longer.
func (w *walker) openFolder(data []byte, s *sevenZipStreams, f *sevenZipFolder) (io.Reader, func(), error) {
	for _, c := range f.coders {
		switch c.id {
		case coderAES:
			return nil, nil, errEncrypted
		case coderPPMd:
			return nil, nil, errors.New("its compression, PPMd, is not known")
		case coderBCJ2:
			return nil, nil, errors.New("its compression, BCJ2, is not known")
		}
		if c.inputs != 1 || c.outputs != 1 {
			return nil, nil, errors.New("its compression has several streams")
		}
	}
	start, end, err := s.place(data, f)
	if err != nil {
		return nil, nil, err
	}
	if len(f.inputs) != 1 || f.inputs[0] >= uint64(len(f.coders)) {
		return nil, nil, errSevenZip
	}
	var r io.Reader = bytes.NewReader(data[start:end])
	var close []func()
	done := func() {
		for _, f := range close {
			f()
		}
	}
	at := int(f.inputs[0])
	for range f.coders {
		z, end, err := w.openCoder(f.coders[at], r, f.sizes[at])
		if err != nil {
			done()
			return nil, nil, err
		}
		r, close = z, append(close, end)
		if at = f.boundTo(uint64(at)); at < 0 || at >= len(f.coders) {
			return r, done, nil
		}
	}
	done()
	return nil, nil, errSevenZip // in a circle
}

// openCoder returns a reader of what one coder makes of r, which is size bytes.
func (w *walker) openCoder(c coder, r io.Reader, size uint64) (io.Reader, func(), error) {
	none := func() {}
	switch {
	case c.id == coderCopy || c.isFilter():
		return r, none, nil
	case c.id == coderDelta && len(c.props) == 1:
		return lzma.NewDelta(r, int(c.props[0])+1), none, nil
	case c.id == coderLZMA:
		return w.windowed(func(limit int) (io.Reader, error) { return lzma.NewRaw(r, c.props, int64(min(size, 1<<62)), limit) })
	case c.id == coderLZMA2 && len(c.props) == 1:
		return w.windowed(func(limit int) (io.Reader, error) { return lzma.NewReader2(r, c.props[0], limit) })
	case c.id == coderDeflate:
		return flate.NewReader(r), none, nil
	case c.id == coderBzip2:
		return w.open("bzip2", r)
	case c.id == coderZstd:
		return w.open("zstd", r)
	}
	return nil, nil, fmt.Errorf("its compression, number %#x, is not known", c.id)
}

// sevenZipParser reads a header. After its end it gives zeros and keeps the error.
type sevenZipParser struct {
	b   []byte
	err error
}

func (p *sevenZipParser) fail() { p.b, p.err = nil, errSevenZip }

func (p *sevenZipParser) byte() byte {
	if len(p.b) == 0 {
		p.fail()
		return 0
	}
	b := p.b[0]
	p.b = p.b[1:]
	return b
}

// take returns the next n bytes.
func (p *sevenZipParser) take(n uint64) []byte {
	if n > uint64(len(p.b)) {
		p.fail()
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *sevenZipParser) number() uint64 {
	lead := p.byte()
	var v uint64
	for i := range 8 {
		if lead&(0x80>>i) == 0 {
			return v | uint64(lead&(0x7f>>i))<<(8*i)
		}
		v |= uint64(p.byte()) << (8 * i)
	}
	return v
}

// list reads n numbers. It ends where the header does.
func (p *sevenZipParser) list(n uint64) (all []uint64) {
	for range n {
		if all = append(all, p.number()); p.err != nil {
			return nil
		}
	}
	return all
}

// bits reads n booleans, eight to a byte.
func (p *sevenZipParser) bits(n int) []bool {
	packed := p.take(uint64(n+7) / 8)
	if packed == nil {
		return nil
	}
	all := make([]bool, n) // eight times what stands there
	for i := range all {
		all[i] = packed[i/8]&(0x80>>(i%8)) != 0
	}
	return all
}

// digests reads the checksums of n streams; which of them have one comes first.
func (p *sevenZipParser) digests(n int) (checked []bool, sums []uint32) {
	if p.byte() == 0 {
		checked = p.bits(n)
	} else if n <= len(p.b) {
		checked = make([]bool, n)
		for i := range checked {
			checked[i] = true
		}
	}
	for _, has := range checked {
		sum := uint32(0)
		if has {
			if b := p.take(4); b != nil {
				sum = binary.LittleEndian.Uint32(b)
			}
		}
		sums = append(sums, sum)
	}
	return checked, sums
}

// properties reads over the properties of the archive.
func (p *sevenZipParser) properties() error {
	for p.err == nil && p.number() != idEnd {
		p.take(p.number())
	}
	return p.err
}

// streams reads what is said of packed streams.
func (p *sevenZipParser) streams() (*sevenZipStreams, error) {
	s := &sevenZipStreams{}
	split := false
	for p.err == nil {
		switch p.number() {
		case idPacked:
			p.packed(s)
		case idUnpacked:
			p.unpacked(s)
		case idSubstreams:
			split = true
			p.substreams(s)
		case idEnd:
			if !split {
				p.split(s, nil)
			}
			return s, p.err
		default:
			p.fail()
		}
	}
	return s, p.err
}

func (p *sevenZipParser) packed(s *sevenZipStreams) {
	s.position = p.number()
	count := p.number()
	for p.err == nil {
		switch p.number() {
		case idSizes:
			s.packed = p.list(count)
		case idDigests:
			if count > uint64(len(p.b)) {
				p.fail()
				return
			}
			p.digests(int(count))
		case idEnd:
			return
		default:
			p.fail()
		}
	}
}

func (p *sevenZipParser) unpacked(s *sevenZipStreams) {
	if p.number() != idFolder {
		p.fail()
		return
	}
	count := p.number()
	if p.byte() != 0 { // they stand elsewhere
		p.fail()
		return
	}
	first := 0
	for n := uint64(0); n < count && p.err == nil; n++ {
		f := p.folder()
		f.first = first
		first += len(f.inputs)
		s.folders = append(s.folders, f)
	}
	if p.number() != idCoderSizes {
		p.fail()
	}
	for _, f := range s.folders {
		for range f.coders {
			f.sizes = append(f.sizes, p.number())
		}
	}
	for p.err == nil {
		switch p.number() {
		case idDigests:
			checked, sums := p.digests(len(s.folders))
			for n := range min(len(checked), len(sums)) {
				s.folders[n].hasSum, s.folders[n].sum = checked[n], sums[n]
			}
		case idEnd:
			return
		default:
			p.fail()
		}
	}
}

// folder reads how one stream is unpacked. Each coder that this package knows has one output.
func (p *sevenZipParser) folder() *sevenZipFolder {
	f := &sevenZipFolder{}
	count := p.number()
	if count == 0 || count > maxCoders {
		p.fail()
		return f
	}
	inputs, outputs := uint64(0), uint64(0)
	for range count {
		flags := p.byte()
		c := coder{inputs: 1, outputs: 1}
		for _, b := range p.take(uint64(flags & 0x0f)) {
			c.id = c.id<<8 | uint64(b)
		}
		if flags&0x10 != 0 {
			c.inputs, c.outputs = p.number(), p.number()
		}
		if flags&0x20 != 0 {
			c.props = p.take(p.number())
		}
		if c.inputs > maxCoders || c.outputs != 1 {
			p.fail()
			return f
		}
		inputs, outputs = inputs+c.inputs, outputs+c.outputs
		f.coders = append(f.coders, c)
	}
	for range outputs - 1 {
		f.bonds = append(f.bonds, [2]uint64{p.number(), p.number()})
	}
	if inputs < outputs-1 {
		p.fail()
		return f
	}
	switch packed := inputs - (outputs - 1); packed {
	case 1:
		for n := range inputs {
			if !f.isBound(n) {
				f.inputs = append(f.inputs, n)
			}
		}
	default:
		f.inputs = p.list(packed)
	}
	return f
}

// isBound reports whether an input is bound to an output.
func (f *sevenZipFolder) isBound(input uint64) bool {
	for _, b := range f.bonds {
		if b[0] == input {
			return true
		}
	}
	return false
}

// substreams reads how the folders are split into files.
func (p *sevenZipParser) substreams(s *sevenZipStreams) {
	kind := p.number()
	var counts []uint64
	if kind == idCounts {
		counts = p.list(uint64(len(s.folders)))
		kind = p.number()
	}
	if kind == idSizes {
		p.split(s, counts)
		kind = p.number()
	} else {
		for n := range counts {
			if counts[n] > 1 {
				p.fail()
				return
			}
		}
		p.split(s, counts)
	}
	if kind == idDigests {
		p.fileDigests(s)
		kind = p.number()
	}
	if kind != idEnd {
		p.fail()
	}
}

// split reads the sizes of files: of all but the last one of each folder, which has the rest. Without counts each folder is
// one file.
func (p *sevenZipParser) split(s *sevenZipStreams, counts []uint64) {
	for n, f := range s.folders {
		count, left := uint64(1), f.size()
		if counts != nil {
			count = counts[n]
		}
		for i := uint64(1); i < count && p.err == nil; i++ {
			size := p.number()
			if size > left {
				p.fail()
			}
			f.files = append(f.files, size)
			left -= size
		}
		if count > 0 && p.err == nil {
			f.files = append(f.files, left)
		}
		if count == 1 && f.hasSum {
			f.checked, f.sums = []bool{true}, []uint32{f.sum}
		}
	}
}

// fileDigests reads the checksums of the files that have none by their folder's.
func (p *sevenZipParser) fileDigests(s *sevenZipStreams) {
	count := 0
	for _, f := range s.folders {
		if len(f.sums) == 0 {
			count += len(f.files)
		}
	}
	checked, sums := p.digests(count)
	for _, f := range s.folders {
		n := len(f.files)
		if len(f.sums) == 0 && n <= len(sums) && n <= len(checked) {
			f.checked, f.sums = checked[:n], sums[:n]
			checked, sums = checked[n:], sums[n:]
		}
	}
}

// files reads the list of files and returns the names of those that are not empty, at most most of them.
func (p *sevenZipParser) files(most int) ([]string, error) {
	count := p.number()
	if count > uint64(most) || count > 8*uint64(len(p.b)) {
		return nil, fmt.Errorf("it has %d files", count)
	}
	var names []string
	var empty []bool
	for p.err == nil {
		kind := p.number()
		if kind == idEnd {
			break
		}
		sub := &sevenZipParser{b: p.take(p.number())}
		switch kind {
		case idEmptyStream:
			empty = sub.bits(int(count))
		case idNames:
			if sub.byte() != 0 { // they stand elsewhere
				return nil, errSevenZip
			}
			names = wideNames(sub.b, int(count))
		}
	}
	kept := names[:0]
	for n, name := range names {
		if n >= len(empty) || !empty[n] {
			kept = append(kept, name)
		}
	}
	return kept, p.err
}

// wideNames splits names of UTF-16, each of which ends with a zero, at most most of them.
func wideNames(b []byte, most int) (names []string) {
	var unit []uint16
	for len(b) >= 2 && len(names) < most {
		u := binary.LittleEndian.Uint16(b)
		b = b[2:]
		if u != 0 {
			unit = append(unit, u)
			continue
		}
		names = append(names, string(utf16.Decode(unit)))
		unit = unit[:0]
	}
	return names
}
