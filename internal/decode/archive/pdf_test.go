package archive

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pdfFile returns a PDF of the given objects, numbered from 1. The first one is its catalogue.
func pdfFile(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	for i, o := range objects {
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	b.WriteString("trailer\n<< /Root 1 0 R >>\nstartxref\n0\n%%EOF\n")
	return b.Bytes()
}

// stream returns an object that is a stream.
func stream(dict, data string) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dict, len(data), data)
}

// onePage returns a PDF whose one page has the given content, and whose font F is the object 5.
func onePage(content, font string, more ...string) []byte {
	return pdfFile(append([]string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 /Resources << /Font << /F 5 0 R >> /XObject << /X 6 0 R >> >> >>",
		"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>", content, font,
	}, more...)...)
}

const someFont = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"

func deflated(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func TestPDFText(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"one string":         {"BT /F 12 Tf 72 700 Td (token = abc) Tj ET", "token = abc"},
		"kerned":             {"BT /F 12 Tf [(to) 20 (ken) -5 ( = a) 40 (bc)] TJ ET", "token = abc"},
		"blank by distance":  {"BT /F 12 Tf [(token) -300 (=) -300 (abc)] TJ ET", "token = abc"},
		"lines":              {"BT /F 12 Tf 14 TL 72 700 Td (one) Tj T* (two) Tj 0 -14 Td (three) Tj (four) ' 1 2 (five) \" ET", "one\ntwo\nthree\nfour\nfive"},
		"pieces of one word": {"BT /F 10 Tf 1 0 0 1 100 700 Tm (abc) Tj 1 0 0 1 116.12 700 Tm (def) Tj ET", "abcdef"},
		"words of a line":    {"BT /F 10 Tf 1 0 0 1 100 700 Tm (abc) Tj 1 0 0 1 119 700 Tm (def) Tj ET", "abc def"},
		"blocks of a line":   {"BT /F 10 Tf 100 700 Td (abc) Tj ET q 1 0 0 1 16.12 0 cm BT /F 10 Tf 100 700 Td (def) Tj ET Q", "abcdef"},
		"turned":             {"BT /F 10 Tf 0 1 -1 0 300 100 Tm (abc) Tj 0 1 -1 0 300 116.12 Tm (def) Tj 0 1 -1 0 314 100 Tm (next) Tj ET", "abcdef\nnext"},
		"escapes": {`BT /F 12 Tf (a\(b\)c \101\102 \
d\\) Tj <65 66 6> Tj ET`, "a(b)c AB d\\ef`"},
		"nested brackets":  {"BT /F 12 Tf (a(b)c) Tj ET", "a(b)c"},
		"picture inside":   {"BI /W 1 /H 1 ID (not text) Tj \x00 EI BT /F 12 Tf (text) Tj ET", "text"},
		"form":             {"/X Do", "in a form"},
		"no end of string": {"BT /F 12 Tf (text", ""},
	} {
		form := stream("/Type /XObject /Subtype /Form", "BT /F 12 Tf (in a form) Tj ET")
		if name != "form" {
			form = "null"
		}
		for filter, data := range map[string]string{
			"":                                      tt.content,
			"/Filter /FlateDecode":                  deflated(tt.content),
			"/Filter [/ASCII85Decode /FlateDecode]": base85(deflated(tt.content)),
			"/Filter /ASCIIHexDecode":               hex.EncodeToString([]byte(tt.content)) + ">",
			"/Filter /LZWDecode /DecodeParms << /EarlyChange 0 >>": lzwed(tt.content),
			"/Filter [/RunLengthDecode]":                           runs(tt.content),
		} {
			members, skipped := gather(t, onePage(stream(filter, data), someFont, form))
			if got := members["pdf:page 1"]; got != tt.want || len(skipped) > 0 {
				t.Errorf("%s, %s: got %q, want %q; skipped %q", name, filter, got, tt.want, skipped)
			}
		}
	}
}

func base85(text string) string {
	b := make([]byte, ascii85.MaxEncodedLen(len(text)))
	return string(b[:ascii85.Encode(b, []byte(text))]) + "~>"
}

func lzwed(text string) string {
	var b bytes.Buffer
	w := lzw.NewWriter(&b, lzw.MSB, 8)
	if _, err := w.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func runs(text string) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(text), 100) {
		b.WriteByte(byte(len(part) - 1))
		b.Write(part)
	}
	return b.String() + "\x80"
}

