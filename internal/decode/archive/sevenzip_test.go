package archive

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// tool runs a program on input and returns what it prints. The test is skipped where the program is absent.
func tool(t testing.TB, input []byte, name string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(name + " is not installed")
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return out
}

// entry is a file in a container.
type entry struct{ name, text string }

// number writes a number as a 7z does.
func number(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return append([]byte{0xf0}, binary.LittleEndian.AppendUint32(nil, uint32(n))...)
}

// sevenZipped returns a 7z whose files are one folder. coder is how its flags, id, and properties stand there, and packed what
// it packed the files to.
func sevenZipped(coder, packed []byte, files ...entry) []byte {
	var text, sizes, names, sums []byte
	for i, f := range files {
		text = append(text, f.text...)
		if i < len(files)-1 {
			sizes = append(sizes, number(len(f.text))...)
		}
		sums = binary.LittleEndian.AppendUint32(sums, crc32.ChecksumIEEE([]byte(f.text)))
		for _, u := range append(utf16.Encode([]rune(f.name)), 0) {
			names = binary.LittleEndian.AppendUint16(names, u)
		}
	}
	head := slices.Concat(
		[]byte{idHeader, idMainStreams},
		[]byte{idPacked, 0, 1, idSizes}, number(len(packed)), []byte{idEnd},
		[]byte{idUnpacked, idFolder, 1, 0, 1}, coder, []byte{idCoderSizes}, number(len(text)), []byte{idEnd},
		[]byte{idSubstreams, idCounts}, number(len(files)), []byte{idSizes}, sizes, []byte{idDigests, 1}, sums, []byte{idEnd, idEnd},
		[]byte{idFiles}, number(len(files)), []byte{idNames}, number(len(names)+1), []byte{0}, names, []byte{idEnd, idEnd},
	)
	b := []byte("7z\xbc\xaf\x27\x1c\x00\x04\x00\x00\x00\x00")
	b = binary.LittleEndian.AppendUint64(b, uint64(len(packed)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(head)))
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(head))
	return append(append(b, packed...), head...)
}

var sevenZipFiles = []entry{{"conf/a.properties", strings.Repeat("one line of a\n", 100)}, {"ü", "and b"}}

// sevenZips returns a 7z of each kind of compression that can be made here.
func sevenZips(t testing.TB) map[string][]byte {
	t.Helper()
	var text []byte
	for _, f := range sevenZipFiles {
		text = append(text, f.text...)
	}
	return map[string][]byte{
		"copy":  sevenZipped([]byte{1, 0}, text, sevenZipFiles...),
		"lzma2": sevenZipped([]byte{0x21, 0x21, 1, 22}, tool(t, text, "xz", "-c", "-F", "raw", "--lzma2=preset=6"), sevenZipFiles...),
		"lzma":  sevenZipped([]byte{0x23, 3, 1, 1, 5, 0x5d, 0, 0, 0x80, 0}, tool(t, text, "xz", "-c", "-F", "raw", "--lzma1=preset=6"), sevenZipFiles...),
	}
}

// gather walks a container and returns what its members hold, by path, and what was skipped.
func gather(t testing.TB, data []byte) (members map[string]string, skipped []string) {
	t.Helper()
	members = map[string]string{}
	b := NewBudget(len(data))
	kind := Detect(data)
	if kind == "" {
		t.Fatalf("%.20q is taken for no container", data)
	}
	Walk(kind, data, &b, func(m Member) { members[m.Path] += string(m.Data) }, func(why string) { skipped = append(skipped, why) })
	return members, skipped
}

// want fails unless the container's members are just these.
func want(t testing.TB, data []byte, prefix string, files ...entry) {
	t.Helper()
	members, skipped := gather(t, data)
	for _, f := range files {
		if members[prefix+f.name] != f.text {
			t.Errorf("%s%s is %.60q, want %.60q", prefix, f.name, members[prefix+f.name], f.text)
		}
	}
	if len(members) != len(files) || len(skipped) > 0 {
		t.Errorf("%d members, want %d; skipped %q", len(members), len(files), skipped)
	}
}

func TestSevenZip(t *testing.T) {
	for name, data := range sevenZips(t) {
		t.Run(name, func(t *testing.T) { want(t, data, "7z:", sevenZipFiles...) })
	}
}

func TestSevenZipSaysWhatIsWrong(t *testing.T) {
	data := sevenZips(t)["lzma2"]
	cipher := sevenZipped([]byte{0x24, 6, 0xf1, 7, 1, 0}, []byte("secret"), sevenZipFiles...)
	damaged := bytes.Clone(data)
	damaged[50] ^= 0xff
	head := bytes.Clone(data)
	head[len(head)-3]++
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"cut off":   {data[:len(data)-5], "7z: it is cut off"},
		"encrypted": {cipher, "7z:folder 0: it is encrypted"},
		"damaged":   {damaged, "7z:folder 0: "},
		"header":    {head, "7z: its header does not match its checksum"},
		"PPMd":      {sevenZipped([]byte{0x23, 3, 4, 1, 5, 6, 0, 0, 0, 1}, []byte("x"), sevenZipFiles...), "PPMd"},
	} {
		if _, skipped := gather(t, tt.data); !strings.Contains(strings.Join(skipped, "\n"), tt.want) {
			t.Errorf("%s: skipped %q, want %q", name, skipped, tt.want)
		}
	}
}
