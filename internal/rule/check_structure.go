package rule

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// minSignature is the length of the shortest signature of a JWT, one of 32 bytes in base64.
const minSignature = 43

// checkJWT proves tokens whose header names an algorithm and whose claims are a JSON object. Tokens without signature
// and well-known examples of documentation are refuted.
func checkJWT(secret, _ []byte) Verdict {
	parts := bytes.Split(secret, []byte("."))
	if len(parts) != 3 {
		return Verdict{Outcome: Refuted}
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var claims map[string]any
	if !decodeJSON(parts[0], &header) || !decodeJSON(parts[1], &claims) || header.Alg == "none" {
		return Verdict{Outcome: Refuted}
	}
	// The example of jwt.io, in countless texts.
	if claims["sub"] == "1234567890" && (claims["name"] == "John Doe" || claims["name"] == nil) {
		return Verdict{Outcome: Refuted}
	}
	if header.Alg == "" {
		if len(parts[2]) < minSignature || len(claims) == 0 {
			return Verdict{Outcome: Refuted}
		}
		return Verdict{Downgraded: true, Reason: "it has claims and a signature, though its header names no algorithm"}
	}
	return Verdict{Outcome: Proven, Reason: "its header and claims are those of a token signed with " + clip(header.Alg) + lifetime(claims["exp"], time.Now())}
}

// lifetime says until when a token is good, given its claim exp (RFC 7519 section 4.1.4: seconds since 1970). An expired token
// is still reported: its kind may be made anew, and clocks are not everywhere looked at.
func lifetime(exp any, now time.Time) string {
	seconds, ok := exp.(float64)
	if !ok || seconds < 1e8 || seconds > 1e11 {
		return ""
	}
	end := time.Unix(int64(seconds), 0).UTC()
	if end.Before(now) {
		return ", which expired on " + end.Format(time.DateOnly)
	}
	return ", which expires on " + end.Format(time.DateOnly)
}

// clip keeps the text of an unknown author short and harmless.
func clip(s string) string {
	if len(s) > 16 {
		s = s[:16]
	}
	return string(bytes.Map(func(r rune) rune {
		if r < 0x80 && (isAlnum(byte(r)) || r == '-') {
			return r
		}
		return -1
	}, []byte(s)))
}

func decodeJSON(part []byte, v any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(string(part))
	return err == nil && json.Unmarshal(raw, v) == nil
}

// normalizePEM undoes what embedding in source does to a PEM block: escaped line ends, quotes, indentation and string
// concatenation. It returns nil if what remains is no PEM.
func normalizePEM(b []byte) *pem.Block {
	for _, esc := range [][2]string{{`\\n`, "\n"}, {`\\r`, ""}, {`\n`, "\n"}, {`\r`, ""}, {"\r", ""}} {
		b = bytes.ReplaceAll(b, []byte(esc[0]), []byte(esc[1]))
	}
	begin, rest, ok := bytes.Cut(b, []byte("KEY-----"))
	if !ok {
		return nil
	}
	end := bytes.Index(rest, []byte("-----END"))
	if end < 0 {
		return nil
	}
	var out bytes.Buffer
	out.Write(begin)
	out.WriteString("KEY-----\n")
	for line := range bytes.Lines(rest[:end]) {
		line = bytes.Trim(line, " \t\r\n\"'+,;\\#*|>/")
		// Trimming may take the last character of base64 along, which is put back from the source line.
		if len(line) > 0 {
			out.Write(restoreEdges(rest[:end], line))
			out.WriteByte('\n')
		} else if bytes.Contains(out.Bytes(), []byte(": ")) && out.Bytes()[out.Len()-2] != '\n' {
			out.WriteByte('\n') // the empty line after the headers
		}
	}
	out.Write(bytes.TrimRight(rest[end:], " \t\r\n"))
	out.WriteByte('\n')
	block, _ := pem.Decode(out.Bytes())
	return block
}

// restoreEdges extends line, a part of all, by the base64 signs next to it that are also used to quote source.
func restoreEdges(all, line []byte) []byte {
	i := bytes.Index(all, line)
	start, end := i, i+len(line)
	for start > 0 && (all[start-1] == '+' || all[start-1] == '/') {
		start--
	}
	for end < len(all) && (all[end] == '+' || all[end] == '/') {
		end++
	}
	return all[start:end]
}

// checkPEMKey proves private keys that parse. Encrypted ones are downgraded: they are as safe as their passphrase. What
// has too little in it to be a key is refuted; a body that does not parse is left unproven, for it may be cut or use a
// curve that is not known here.
func checkPEMKey(secret, _ []byte) Verdict {
	if bodyLength(secret) < 40 {
		return Verdict{Outcome: Refuted}
	}
	block := normalizePEM(secret)
	if block == nil {
		return Verdict{}
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || bytes.Contains([]byte(block.Headers["Proc-Type"]), []byte("ENCRYPTED")) {
		return Verdict{Reason: encryptedReason, Downgraded: true}
	}
	if kind := keyKind(block); kind != "" {
		return Verdict{Outcome: Proven, Reason: "it parses as " + kind}
	}
	if block.Type == "OPENSSH PRIVATE KEY" {
		_, err := ssh.ParseRawPrivateKey(pem.EncodeToMemory(block))
		if _, ok := err.(*ssh.PassphraseMissingError); ok {
			return Verdict{Reason: encryptedReason, Downgraded: true}
		}
		if err == nil {
			return Verdict{Outcome: Proven, Reason: "it parses as an OpenSSH key"}
		}
	}
	return Verdict{}
}

// bodyLength counts the base64 characters between the lines of dashes.
func bodyLength(b []byte) int {
	_, rest, _ := bytes.Cut(b, []byte("KEY-----"))
	body, _, _ := bytes.Cut(rest, []byte("-----END"))
	n := 0
	for _, c := range body {
		if isAlnum(c) || c == '+' || c == '/' {
			n++
		}
	}
	return n
}

// keyKind parses the key in a block and names its kind, or returns "".
func keyKind(block *pem.Block) string {
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return fmt.Sprintf("an RSA key of %d bits", k.N.BitLen())
	}
	if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return "an elliptic curve key on " + k.Curve.Params().Name
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return structuredKey(block.Bytes)
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return fmt.Sprintf("an RSA key of %d bits", k.N.BitLen())
	case *ecdsa.PrivateKey:
		return "an elliptic curve key on " + k.Curve.Params().Name
	case ed25519.PrivateKey:
		return "an Ed25519 key"
	}
	return "a private key"
}