// TestPDFLZW expands what is long enough for codes of all lengths, in both ways of changing their length.
func TestPDFLZW(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "%d %x ", i*i, i)
	}
	members, skipped := gather(t, pdfFile(stream("/Filter /LZWDecode /DecodeParms << /EarlyChange 0 >>", lzwed(text.String()))))
	if members["pdf:object 1"] != text.String() || len(skipped) > 0 {
		t.Errorf("got %d bytes, want %d; skipped %q", len(members["pdf:object 1"]), text.Len(), skipped)
	}
	// Example 2 of ISO 32000-1, 7.4.4.2.
	example := string([]byte{0x80, 0x0b, 0x60, 0x50, 0x22, 0x0c, 0x0c, 0x85, 0x01})
	members, skipped = gather(t, pdfFile(stream("/Filter /LZWDecode", example)))
	if got := members["pdf:object 1"]; got != "-----A---B" || len(skipped) > 0 {
		t.Errorf("got %q, skipped %q", got, skipped)
	}
}

func TestPDFFonts(t *testing.T) {
	table := "/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <0000> <FFFF> endcodespacerange\n" +
		"2 beginbfchar <0003> <0020> <0010> <00660069> endbfchar\n2 beginbfrange <0024> <003D> <0041> <0044> <0046> [<0061> <0062> <0063>] endbfrange endcmap"
	for name, tt := range map[string]struct{ content, font, want string }{
		"two bytes": {
			"BT /F 12 Tf [<0024> -10 <00250026>] TJ <0003> Tj <0044004500460010> Tj ET",
			"<< /Type /Font /Subtype /Type0 /Encoding /Identity-H /ToUnicode 6 0 R /DescendantFonts [<< /W [36 [600 600 600] 68 70 500] /DW 250 >>] >>", "ABC abcfi",
		},
		"differences": {
			"BT /F 12 Tf (\x01\x02\x03\x04A) Tj ET",
			"<< /Type /Font /Subtype /Type3 /Encoding << /Differences [1 /k /underscore /seven /uni0041] >> >>", "k_7AA",
		},
		"no names": {"BT /F 12 Tf <00240025> Tj ET", "<< /Type /Font /Subtype /Type0 /Encoding /Identity-H >>", ""},
		"UCS-2":    {"BT /F 12 Tf <00410042> Tj ET", "<< /Type /Font /Subtype /Type0 /Encoding /UniGB-UCS2-H >>", "AB"},
	} {
		members, skipped := gather(t, onePage(stream("", tt.content), tt.font, stream("/Filter /FlateDecode", deflated(table))))
		if got := members["pdf:page 1"]; got != tt.want || (len(skipped) > 0) != (name == "no names") {
			t.Errorf("%s: got %q, want %q; skipped %q", name, got, tt.want, skipped)
		}
	}
}

// packedObjects returns a stream of objects, numbered from 20.
func packedObjects(objects ...string) string {
	var head, body strings.Builder
	for i, o := range objects {
		fmt.Fprintf(&head, "%d %d ", 20+i, body.Len())
		body.WriteString(o + " ")
	}
	return stream(fmt.Sprintf("/Type /ObjStm /N %d /First %d /Filter /FlateDecode", len(objects), head.Len()), deflated(head.String()+body.String()))
}

func TestPDFObjects(t *testing.T) {
	data := pdfFile(
		"<< /Type /Catalog /Pages 21 0 R >>",
		packedObjects("<< /Title (a title) /Subject <feff00e4> /Other [(in) (a list)] >>", "<< /Type /Pages /Kids [22 0 R] >>",
			"<< /Type /Page /Contents [3 0 R 4 0 R] /Resources << /Font << /F 23 0 R >> >> >>", someFont,
			"<< /Type /Filespec /UF (notes.txt) /EF << /F 5 0 R >> >>"),
		stream("/Length 8 0 R /Filter /FlateDecode", deflated("BT /F 12 Tf (first")+""), // cut in a string, as no writer does
		stream("/Filter /FlateDecode", deflated("BT /F 12 Tf (second) Tj ET")),
		stream("/Type /EmbeddedFile /Filter /FlateDecode", deflated("what is attached")),
		stream("/Filter /FlateDecode", deflated("app.alert('a script');")),
		stream("/Subtype /Image /Filter /DCTDecode", "\xff\xd8\xff"),
		stream("/Filter /FlateDecode", deflated("BT (what a page had before it was changed) Tj ET")),
		"<< /Type /Annot /Contents (a note) /A << /URI (https://example.com/) >> >>",
	)
	members, skipped := gather(t, data)
	for path, want := range map[string]string{
		"pdf:page 1": "second", "pdf:notes.txt": "what is attached", "pdf:object 6": "app.alert('a script');",
		"pdf:object 8": "what a page had before it was changed",
		"pdf:strings":  "Other: in\nOther: a list\nSubject: ä\nTitle: a title\nUF: notes.txt\nURI: https://example.com/\nContents: a note\n",
	} {
		if members[path] != want {
			t.Errorf("%s is %q, want %q", path, members[path], want)
		}
	}
	if len(members) != 5 || len(skipped) > 0 {
		t.Errorf("members %q, skipped %q", members, skipped)
	}
}

