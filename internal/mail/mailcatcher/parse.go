package mailcatcher

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
)

const maxNesting = 5 // of multipart in multipart

// parse reads a mail into the parts that are shown: its first text and first HTML part. Attachments are left out.
func parse(raw []byte) (Message, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, fmt.Errorf("reading the header: %w", err)
	}
	m := Message{
		From: decode(msg.Header.Get("From")), To: decode(msg.Header.Get("To")), Subject: decode(msg.Header.Get("Subject")),
		MessageID: strings.Trim(msg.Header.Get("Message-ID"), "<> "), Raw: string(raw),
	}
	return m, m.addPart(textproto.MIMEHeader(msg.Header), msg.Body, 0)
}

func decode(header string) string {
	if text, err := new(mime.WordDecoder).DecodeHeader(header); err == nil {
		return text
	}
	return header
}

func (m *Message) addPart(header textproto.MIMEHeader, body io.Reader, depth int) error {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		return m.addParts(multipart.NewReader(body, params["boundary"]), depth)
	}
	if strings.HasPrefix(header.Get("Content-Disposition"), "attachment") {
		return nil
	}
	var into *string
	switch {
	case kind == "text/plain" && m.Text == "":
		into = &m.Text
	case kind == "text/html" && m.HTML == "":
		into = &m.HTML
	default:
		return nil
	}
	text, err := io.ReadAll(decoded(header.Get("Content-Transfer-Encoding"), body))
	if err != nil {
		return fmt.Errorf("reading a part: %w", err)
	}
	*into = strings.ReplaceAll(strings.ToValidUTF8(string(text), "�"), "\r\n", "\n")
	return nil
}

func (m *Message) addParts(r *multipart.Reader, depth int) error {
	if depth >= maxNesting {
		return errors.New("parts are nested too deep")
	}
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the parts: %w", err)
		}
		if err := m.addPart(part.Header, part, depth+1); err != nil {
			return err
		}
	}
}

func decoded(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	}
	return body
}
