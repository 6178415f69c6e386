package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// cpioEnd is the name of the member that ends an archive.
const cpioEnd = "TRAILER!!!"

// cpioHeader is what counts of a member's header.
//
//	new     "070701" inode mode uid gid links time size major minor major minor name-size check, of 8 hexadecimal digits each
//	old     "070707" device inode mode uid gid links device(6 octal digits each) time(11) name-size(6) size(11)
//	binary  0x71c7 device inode mode uid gid links device time(4) name-size size(4), of 2 bytes each, of either byte order
//
// Name and data follow. They are padded to a multiple of four bytes in the new form and of two in the binary one.
type cpioHeader struct {
	length     int // of the header itself
	mode       uint64
	name, size uint64 // in bytes
	pad        int
}

const (
	cpioNew     = 110
	cpioOld     = 76
	cpioBinary  = 26
	cpioMaxName = 64 << 10
	modeKind    = 0o170000
	modeFile    = 0o100000
)

// isCpio reports whether data begins with a header of cpio and the name behind it.
func isCpio(data []byte) bool {
	h, err := readCpioHeader(data)
	kind := h.mode >> 12
	return err == nil && kind > 0 && kind < 13 && h.name > 1 && h.name <= cpioMaxName && (len(data) < h.length+int(h.name) || data[h.length+int(h.name)-1] == 0)
}

var errCpio = errors.New("what follows its last readable member is lost")

// readCpioHeader reads the header at the start of data.
func readCpioHeader(data []byte) (cpioHeader, error) {
	switch {
	case len(data) >= cpioNew && (string(data[:6]) == "070701" || string(data[:6]) == "070702"):
		h := cpioHeader{length: cpioNew, pad: 4}
		for _, f := range []struct {
			to *uint64
			at int
		}{{&h.mode, 14}, {&h.size, 54}, {&h.name, 94}} {
			v, err := strconv.ParseUint(string(data[f.at:f.at+8]), 16, 32)
			if err != nil {
				return h, errCpio
			}
			*f.to = v
		}
		return h, nil
	case len(data) >= cpioOld && string(data[:6]) == "070707":
		h := cpioHeader{length: cpioOld, pad: 1}
		for _, f := range []struct {
			to      *uint64
			at, to2 int
		}{{&h.mode, 18, 24}, {&h.name, 59, 65}, {&h.size, 65, 76}} {
			v, err := strconv.ParseUint(string(data[f.at:f.to2]), 8, 62)
			if err != nil {
				return h, errCpio
			}
			*f.to = v
		}
		return h, nil
	case len(data) >= cpioBinary && (string(data[:2]) == "\xc7\x71" || string(data[:2]) == "\x71\xc7"):
		var order binary.ByteOrder = binary.LittleEndian
		if data[0] == 0x71 {
			order = binary.BigEndian
		}
		u := func(at int) uint64 { return uint64(order.Uint16(data[at:])) }
		return cpioHeader{length: cpioBinary, pad: 2, mode: u(6), name: u(20), size: u(22)<<16 | u(24)}, nil
	}
	return cpioHeader{}, errCpio
}

// padding returns how many bytes stand behind n bytes.
func (h cpioHeader) padding(n uint64) int64 {
	return int64((uint64(h.pad) - n%uint64(h.pad)) % uint64(h.pad))
}

// cpio emits the members of an archive of cpio that is read from r. If data is not nil, r reads that very archive, and members
// are told by their places in it.
func (w *walker) cpio(path string, data []byte, r io.Reader, m Member) error {
	for {
		h, name, err := nextCpio(r)
		if err != nil {
			return err
		}
		if name == cpioEnd {
			return nil
		}
		body := &io.LimitedReader{R: r, N: int64(h.size)}
		if h.mode&modeKind == modeFile && h.size > 0 {
			m.Name, m.Path = name, path+":"+shown(name)
			if err := w.cpioMember(data, body, m); err != nil {
				return err
			}
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		if body.N > 0 {
			return fmt.Errorf("%s is cut off", shown(name))
		}
		if _, err := io.CopyN(io.Discard, r, h.padding(h.size)); err != nil {
			return errCpio
		}
	}
}

// cpioMember emits one member, whose data body reads.
func (w *walker) cpioMember(data []byte, body *io.LimitedReader, m Member) error {
	if data == nil {
		return w.pieces(body, m)
	}
	m.Start = len(data) - body.R.(*bytes.Reader).Len()
	m.End = m.Start + int(min(body.N, int64(len(data)-m.Start)))
	return w.whole(data, m)
}

// nextCpio reads the next header and the name behind it.
func nextCpio(r io.Reader) (cpioHeader, string, error) {
	var head [cpioNew]byte
	if _, err := io.ReadFull(r, head[:cpioBinary]); err != nil {
		return cpioHeader{}, "", errCpio
	}
	n := cpioBinary
	if head[0] == '0' {
		n = cpioOld
		if head[5] != '7' {
			n = cpioNew
		}
		if _, err := io.ReadFull(r, head[cpioBinary:n]); err != nil {
			return cpioHeader{}, "", errCpio
		}
	}
	h, err := readCpioHeader(head[:n])
	if err != nil || h.name == 0 || h.name > cpioMaxName {
		return h, "", errCpio
	}
	name := make([]byte, h.name) // 64 KiB at most
	if _, err := io.ReadFull(r, name); err != nil {
		return h, "", errCpio
	}
	_, err = io.CopyN(io.Discard, r, h.padding(uint64(h.length)+h.name))
	return h, string(bytes.TrimRight(name, "\x00")), err
}
