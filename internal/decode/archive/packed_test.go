package archive

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// zipped64 returns a zip of one stored file, whose sizes and places are all of 64 bits, with before in front of it.
func zipped64(before string, f entry) []byte {
	le := binary.LittleEndian
	sum := crc32.ChecksumIEEE([]byte(f.text))
	extra := le.AppendUint16(nil, 1)
	extra = le.AppendUint16(extra, 16)
	extra = le.AppendUint64(le.AppendUint64(extra, uint64(len(f.text))), uint64(len(f.text)))
	local := append([]byte("PK\x03\x04"), 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	local = append(le.AppendUint32(local, sum), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	local = le.AppendUint16(le.AppendUint16(local, uint16(len(f.name))), uint16(len(extra)))
	local = slices.Concat(local, []byte(f.name), extra, []byte(f.text))

	more := le.AppendUint64(slices.Clone(extra), 0)
	le.PutUint16(more[2:], 24)
	central := append([]byte("PK\x01\x02"), 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	central = append(le.AppendUint32(central, sum), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	central = le.AppendUint16(le.AppendUint16(central, uint16(len(f.name))), uint16(len(more)))
	central = append(central, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
	central = slices.Concat(central, []byte(f.name), more)

	end64 := le.AppendUint64([]byte("PK\x06\x06"), 44)
	end64 = append(end64, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, n := range []int{1, 1, len(central), len(local)} {
		end64 = le.AppendUint64(end64, uint64(n))
	}
	locator := le.AppendUint64([]byte("PK\x06\x07\x00\x00\x00\x00"), uint64(len(local)+len(central)))
	locator = append(locator, 1, 0, 0, 0)
	end := []byte("PK\x05\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00")
	return slices.Concat([]byte(before), local, central, end64, locator, end)
}

func TestZipOf64Bits(t *testing.T) {
	f := entry{"a/b.txt", "one line\n"}
	want(t, zipped64("", f), "zip:", f)
	want(t, zipped64("#!/bin/sh\nexec unzip $0\n", f), "zip:", f)
}

func TestZipWithACommentBehindAProgram(t *testing.T) {
	f := entry{"a/b.txt", "one line\n"}
	data := zipped64("MZ and so on", f)
	binary.LittleEndian.PutUint16(data[len(data)-2:], 5)
	want(t, append(data, "by me"...), "zip:", f)
}

// cpioed returns an archive of cpio in its new form.
func cpioed(files ...entry) []byte {
	var b bytes.Buffer
	for _, f := range append(files, entry{cpioEnd, ""}) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", 7, modeFile|0o644, 0, 0, 1, 0, len(f.text), 0, 0, 0, 0,
			len(f.name)+1, 0, f.name)
		b.Write(make([]byte, -b.Len()&3))
		b.WriteString(f.text)
		b.Write(make([]byte, -b.Len()&3))
	}
	return b.Bytes()
}

// oldCpio and binaryCpio return an archive of one file in its older forms.
func oldCpio(f entry) []byte {
	var b bytes.Buffer
	for _, f := range []entry{f, {cpioEnd, ""}} {
		fmt.Fprintf(&b, "070707%06o%06o%06o%06o%06o%06o%06o%011o%06o%011o%s\x00%s", 1, 2, modeFile|0o644, 0, 0, 1, 0, 0, len(f.name)+1, len(f.text), f.name, f.text)
	}
	return b.Bytes()
}

func binaryCpio(order binary.AppendByteOrder, f entry) []byte {
	var b []byte
	for _, f := range []entry{f, {cpioEnd, ""}} {
		for _, v := range []uint16{0o070707, 1, 2, modeFile | 0o644, 0, 0, 1, 0, 0, 0, uint16(len(f.name) + 1), 0, uint16(len(f.text))} {
			b = order.AppendUint16(b, v)
		}
		b = append(b, f.name...)
		b = append(b, make([]byte, 2-len(f.name)%2)...)
		b = append(b, f.text...)
		b = append(b, make([]byte, len(f.text)%2)...)
	}
	return b
}

func TestCpio(t *testing.T) {
	f, g := entry{"etc/a.conf", "one line\n"}, entry{"etc/b", "and b"}
	want(t, cpioed(f, g), "cpio:", f, g)
	want(t, oldCpio(f), "cpio:", f)
	want(t, binaryCpio(binary.LittleEndian, f), "cpio:", f)
	want(t, binaryCpio(binary.BigEndian, f), "cpio:", f)
	want(t, squeezed(t, cpioed(f, g)), "gzip>cpio:", f, g)
	cut := cpioed(f, g)
	if _, skipped := gather(t, cut[:len(cut)-160]); len(skipped) != 1 {
		t.Errorf("of one that is cut off was skipped %q", skipped)
	}
}

func squeezed(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rpmed returns a package of RPM with the given payload. Its headers hold one string each.
func rpmed(payload []byte) []byte {
	header := func(text string) []byte {
		b := []byte("\x8e\xad\xe8\x01\x00\x00\x00\x00\x00\x00\x00\x01")
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		return append(append(b, make([]byte, rpmEntry)...), text...)
	}
	b := append([]byte("\xed\xab\xee\xdb"), make([]byte, rpmLead-4)...)
	b = append(b, header("sum")...)
	b = append(b, make([]byte, -len(b)&7)...)
	return slices.Concat(b, header("useradd me"), payload)
}

func TestRPM(t *testing.T) {
	f := entry{"./etc/a.conf", "one line\n"}
	for kind, payload := range map[string][]byte{"gzip>": squeezed(t, cpioed(f)), "xz>": tool(t, cpioed(f), "xz", "-c"), "": cpioed(f)} {
		members, skipped := gather(t, rpmed(payload))
		if members["rpm>"+kind+"cpio:"+f.name] != f.text || !strings.Contains(members["rpm:header"], "useradd") || len(skipped) > 0 {
			t.Errorf("with %s: got %q, skipped %q", kind, members, skipped)
		}
	}
	if _, skipped := gather(t, rpmed([]byte("text"))); len(skipped) != 1 {
		t.Errorf("of one whose payload is text was skipped %q", skipped)
	}
}

func TestAr(t *testing.T) {
	dir := t.TempDir()
	files := []entry{{"a.conf", "one line\n"}, {"a name of more than sixteen letters", "odd"}, {"b", "and b"}}
	args := []string{"rcS", filepath.Join(dir, "x.a")}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	tool(t, nil, "ar", args...)
	data, err := os.ReadFile(args[1])
	if err != nil {
		t.Fatal(err)
	}
	want(t, data, "ar:", files...)
	if _, skipped := gather(t, data[:len(data)-3]); len(skipped) != 1 {
		t.Errorf("of one that is cut off was skipped %q", skipped)
	}
	want(t, []byte(fmt.Sprintf("!<arch>\n%-16s%-12s%-6s%-6s%-8s%-10d`\nlong.name\x00\x00\x00text", "#1/12", "0", "0", "0", "644", 16)), "ar:", entry{"long.name", "text"})
}

func TestDebianPackage(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"DEBIAN/control": "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: me\nDescription: x\n", "etc/x.conf": "one line\n"} {
		path := filepath.Join(dir, "x", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, nil, "dpkg-deb", "-b", filepath.Join(dir, "x"), filepath.Join(dir, "x.deb"))
	data, err := os.ReadFile(filepath.Join(dir, "x.deb"))
	if err != nil {
		t.Fatal(err)
	}
	members, skipped := gather(t, data)
	packed := members["ar:data.tar.xz"] + members["ar:data.tar.zst"]
	inner, more := gather(t, []byte(packed))
	if len(skipped)+len(more) > 0 || inner[Detect([]byte(packed))+">tar:./etc/x.conf"] != "one line\n" {
		t.Errorf("got %q, skipped %q %q", inner, skipped, more)
	}
}

func TestXZ(t *testing.T) {
	f := entry{"a", strings.Repeat("one line and another\n", 1000)}
	want(t, tool(t, []byte(f.text), "xz", "-c"), "xz", entry{"", f.text})
	want(t, tool(t, []byte(f.text), "xz", "-c", "-F", "lzma"), "lzma", entry{"", f.text})
	want(t, tool(t, []byte(f.text), "xz", "-c", "-9"), "xz", entry{"", f.text})
}
