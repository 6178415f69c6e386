package archive

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A capture holds the packets of a network. What is sent over one connection is put together, each direction by itself, in the
// order of its numbers; what was sent twice counts once.
//
//	pcap    magic(4) version(4) zone(4) accuracy(4) longest(4) link(4) {seconds(4) fraction(4) captured(4) length(4) packet}
//	pcapng  {kind(4) size(4) … size(4)}, of either byte order from each section header on
//	        0x0a0d0d0a section: order(4) …;  1 interface: link(2) …;  2, 3, 6 packet: … captured(4) length(4) packet
const (
	pcapHead       = 24
	pcapRecord     = 16
	maxPcapFlows   = 100_000
	ngSection      = 0x0a0d0d0a
	ngInterface    = 1
	ngOldPacket    = 2
	ngSimplePacket = 3
	ngPacket       = 6
)

// pcapMagics are the first numbers of captures, whose times are in micro- or nanoseconds.
var pcapMagics = []uint32{0xa1b2c3d4, 0xa1b23c4d}

// flow is one direction of a connection.
type flow struct {
	from, to netip.AddrPort
	udp      bool
}

// segment is what one packet carries.
type segment struct {
	number uint32 // of its first byte
	at, n  int    // in the file
}

// pcap is a capture in the making of its members.
type pcap struct {
	data    []byte
	flows   map[flow]int // of segments
	names   []flow
	parts   [][]segment
	cut     int // packets of which not all was captured
	unknown map[uint32]int
	beyond  int // packets of flows beyond maxPcapFlows
	split   int // packets that are parts of a larger one
}

// capture emits what the connections of a capture carried.
func (w *walker) capture(data []byte) error {
	p := &pcap{data: data, flows: map[flow]int{}, unknown: map[uint32]int{}}
	err := p.packets()
	for i, f := range p.names {
		if over := p.emit(w, f, p.parts[i]); over != nil {
			return over
		}
	}
	for link, n := range p.unknown {
		w.skip(fmt.Sprintf("pcap: %d packets of a network of a kind that is not known, number %d", n, link))
	}
	for _, left := range []struct {
		n   int
		why string
	}{{p.cut, "the ends of %d packets, which were not captured"}, {p.beyond, "%d packets of connections beyond the first 100000"}, {p.split, "%d packets that are parts of larger ones"}} {
		if left.n > 0 {
			w.skip("pcap: " + fmt.Sprintf(left.why, left.n))
		}
	}
	return err
}

// packets reads all packets.
func (p *pcap) packets() error {
	if len(p.data) >= 4 && binary.BigEndian.Uint32(p.data) == ngSection {
		return p.blocks()
	}
	if len(p.data) < pcapHead {
		return errors.New("it is cut off")
	}
	var order binary.ByteOrder = binary.BigEndian
	if !slices.Contains(pcapMagics, order.Uint32(p.data)) {
		order = binary.LittleEndian
	}
	link := order.Uint32(p.data[20:]) & 0xffff
	for at := pcapHead; at < len(p.data); {
		if at+pcapRecord > len(p.data) {
			return errors.New("it is cut off")
		}
		captured, length := order.Uint32(p.data[at+8:]), order.Uint32(p.data[at+12:])
		at += pcapRecord
		if uint64(captured) > uint64(len(p.data)-at) {
			p.packet(link, at, len(p.data), true)
			return errors.New("it is cut off")
		}
		p.packet(link, at, at+int(captured), captured < length)
		at += int(captured)
	}
	return nil
}

// blocks reads the blocks of a pcapng.
func (p *pcap) blocks() error {
	var order binary.ByteOrder = binary.LittleEndian
	var links []uint32
	for at := 0; at < len(p.data); {
		if at+12 > len(p.data) {
			return errors.New("it is cut off")
		}
		kind := order.Uint32(p.data[at:])
		if kind == ngSection {
			order = binary.LittleEndian
			if binary.BigEndian.Uint32(p.data[at+8:]) == 0x1a2b3c4d {
				order = binary.BigEndian
			}
			links = nil
		}
		size := order.Uint32(p.data[at+4:])
		if size < 12 || size%4 != 0 {
			return errors.New("a block of it makes no sense")
		}
		if uint64(size) > uint64(len(p.data)-at) {
			return errors.New("it is cut off")
		}
		b := p.data[at+8 : at+int(size)-4]
		switch {
		case kind == ngInterface && len(b) >= 2:
			links = append(links, uint32(order.Uint16(b)))
		case kind == ngSimplePacket && len(b) >= 4 && len(links) > 0:
			p.captured(links[0], at+12, len(b)-4, order.Uint32(b), order.Uint32(b))
		case (kind == ngPacket || kind == ngOldPacket) && len(b) >= 20:
			n := order.Uint32(b)
			if kind == ngOldPacket {
				n = uint32(order.Uint16(b))
			}
			if uint64(n) < uint64(len(links)) {
				p.captured(links[n], at+28, len(b)-20, order.Uint32(b[12:]), order.Uint32(b[16:]))
			}
		}
		at += int(size)
	}
	return nil
}

