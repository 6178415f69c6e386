package archive

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

var be = binary.BigEndian

// tcp4 and udp6 return packets of IP.
func tcp4(from, to uint16, number uint32, flags byte, text string) []byte {
	t := be.AppendUint16(be.AppendUint16(nil, from), to)
	t = be.AppendUint32(be.AppendUint32(t, number), 0)
	t = append(append(t, 6<<4, flags, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1), text...) // with four bytes of options
	ip := append([]byte{0x45, 0}, be.AppendUint16(nil, uint16(20+len(t)))...)
	ip = append(ip, 0, 0, 0x40, 0, 64, protoTCP, 0, 0, 10, 0, 0, byte(from), 10, 0, 0, byte(to))
	return append(ip, t...)
}

func udp6(text string) []byte {
	u := append(be.AppendUint16(nil, 1000), 0, 53)
	u = append(append(be.AppendUint16(u, uint16(8+len(text))), 0, 0), text...)
	ip := append([]byte{0x60, 0, 0, 0}, be.AppendUint16(nil, uint16(8+len(u)))...)
	ip = append(ip, 0, 64)
	ip = append(append(ip, make([]byte, 15)...), 1)
	ip = append(append(ip, make([]byte, 15)...), 2)
	return append(append(ip, protoUDP, 0, 0, 0, 0, 0, 0, 0), u...)
}

// ethernet puts a packet into a frame with a tag, and pads it.
func ethernet(packet []byte) []byte {
	frame := append(make([]byte, 12), 0x81, 0, 0, 7, 8, 0)
	if packet[0]>>4 == 6 {
		frame[16], frame[17] = 0x86, 0xdd
	}
	frame = append(frame, packet...)
	return append(frame, make([]byte, max(0, 60-len(frame)))...)
}

// captured returns a capture of frames.
func captured(order binary.AppendByteOrder, link uint32, frames ...[]byte) []byte {
	b := order.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, make([]byte, 16)...)
	b = order.AppendUint32(b, link)
	for _, f := range frames {
		b = append(b, make([]byte, 8)...)
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f))), uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// capturedNew returns a capture of the newer kind.
func capturedNew(order binary.AppendByteOrder, link uint16, frames ...[]byte) []byte {
	var b []byte
	block := func(kind uint32, body []byte) {
		body = append(body, make([]byte, -len(body)&3)...)
		b = order.AppendUint32(order.AppendUint32(b, kind), uint32(12+len(body)))
		b = order.AppendUint32(append(b, body...), uint32(12+len(body)))
	}
	block(ngSection, append(order.AppendUint32(nil, 0x1a2b3c4d), make([]byte, 12)...))
	block(ngInterface, append(order.AppendUint16(nil, link), make([]byte, 6)...))
	block(5, make([]byte, 8))
	for _, f := range frames {
		body := make([]byte, 12)
		body = order.AppendUint32(order.AppendUint32(body, uint32(len(f))), uint32(len(f)))
		block(ngPacket, append(body, f...))
	}
	return b
}

// talk is a connection whose packets are out of order, come twice and overlap, with others between them.
func talk() [][]byte {
	return [][]byte{
		ethernet(tcp4(1, 2, 99, 2, "")),
		ethernet(tcp4(1, 2, 100, 16, "GET / HTTP/1.1\r\nAuthor")),
		ethernet(tcp4(2, 1, 500, 16, "HTTP/1.1 200 OK\r\n")),
		ethernet(udp6("a question")),
		ethernet(tcp4(1, 2, 132, 16, "earer abc\r\n")),
		ethernet(tcp4(1, 2, 122, 16, "ization: Bea")),
		ethernet(tcp4(1, 2, 100, 16, "GET / HTTP/1.1\r\nAuthor")),
		ethernet(udp6("another one")),
	}
}

func captures() [][]byte {
	return [][]byte{
		captured(binary.LittleEndian, linkEthernet, talk()...), captured(binary.BigEndian, linkEthernet, talk()...),
		capturedNew(binary.LittleEndian, linkEthernet, talk()...), capturedNew(binary.BigEndian, linkEthernet, talk()...),
	}
}

func TestCapture(t *testing.T) {
	for _, data := range captures() {
		want(t, data, "pcap:", entry{"tcp 10.0.0.1:1 to 10.0.0.2:2", "GET / HTTP/1.1\r\nAuthorization: Bearer abc\r\n"},
			entry{"tcp 10.0.0.2:2 to 10.0.0.1:1", "HTTP/1.1 200 OK\r\n"}, entry{"udp [::1]:1000 to [::2]:53", "a question\nanother one\n"})
		b := NewBudget(len(data))
		Walk("pcap", data, &b, func(m Member) {
			if i := bytes.Index(m.Data, []byte("abc")); i >= 0 {
				if from, to := m.Place(i, i+3); string(data[from:to]) != "abc" {
					t.Errorf("placed at %q", data[from:to])
				}
			}
		}, func(string) {})
	}
	want(t, captured(binary.LittleEndian, linkRaw, tcp4(1, 2, 1<<32-3, 16, "abcd"), tcp4(1, 2, 1, 16, "efg")), "pcap:", entry{"tcp 10.0.0.1:1 to 10.0.0.2:2", "abcdefg"})
	want(t, captured(binary.LittleEndian, linkNull, append([]byte{2, 0, 0, 0}, tcp4(1, 2, 7, 16, "abcd")...)), "pcap:", entry{"tcp 10.0.0.1:1 to 10.0.0.2:2", "abcd"})
	want(t, captured(binary.LittleEndian, linkCooked, append(make([]byte, 16), tcp4(1, 2, 7, 16, "abcd")...)), "pcap:", entry{"tcp 10.0.0.1:1 to 10.0.0.2:2", "abcd"})
}

func TestCaptureSaysWhatIsWrong(t *testing.T) {
	data := captured(binary.LittleEndian, linkEthernet, talk()...)
	short := slices.Clone(data)
	binary.LittleEndian.PutUint32(short[pcapHead+12:], 2000)
	part := tcp4(1, 2, 7, 16, "abcd")
	part[6] = 0x20
	newer := capturedNew(binary.LittleEndian, linkEthernet, talk()...)
	bad := slices.Clone(newer)
	bad[28+4] = 3
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"cut off":           {data[:len(data)-5], "pcap: it is cut off"},
		"not captured":      {short, "the ends of 1 packets"},
		"network":           {captured(binary.LittleEndian, 105, talk()...), "not known, number 105"},
		"parts":             {captured(binary.LittleEndian, linkRaw, part), "1 packets that are parts"},
		"newer, cut off":    {newer[:len(newer)-5], "pcap: it is cut off"},
		"newer, bad length": {bad, "a block of it makes no sense"},
	} {
		if _, skipped := gather(t, tt.data); !strings.Contains(strings.Join(skipped, "\n"), tt.want) {
			t.Errorf("%s: skipped %q, want %q", name, skipped, tt.want)
		}
	}
}
