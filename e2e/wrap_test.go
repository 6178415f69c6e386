package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"
)

// wrap writes a file in another form: wrap FORM OUT IN.
func wrap(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: wrap FORM OUT IN")
	}
	name, text := filepath.Base(args[2]), ts.ReadFile(args[2])
	var b bytes.Buffer
	switch args[0] {
	case "gzip":
		w := gzip.NewWriter(&b)
		write(ts, w, text)
		ts.Check(w.Close())
	case "tar":
		w := tar.NewWriter(&b)
		ts.Check(w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644}))
		write(ts, w, text)
		ts.Check(w.Close())
	case "zip", "docx":
		if args[0] == "docx" {
			half := len(text) - 20
			name = "word/document.xml"
			text = "<w:document><w:p><w:r><w:t>" + text[:half] + "</w:t></w:r><w:r><w:t>" + text[half:] + "</w:t></w:r></w:p></w:document>"
		}
		w := zip.NewWriter(&b)
		m, err := w.Create(name)
		ts.Check(err)
		write(ts, m, text)
		ts.Check(w.Close())
	case "utf-16":
		for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
			b.Write([]byte{byte(u), byte(u >> 8)})
		}
	case "base64":
		write(ts, &b, "data: "+base64.StdEncoding.EncodeToString([]byte(text))+"\n")
	case "json":
		write(ts, &b, `{"text": "`+strings.NewReplacer("=", `\u003d`, "-", `\u002d`, "\n", `\n`).Replace(text)+`"}`)
	default:
		ts.Fatalf("there is no form %s", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o644))
}

func write(ts *testscript.TestScript, w io.Writer, text string) {
	_, err := io.WriteString(w, text)
	ts.Check(err)
}
