package archive

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf16"
)

// A binary property list is a table of objects that refer to one another by number. Numbers are big-endian.
//
//	file    "bplist00" {object} {place of an object} trailer
//	object  kind and count in four bits each, the count as an object behind it if it is 15, and bytes or numbers of objects
//	trailer zeros(6) size of a place(1) size of a number(1) objects(8) top(8) where the places stand(8)
//
// The text is the texts of dictionaries beside their keys, and then all others.
const plistTrailer = 32

// The kinds of objects that matter.
const (
	plistData  = 4
	plistASCII = 5
	plistWide  = 6
	plistDict  = 13
)

type plist struct {
	data   []byte
	places []byte // of all objects
	place  int    // bytes of each
	number int    // bytes of the number of an object
	a      *assembly
	shown  map[int]bool // objects that stand in a dictionary
}

// plist emits the texts of a property list.
func (w *walker) plist(data []byte) error {
	errBad := errors.New("its trailer makes no sense")
	if len(data) < 8+plistTrailer {
		return errors.New("it is cut off")
	}
	t := data[len(data)-plistTrailer:]
	p := &plist{data: data, place: int(t[6]), number: int(t[7]), shown: map[int]bool{}, a: w.assemble(Member{Path: "plist", End: len(data)})}
	count, table := binary.BigEndian.Uint64(t[8:]), binary.BigEndian.Uint64(t[24:])
	room := uint64(len(data) - plistTrailer)
	if p.place < 1 || p.place > 8 || p.number < 1 || p.number > 8 || table > room || count > (room-table)/uint64(p.place) {
		return errBad
	}
	p.places = data[table : table+count*uint64(p.place)]
	for n := range int(count) {
		p.dict(n)
	}
	for n := range int(count) {
		if !p.shown[n] && p.a.err == nil && p.put(n) {
			p.a.add("\n")
		}
	}
	return p.a.end()
}

// uintOf reads a number of any length.
func uintOf(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// object returns the kind of the nth object, its count, and where what follows stands; ok is false if it is not there.
func (p *plist) object(n int) (kind byte, count, at int, ok bool) {
	if n < 0 || n >= len(p.places)/p.place {
		return 0, 0, 0, false
	}
	place := uintOf(p.places[n*p.place:][:p.place])
	if place >= uint64(len(p.data)-plistTrailer) {
		return 0, 0, 0, false
	}
	at = int(place)
	kind, count = p.data[at]>>4, int(p.data[at]&15)
	at++
	if count < 15 {
		return kind, count, at, true
	}
	size := 1 << (p.data[at] & 7)
	if p.data[at]>>4 != 1 || size > 8 || at+1+size > len(p.data) {
		return 0, 0, 0, false
	}
	v := uintOf(p.data[at+1:][:size])
	if v > math.MaxInt32 {
		return 0, 0, 0, false
	}
	return kind, int(v), at + 1 + size, true
}

// dict appends the texts of the nth object, if it is a dictionary, beside their keys.
func (p *plist) dict(n int) {
	kind, count, at, ok := p.object(n)
	if !ok || kind != plistDict || uint64(count)*2*uint64(p.number) > uint64(len(p.data)-at) {
		return
	}
	ref := func(i int) int { return int(uintOf(p.data[at+i*p.number:][:p.number]) & math.MaxInt32) }
	for i := 0; i < count && p.a.err == nil; i++ {
		// Dictionaries may be of the same bytes.
		if p.a.err = p.a.w.budget.take(p.number); p.a.err != nil {
			return
		}
		key, value := ref(i), ref(count+i)
		if k, _, _, ok := p.object(value); !ok || k != plistASCII && k != plistWide && k != plistData {
			continue
		}
		p.a.add(`"`)
		p.put(key)
		p.a.add(`": "`)
		p.put(value)
		p.a.add("\"\n")
		p.shown[key], p.shown[value] = true, true
	}
}

// put appends the nth object if it is text, and reports whether it is.
func (p *plist) put(n int) bool {
	kind, count, at, ok := p.object(n)
	if !ok {
		return false
	}
	size := count
	if kind == plistWide {
		size *= 2
	}
	if size > len(p.data)-at || size == 0 {
		return false
	}
	b := p.data[at:][:size]
	switch kind {
	case plistASCII:
		return p.a.put(b, at, size, 1)
	case plistData:
		return isText(b[:min(len(b), 512)]) && p.a.put(b, at, size, 1)
	case plistWide:
		if p.a.err = p.a.w.budget.take(size); p.a.err != nil {
			return false
		}
		units := make([]uint16, 0, count)
		for ; len(b) >= 2; b = b[2:] {
			units = append(units, binary.BigEndian.Uint16(b))
		}
		text := []byte(string(utf16.Decode(units)))
		unit := 0
		if len(text) == count {
			unit = 2
		}
		return p.a.put(text, at, size, unit)
	}
	return false
}
