// Package archive looks into what is compressed or packed together: archives, compressed files, documents, databases and
// other files of a known form whose text does not stand in them as it is meant. Each form has a file of its own here, which
// restates the format. A container is known by its first bytes, or by the end of a zip's directory, so that text costs a
// comparison.
//
// Everything in a container may be a lie: names, sizes, places. So nothing is allocated by what it says of itself; what comes
// out is counted, in pieces of a bounded size, against a Budget that all that is nested in one file shares; what points into
// the container is followed once. What is left out is told in words. It looks one container deep, but for a tar or cpio that
// is compressed, which is one thing to people; callers that want what is in a member give it the member again.
package archive

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"magpie"
)

// Sizes in bytes.
const (
	pieceSize = 8 << 20  // of a member that is looked at at once
	overlap   = 16 << 10 // of two pieces of a member
	maxWindow = 16 << 20 // of zstd
	maxName   = 200      // of a member's name that is told
)

// Member is a file in a container, or a piece of one, or text that was put together from what stands in it.
type Member struct {
	Path string // the container's kind and the name in it, such as "zip:conf/app.properties" or "gzip>tar:a"
	Name string // in the container, as it stands there; empty if it has none
	Data []byte // valid until the next member
	// Start and End bound where in the container it stands, as it is there: all of it if that can't be told.
	Start, End int
	Exact      bool // Data is that very part of the container
	Markup     bool // Data is the markup of a document whose text is a member of its own

	spans []span // of text that was put together, where it was taken from
}

// Place returns where in the container Data[start:end] stands, as exactly as that can be told.
func (m *Member) Place(start, end int) (int, int) {
	switch {
	case m.Exact:
		return m.Start + start, m.Start + end
	case len(m.spans) > 0:
		if from, to, ok := place(m.spans, start, end); ok {
			return from, to
		}
	}
	return m.Start, m.End
}

// Budget is what all containers in one file may come to. Each Walk takes from it.
type Budget struct {
	Bytes   int64 // that come out
	Members int

	windows int // bytes that the windows of open readers may come to hold
}

// Limits of a file of any size.
const (
	floorBytes = 64 << 20
	mostBytes  = 2 << 30
	ratio      = 64 // times the file's size that may come out of it, beyond floorBytes
	maxMembers = 100_000
	maxWindows = 128 << 20 // bytes of all windows that are open at a time, one in another
)

// NewBudget returns the budget of a file of size bytes.
func NewBudget(size int) Budget {
	return Budget{Bytes: min(floorBytes+ratio*int64(size), mostBytes), Members: maxMembers}
}

// take takes n bytes from the budget.
func (b *Budget) take(n int) error {
	if b.Bytes -= int64(n); b.Bytes < 0 {
		return errBudget
	}
	return nil
}

// member takes one member from the budget.
func (b *Budget) member() error {
	if b.Members--; b.Members < 0 {
		return errBudget
	}
	return nil
}

// errBudget says that the budget is used up.
var errBudget = errors.New("it expands to more than is looked at")

// errEncrypted says that a member, or the whole, can't be read without a password.
var errEncrypted = errors.New("it is encrypted")

// walker expands one container.
type walker struct {
	budget *Budget
	emit   func(Member)
	skip   func(why string)
	buf    []byte
}

// Walk expands the container data, of the kind that Detect says, and calls emit for each of its members, and skip for what
// is left out.
func Walk(kind string, data []byte, budget *Budget, emit func(Member), skip func(why string)) {
	w := &walker{budget: budget, emit: emit, skip: skip}
	if err := w.walk(kind, data, Member{Path: kind, End: len(data)}); err != nil {
		skip(fmt.Sprintf("%s: %v", kind, err))
	}
}

// walk expands a container by its kind; whole is all of it.
func (w *walker) walk(kind string, data []byte, whole Member) error {
	switch kind {
	case "zip":
		return w.zip(data)
	case "tar":
		return w.tar(kind, data, bytes.NewReader(data), whole)
	case "cpio":
		return w.cpio(kind, data, bytes.NewReader(data), whole)
	case "ar":
		return w.ar(data)
	case "rpm":
		return w.rpm(data)
	case "7z":
		return w.sevenZip(data)
	case "pdf":
		return w.pdf(data)
	case "sqlite":
		return w.sqlite(data)
	case "sqlite-wal":
		return w.sqliteLog(data)
	case "class":
		return w.class(data)
	case "pyc":
		return w.pyc(data)
	case "plist":
		return w.plist(data)
	case "pcap":
		return w.capture(data)
	case "pack":
		return w.gitPack(data)
	case "bundle":
		return w.gitBundle(data)
	}
	return w.compressed(kind, bytes.NewReader(data), whole)
}

// whole emits the part of the container data that m says, as a member that is there as it is.
func (w *walker) whole(data []byte, m Member) error {
	if err := w.budget.member(); err != nil {
		return err
	}
	m.Data, m.Exact = data[m.Start:m.End], true
	if len(m.Data) > 0 {
		w.emit(m)
	}
	return nil
}

// tell says that a member was left out, unless the budget is used up, which ends it all: then it returns that.
func (w *walker) tell(path string, err error) error {
	if err == nil || errors.Is(err, errBudget) {
		return err
	}
	w.skip(fmt.Sprintf("%s: %v", path, err))
	return nil
}

// shown is a member's name as it may be shown anywhere.
func shown(name string) string {
	name = magpie.Printable(strings.ToValidUTF8(name, "\uFFFD"))
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "") + "…"
	}
	return name
}