func TestPDFPlaces(t *testing.T) {
	data := onePage(stream("", "BT /F 12 Tf (one) Tj ( = two) Tj ET"), someFont, "<< /Title (a title) >>")
	b := NewBudget(len(data))
	found := map[string]string{}
	Walk("pdf", data, &b, func(m Member) {
		for _, word := range []string{"two", "a title"} {
			if i := bytes.Index(m.Data, []byte(word)); i >= 0 {
				from, to := m.Place(i, i+len(word))
				found[word] = string(data[from:to])
			}
		}
	}, func(string) {})
	if found["two"] != "two" || found["a title"] != "a title" {
		t.Errorf("placed at %q", found)
	}
}

func TestPDFSaysWhatIsWrong(t *testing.T) {
	content := stream("/Filter /FlateDecode", deflated(strings.Repeat("BT /F 12 Tf (text) Tj ET\n", 400)))
	whole := onePage(content, someFont)
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"encrypted": {append(slices.Clone(whole), "trailer << /Encrypt 9 0 R >>"...), "pdf: it is encrypted"},
		"cut off":   {whole[:bytes.Index(whole, []byte("stream"))+60], "unexpected EOF"},
		"damaged":   {bytes.Replace(whole, []byte("stream\nx\x9c"), []byte("stream\nxx"), 1), "page 1: object 4: "},
		"filter":    {onePage(stream("/Filter /Odd", "BT"), someFont), `page 1: object 4: its filter, "Odd", is not known`},
		"empty":     {[]byte("%PDF-1.7\n"), "no objects"},
	} {
		if _, skipped := gather(t, tt.data); !strings.Contains(strings.Join(skipped, "\n"), tt.want) {
			t.Errorf("%s: skipped %q, want %q", name, skipped, tt.want)
		}
	}
}

// TestPDFEnds reads files that lead in circles, or to the same place again and again.
func TestPDFEnds(t *testing.T) {
	form := stream("/Subtype /Form /Resources << /XObject << /X 6 0 R >> >>", strings.Repeat("/X Do ", 1000))
	kids := "<< /Type /Pages /Kids [" + strings.Repeat("2 0 R 3 0 R ", 1000) + "] /Parent 2 0 R >>"
	bomb := deflated(strings.Repeat("BT (a) Tj ET ", 1<<20))
	for name, data := range map[string][]byte{
		"form in itself":   onePage(stream("", strings.Repeat("/X Do ", 1000)), someFont, form),
		"pages in circles": pdfFile("<< /Type /Catalog /Pages 2 0 R >>", kids, "<< /Type /Page /Parent 3 0 R /Contents 3 0 R >>"),
		"one, many times":  pdfFile("<< /Type /Page /Contents ["+strings.Repeat("2 0 R ", 10_000)+"] >>", stream("/Filter /FlateDecode", bomb)),
		"itself":           pdfFile("1 0 R", "<< /Type /Page /Contents 2 0 R /Resources 2 0 R /Parent 2 0 R >>"),
		"brackets":         append(pdfFile(), strings.Repeat("1 0 obj [[[[<<<<((((", 50_000)...),
		"streams, no ends": append(pdfFile(), strings.Repeat("1 0 obj <<>> stream\n", 50_000)...),
		"numbers":          append(pdfFile(), strings.Repeat("1 0 obj 1 0 R endobj ", 50_000)...),
		"one in another":   pdfFile(stream("/Type /ObjStm /N 999999999 /First 0 /Filter /FlateDecode", deflated(strings.Repeat("1 0 ", 1<<20)))),
	} {
		t.Run(name, func(*testing.T) {
			Walk("pdf", data, &Budget{Bytes: 8 << 20, Members: 1000}, func(Member) {}, func(string) {})
		})
	}
}

// FuzzPDF reads what is behind the mark of a PDF.
func FuzzPDF(f *testing.F) {
	f.Add(onePage(stream("", "BT /F 12 Tf 1 0 0 1 3 4 Tm [(a) 20 <62>] TJ T* (c) ' 1 2 (\\101) \" ET q /X Do Q"), someFont, stream("/Subtype /Form", "BT (x) Tj ET")))
	f.Add(onePage(stream("/Filter [/A85 /Fl]", base85(deflated("BT <0024> Tj ET"))), "<< /Subtype /Type0 /ToUnicode 6 0 R >>", stream("", "1 beginbfrange <00> <ff> <0041> endbfrange")))
	f.Add(pdfFile(packedObjects("<< /Title (a) /EF << /F 3 0 R >> >>"), stream("/Filter /LZW /DecodeParms << /Predictor 12 /Columns 3 >>", lzwed("abc")), stream("/Filter /RL", runs("abc"))))
	f.Fuzz(func(t *testing.T, data []byte) { checkWalk(t, "pdf", data) })
}