// captured reads a packet of which so many bytes were captured, if the block has room for them.
func (p *pcap) captured(link uint32, at, room int, captured, length uint32) {
	n := int(min(uint64(captured), uint64(room)))
	p.packet(link, at, at+n, n < int(min(uint64(length), 1<<31)))
}

// Networks, and what a frame carries.
const (
	linkNull     = 0
	linkEthernet = 1
	linkRaw      = 101
	linkLoop     = 108
	linkCooked   = 113
	linkCooked2  = 276
	linkIPv4     = 228
	linkIPv6     = 229

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherTag  = 0x8100
	etherTag2 = 0x88a8
)

// packet reads a packet that stands from at to end.
func (p *pcap) packet(link uint32, at, end int, cut bool) {
	if cut {
		p.cut++
	}
	b := p.data[at:end]
	skip := 0
	switch link {
	case linkEthernet:
		skip = 14
		for len(b) >= skip+4 && (binary.BigEndian.Uint16(b[skip-2:]) == etherTag || binary.BigEndian.Uint16(b[skip-2:]) == etherTag2) && skip < 30 {
			skip += 4
		}
		if len(b) < skip {
			return
		}
		if kind := binary.BigEndian.Uint16(b[skip-2:]); kind != etherIPv4 && kind != etherIPv6 {
			return // addresses and the like
		}
	case linkNull, linkLoop:
		skip = 4
	case linkRaw, 12, 14, linkIPv4, linkIPv6:
	case linkCooked:
		skip = 16
	case linkCooked2:
		skip = 20
	default:
		p.unknown[link]++
		return
	}
	if len(b) > skip {
		p.ip(at+skip, end)
	}
}

// The protocols that IP carries.
const (
	protoTCP = 6
	protoUDP = 17
)

// ip reads a packet of IP that stands from at to end.
func (p *pcap) ip(at, end int) {
	b := p.data[at:end]
	switch b[0] >> 4 {
	case 4:
		head := 4 * int(b[0]&15)
		if len(b) < 20 || head < 20 || len(b) < head {
			return
		}
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			p.split++
			return
		}
		if total := int(binary.BigEndian.Uint16(b[2:])); total >= head && total < len(b) {
			end = at + total
		}
		from, _ := netip.AddrFromSlice(b[12:16])
		to, _ := netip.AddrFromSlice(b[16:20])
		p.transport(b[9], from, to, at+head, end)
	case 6:
		if len(b) < 40 {
			return
		}
		if total := 40 + int(binary.BigEndian.Uint16(b[4:])); total > 40 && total < len(b) {
			end = at + total
		}
		from, _ := netip.AddrFromSlice(b[8:24])
		to, _ := netip.AddrFromSlice(b[24:40])
		next := b[6]
		at += 40
		for (next == 0 || next == 43 || next == 60) && at+8 <= end { // options
			next, at = p.data[at], at+8+8*int(p.data[at+1])
		}
		if next == 44 {
			p.split++
			return
		}
		p.transport(next, from, to, at, end)
	}
}

// transport reads what a packet of IP carries.
func (p *pcap) transport(protocol byte, from, to netip.Addr, at, end int) {
	if at+8 > end {
		return
	}
	b := p.data[at:end]
	f := flow{from: netip.AddrPortFrom(from, binary.BigEndian.Uint16(b)), to: netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:]))}
	s := segment{}
	switch protocol {
	case protoTCP:
		if len(b) < 20 {
			return
		}
		s.number, s.at = binary.BigEndian.Uint32(b[4:]), at+4*int(b[12]>>4)
		if b[13]&2 != 0 {
			s.number++ // the beginning counts as a byte
		}
	case protoUDP:
		f.udp, s.at = true, at+8
	default:
		return
	}
	if s.n = end - s.at; s.n <= 0 {
		return
	}
	i, known := p.flows[f]
	if !known {
		if len(p.names) >= maxPcapFlows {
			p.beyond++
			return
		}
		i = len(p.names)
		p.flows[f] = i
		p.names, p.parts = append(p.names, f), append(p.parts, nil)
	}
	p.parts[i] = append(p.parts[i], s)
}

// emit emits what one direction of a connection carried.
func (p *pcap) emit(w *walker, f flow, parts []segment) error {
	kind := "tcp"
	if f.udp {
		kind = "udp"
	}
	a := w.assemble(Member{Path: fmt.Sprintf("pcap:%s %s to %s", kind, f.from, f.to), End: len(p.data)})
	if f.udp {
		for _, s := range parts {
			a.put(p.data[s.at:][:s.n], s.at, s.n, 1)
			a.add("\n")
		}
		return a.end()
	}
	first := parts[0].number
	for _, s := range parts {
		if int32(s.number-first) < 0 {
			first = s.number // it came too late
		}
	}
	slices.SortStableFunc(parts, func(x, y segment) int { return cmp.Compare(x.number-first, y.number-first) })
	next := uint32(0)
	for _, s := range parts {
		at := s.number - first
		if at > next {
			a.add("\n") // something is missing
			next = at
		}
		if over := next - at; uint64(over) < uint64(s.n) {
			a.put(p.data[s.at+int(over):][:s.n-int(over)], s.at+int(over), s.n-int(over), 1)
			next = at + uint32(s.n)
		}
	}
	return a.end()
}
