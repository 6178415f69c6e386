package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// tarBlock is the size of a header in bytes.
const tarBlock = 512

// isTar reports whether data begins with a header of tar whose checksum is right.
func isTar(data []byte) bool {
	if len(data) < tarBlock || string(data[257:262]) != "ustar" {
		return false
	}
	sum := 8 * int(' ')
	for i, c := range data[:tarBlock] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	said, err := strconv.ParseInt(string(bytes.Trim(data[148:156], " \x00")), 8, 32)
	return err == nil && int(said) == sum
}

// tar emits the members of a tar that is read from r. If data is not nil, r reads that very tar, and members are told by
// their places in it.
func (w *walker) tar(path string, data []byte, r io.Reader, m Member) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("what follows its last readable member is lost: %w", err)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		m.Name, m.Path = h.Name, path+":"+shown(h.Name)
		if data != nil {
			start := len(data) - r.(*bytes.Reader).Len()
			m.Start, m.End = start, start+int(min(h.Size, int64(len(data)-start)))
			if err := w.whole(data, m); err != nil {
				return err
			}
			continue
		}
		if err := w.pieces(t, m); errors.Is(err, errBudget) {
			return err
		} else if err != nil {
			return fmt.Errorf("%s: %w", shown(h.Name), err)
		}
	}
}
