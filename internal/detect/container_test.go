package detect_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magpie/internal/detect"
)

type file struct{ name, text string }

func zipped(t testing.TB, method uint16, files ...file) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		m, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
		if err == nil {
			_, err = m.Write([]byte(f.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tarred(t testing.TB, files ...file) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o644})
		if err == nil {
			_, err = w.Write([]byte(f.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// word is the text of a document in which a word processor cut the token in two.
const word = `<w:document><w:p><w:r><w:t>the token is </w:t></w:r><w:r><w:t>` + "gh" + `</w:t></w:r><w:r><w:t>` + "p_" +
	"uPmXyNcizRcEneZHbEyVsDncPGg36S4BReRD" + `</w:t></w:r></w:p></w:document>`

func TestContainers(t *testing.T) {
	conf := file{"conf/app.properties", strings.Repeat("a = b\n", 99) + "token = " + token + "\n"}
	readme := file{"README", strings.Repeat("Nothing in here.\n", 9)}
	for _, tt := range []struct {
		name, data, from string
		exact            bool // the place is the token's own
	}{
		{"zip", zipped(t, zip.Deflate, readme, conf), "zip:conf/app.properties", false},
		{"stored zip", zipped(t, zip.Store, readme, conf), "zip:conf/app.properties", true},
		{"zip behind a script", "#!/bin/sh\nexec java -jar $0\n" + zipped(t, zip.Deflate, conf), "zip:conf/app.properties", false},
		{"docx", zipped(t, zip.Deflate, readme, file{"word/document.xml", word}), "zip:word/document.xml", false},
		{"tar", tarred(t, readme, conf), "tar:conf/app.properties", true},
		{"gzip", gzipped(t, conf.text), "gzip", false},
		{"tar.gz", gzipped(t, tarred(t, readme, conf)), "gzip>tar:conf/app.properties", false},
		{"gzip in tar", tarred(t, readme, file{"a.gz", gzipped(t, conf.text)}), "tar:a.gz>gzip", false},
		{
			"zip in zip in tar.gz", gzipped(t, tarred(t, file{"a.zip", zipped(t, zip.Deflate, file{"b.zip", zipped(t, zip.Deflate, conf)})})),
			"gzip>tar:a.zip>zip:b.zip>zip:conf/app.properties", false,
		},
		{"base64 in zip", zipped(t, zip.Deflate, file{"k", "k: " + lines64("token="+token)}), "zip:k>base64", false},
		{"gzip in base64", "k: " + base64.StdEncoding.EncodeToString([]byte(gzipped(t, conf.text))) + "\n", "base64>gzip", false},
		{"gzip in hex", fmt.Sprintf("k: %x", gzipped(t, conf.text)), "hex>gzip", false},
		{"name that steers", tarred(t, file{"a\x1b[2Jb", conf.text}), "tar:a\uFFFD[2Jb", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := engine(t, detect.Options{}).NewScanner()
			found := s.Scan([]byte(tt.data))
			if len(found) != 1 {
				t.Fatalf("got %d matches, skipped %q, want 1 match", len(found), s.Skipped())
			}
			m := found[0]
			exact := tt.data[m.Start:m.End] == token
			if d := cmp.Diff([]any{true, tt.from, tt.exact}, []any{string(m.Secret) == token, m.DecodedFrom, exact}); d != "" {
				t.Errorf("match differs (-want +got):\n%s", d)
			}
			if !exact && !strings.HasPrefix(tt.from, "gzip") && m.End-m.Start >= len(tt.data)-2 {
				t.Errorf("place %d-%d is the whole of %d bytes", m.Start, m.End, len(tt.data))
			}
		})
	}
}

func TestMembersAreFiles(t *testing.T) {
	s := engine(t, detect.Options{}).NewScanner()
	for name, tt := range map[string]struct {
		data string
		want int
	}{
		"generic":           {zipped(t, zip.Deflate, file{"a.properties", "db.password = k7Lw2pQ9xZtB\n"}), 1},
		"generic in a lock": {zipped(t, zip.Deflate, file{"x/yarn.lock", "db.password = k7Lw2pQ9xZtB\n"}), 0},
		"told to ignore":    {gzipped(t, "k: "+token+" # gitleaks:allow\n"), 0},
		"same in two":       {gzipped(t, tarred(t, file{"a", token}, file{"b", token})), 2},
	} {
		if got := len(s.Scan([]byte(tt.data))); got != tt.want {
			t.Errorf("%s: got %d matches, want %d", name, got, tt.want)
		}
	}
}

// TestWhatIsLeftOutIsTold scans containers that lie, or hold more than is looked at.
func TestWhatIsLeftOutIsTold(t *testing.T) {
	deep := "k: " + token
	for range 6 {
		deep = gzipped(t, deep)
	}
	bomb := gzipped(t, strings.Repeat("\x00", 100<<20))
	whole := zipped(t, zip.Deflate, file{"a", "k: " + token}, file{"b", strings.Repeat(token, 50)})
	locked := []byte(whole)
	central := bytes.Index(locked, []byte("PK\x01\x02"))
	locked[central+8] |= 1
	overlapping := []byte(whole)
	second := central + 4 + bytes.Index(overlapping[central+4:], []byte("PK\x01\x02"))
	copy(overlapping[second+42:second+46], overlapping[central+42:central+46])
	for name, tt := range map[string]struct{ data, want string }{
		"deep":        {deep, "more than 5 times"},
		"bomb":        {bomb, "gzip: it expands to more than is looked at"},
		"encrypted":   {string(locked), "zip:a: it is encrypted"},
		"overlapping": {string(overlapping), "zip:b: it overlaps"},
		"cut off":     {whole[:len(whole)/2], "zip: its directory is missing"},
		"gzip cut":    {gzipped(t, strings.Repeat(token, 9))[:40], "gzip: unexpected EOF"},
	} {
		s := engine(t, detect.Options{}).NewScanner()
		s.Scan([]byte(tt.data))
		if !strings.Contains(strings.Join(s.Skipped(), "\n"), tt.want) {
			t.Errorf("%s: skipped %q, want %q", name, s.Skipped(), tt.want)
		}
	}
}
