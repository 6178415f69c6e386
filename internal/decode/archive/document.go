package archive

import (
	"bytes"
	"html"
	"path"
	"strings"
)

// isDocument reports whether a member of this name is the text of a document of an office: Word, Excel, PowerPoint or
// OpenDocument.
func isDocument(name string) bool {
	if path.Ext(name) != ".xml" {
		return false
	}
	return strings.HasPrefix(name, "word/") || strings.HasPrefix(name, "xl/") || strings.HasPrefix(name, "ppt/") || name == "content.xml"
}

// textOf returns the text of markup. The pieces into which word processors cut a line come together again; paragraphs, rows
// and entries become lines, and cells and tabs are parted by tabs.
func textOf(markup []byte) []byte {
	out := make([]byte, 0, len(markup)/4)
	for len(markup) > 0 {
		open := bytes.IndexByte(markup, '<')
		if open < 0 {
			open = len(markup)
		}
		out = append(out, markup[:open]...)
		markup = markup[open:]
		end := bytes.IndexByte(markup, '>')
		if end < 0 {
			break
		}
		switch tagName(markup[1:end]) {
		case "/w:p", "/a:p", "/row", "/si", "/text:p", "/text:h", "/table:table-row", "w:br", "a:br":
			out = append(out, '\n')
		case "/c", "w:tab", "/table:table-cell", "/w:tc":
			out = append(out, '\t')
		}
		markup = markup[end+1:]
	}
	return []byte(html.UnescapeString(string(out)))
}

// tagName returns the name of a tag, with the slash of one that ends.
func tagName(tag []byte) string {
	if n := bytes.IndexAny(tag, " \t\r\n"); n >= 0 {
		tag = tag[:n]
	}
	return string(bytes.TrimSuffix(tag, []byte("/")))
}
