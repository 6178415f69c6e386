package rule

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// structuredKey names the kind of a key that Go's own parser does not know but whose DER has the right parts: DSA keys (version,
// p, q, g, y, x) and elliptic curve keys of other curves (RFC 5915). It returns "" for everything else.
func structuredKey(der []byte) string {
	var dsa struct{ V, P, Q, G, Y, X *big.Int }
	if rest, err := asn1.Unmarshal(der, &dsa); err == nil && len(rest) == 0 {
		if dsa.V.Sign() == 0 && dsa.X.Sign() > 0 && dsa.X.Cmp(dsa.Q) < 0 && dsa.Q.Cmp(dsa.P) < 0 && dsa.Y.Cmp(dsa.P) < 0 {
			return fmt.Sprintf("a DSA key of %d bits", dsa.P.BitLen())
		}
	}
	var ec struct {
		V     int
		Key   []byte
		Curve asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
		Pub   asn1.BitString        `asn1:"optional,explicit,tag:1"`
	}
	if rest, err := asn1.Unmarshal(der, &ec); err == nil && len(rest) == 0 && ec.V == 1 && len(ec.Key) >= 20 && len(ec.Curve) > 0 {
		return fmt.Sprintf("an elliptic curve key of %d bytes", len(ec.Key))
	}
	return ""
}

// jwkMember finds the members of a JSON web key that tell its kind and public half; quotes may be escaped.
var jwkMember = regexp.MustCompile(`\\?"(kty|crv|n|x|y|d)\\?"\s{0,4}:\s{0,4}\\?"([0-9A-Za-z_-]+)`)

// jwkSizes are the bytes of a private key on each curve (RFC 7518 section 6.2, RFC 8037, RFC 8812).
var jwkSizes = map[string]int{
	"P-256": 32, "P-384": 48, "P-521": 66, "secp256k1": 32, "Ed25519": 32, "X25519": 32, "Ed448": 57, "X448": 56,
}

// checkJWK proves private JSON web keys: the private half has the size that kind and curve ask for, and on the two most used
// curves the public half, if it is there, follows from it.
func checkJWK(_, match []byte) Verdict {
	members := map[string]string{}
	for _, m := range jwkMember.FindAllSubmatch(match, 16) {
		members[string(m[1])] = string(m[2])
	}
	private, err := base64.RawURLEncoding.DecodeString(members["d"])
	if err != nil {
		return Verdict{Outcome: Refuted}
	}
	if members["kty"] == "RSA" {
		return judgeRSAMembers(members["n"], private)
	}
	size, known := jwkSizes[members["crv"]]
	switch {
	case !known:
		return Verdict{}
	case len(private) != size:
		return Verdict{Outcome: Refuted, Reason: "it has not the size that its curve asks for"}
	case !fits(members, private):
		return Verdict{Outcome: Refuted, Reason: "its public half belongs to another key"}
	}
	return Verdict{Outcome: Proven, Reason: "it has the parts of a private key on " + members["crv"]}
}

func judgeRSAMembers(modulus string, private []byte) Verdict {
	n, err := base64.RawURLEncoding.DecodeString(modulus)
	switch {
	case modulus == "":
		return Verdict{} // it stands outside of the match
	case err != nil, len(n) < 64, n[0] == 0, n[len(n)-1]&1 == 0, len(private) > len(n), len(private) < len(n)/2:
		return Verdict{Outcome: Refuted, Reason: "its parts have not the sizes of an RSA key"}
	}
	return Verdict{Outcome: Proven, Reason: fmt.Sprintf("it has the parts of an RSA key of %d bits", new(big.Int).SetBytes(n).BitLen())}
}

// fits reports whether the public half of a key, where it is known and cheap to work out, is that of the private half.
func fits(members map[string]string, private []byte) bool {
	x, errX := base64.RawURLEncoding.DecodeString(members["x"])
	y, errY := base64.RawURLEncoding.DecodeString(members["y"])
	if errX != nil || errY != nil || len(x) == 0 {
		return errX == nil && errY == nil
	}
	switch members["crv"] {
	case "Ed25519":
		return bytes.Equal(x, ed25519.NewKeyFromSeed(private)[ed25519.SeedSize:])
	case "P-256":
		key, err := ecdh.P256().NewPrivateKey(private)
		return err == nil && bytes.HasPrefix(key.PublicKey().Bytes()[1:], x) && bytes.HasSuffix(key.PublicKey().Bytes(), y)
	}
	return true
}

var xmlRSAPart = regexp.MustCompile(`<(Modulus|P|Q|D)>([0-9A-Za-z+/=\s]+)<`)

// checkXMLRSA proves RSA keys in the XML of .NET: the modulus is the product of the two primes.
func checkXMLRSA(_, match []byte) Verdict {
	parts := map[string]*big.Int{}
	for _, m := range xmlRSAPart.FindAllSubmatch(match, 8) {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(m[2])), ""))
		if err != nil {
			return Verdict{Outcome: Refuted}
		}
		parts[string(m[1])] = new(big.Int).SetBytes(raw)
	}
	n, p, q, d := parts["Modulus"], parts["P"], parts["Q"], parts["D"]
	switch {
	case n == nil || d == nil || d.Cmp(n) >= 0:
		return Verdict{Outcome: Refuted}
	case p == nil || q == nil:
		return Verdict{}
	case new(big.Int).Mul(p, q).Cmp(n) != 0:
		return Verdict{Outcome: Refuted, Reason: "its modulus is not the product of its primes"}
	}
	return Verdict{Outcome: Proven, Reason: fmt.Sprintf("it holds the primes of an RSA key of %d bits", n.BitLen())}
}

// unescapeLines undoes escaped line ends, as in strings of source.
func unescapeLines(b []byte) string {
	return strings.NewReplacer(`\\r`, "", `\\n`, "\n", `\r`, "", `\n`, "\n", "\r", "").Replace(string(b))
}

// checkPuTTY proves keys of PuTTY by their MAC, for which no passphrase is needed where the key has none (PuTTY manual, appendix
// C). What an attacker wants is in the file whatever its MAC says, so a wrong one proves nothing; with a passphrase the key is
// downgraded.
func checkPuTTY(secret, _ []byte) Verdict {
	f := puttyFields(unescapeLines(secret))
	if f.encryption != "none" {
		return Verdict{Reason: encryptedReason, Downgraded: true}
	}
	if f.mac == "" || f.sum() != f.mac {
		return Verdict{}
	}
	return Verdict{Outcome: Proven, Reason: "its MAC is right"}
}

// sum returns the MAC of a file without passphrase, or "" if its version is none that is known.
func (f puttyFile) sum() string {
	var mac hash.Hash
	switch f.version {
	case "2":
		key := sha1.Sum([]byte("putty-private-key-file-mac-key"))
		mac = hmac.New(sha1.New, key[:])
	case "3":
		mac = hmac.New(sha256.New, nil)
	default:
		return ""
	}
	for _, part := range [][]byte{[]byte(f.algorithm), []byte(f.encryption), []byte(f.comment), f.public, f.private} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part)))
		mac.Write(size[:])
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

const encryptedReason = "it is encrypted with a passphrase"

type puttyFile struct {
	version, algorithm, encryption, comment, mac string
	public, private                              []byte
}

// puttyFields takes a PuTTY key apart; what is missing or damaged stays empty.
func puttyFields(text string) (f puttyFile) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		name, value, _ := strings.Cut(strings.Trim(lines[i], "\"' \t+"), ": ")
		switch name {
		case "PuTTY-User-Key-File-2", "PuTTY-User-Key-File-3":
			f.version, f.algorithm = name[len(name)-1:], value
		case "Encryption":
			f.encryption = value
		case "Comment":
			f.comment = value
		case "Private-MAC":
			f.mac = value
		case "Public-Lines":
			f.public = puttyBlob(lines[i+1:], value)
		case "Private-Lines":
			f.private = puttyBlob(lines[i+1:], value)
		}
	}
	return f
}

func puttyBlob(lines []string, count string) []byte {
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > len(lines) {
		return nil
	}
	var b strings.Builder
	for _, line := range lines[:n] {
		b.WriteString(strings.Trim(line, "\"' \t\\"))
	}
	raw, err := base64.StdEncoding.DecodeString(b.String())
	if err != nil {
		return nil
	}
	return raw
}

// checkSSH2 looks into private keys of ssh.com's form: base64 of a magic number, a length, the kind of key and the name of a
// cipher. The form is called encrypted even where the cipher is none.
func checkSSH2(secret, _ []byte) Verdict {
	_, body, _ := strings.Cut(unescapeLines(secret), "KEY ----")
	body, _, _ = strings.Cut(body, "---- END")
	var b strings.Builder
	goesOn := false
	for line := range strings.Lines(body) {
		line = strings.Trim(line, "\"' \t\n")
		header := goesOn || strings.Contains(line, ": ")
		goesOn = header && strings.HasSuffix(line, `\`)
		if !header {
			b.WriteString(strings.Trim(line, `\`))
		}
	}
	text := b.String()
	raw, err := base64.StdEncoding.DecodeString(text[:len(text)&^3])
	if err != nil || len(raw) < 16 || binary.BigEndian.Uint32(raw) != 0x3f6ff9eb {
		return Verdict{Reason: encryptedReason, Downgraded: true}
	}
	_, rest := sshString(raw[8:])
	cipher, _ := sshString(rest)
	if string(cipher) == "none" {
		return Verdict{Outcome: Proven, Reason: "it is not encrypted although its first line says so"}
	}
	return Verdict{Reason: encryptedReason, Downgraded: true}
}

// sshString takes a text with its length in front of it off b.
func sshString(b []byte) (text, rest []byte) {
	if len(b) < 4 {
		return nil, nil
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil
	}
	return b[4 : 4+n], b[4+n:]
}

// checkPyPI proves tokens of PyPI, which are macaroons of version 2: a location, an identifier, caveats, and 32 bytes of signature
// at the end. A token that does not parse may have been cut, and is left unproven.
func checkPyPI(secret, _ []byte) Verdict {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(string(secret), "pypi-"))
	if err != nil || len(raw) < 40 || raw[0] != 2 {
		return Verdict{}
	}
	location, rest, ok := macaroonField(raw[1:], 1)
	if !ok {
		return Verdict{}
	}
	if _, rest, ok = macaroonField(rest, 2); !ok {
		return Verdict{}
	}
	// Caveats are sections of fields that end in a zero; behind the last stands one more zero and the signature.
	if tail := rest[max(0, len(rest)-34):]; len(tail) < 34 || tail[0] != 6 || tail[1] != 32 {
		return Verdict{}
	}
	return Verdict{Outcome: Proven, Reason: "it is a signed token of " + clipHost(string(location))}
}

// macaroonField takes a field of the given kind with a length of one byte off b.
func macaroonField(b []byte, kind byte) (value, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != kind || b[1] >= 0x80 || len(b) < 2+int(b[1]) {
		return nil, nil, false
	}
	return b[2 : 2+b[1]], b[2+b[1]:], true
}

// clipHost keeps the name of a host short and harmless.
func clipHost(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (isAlnum(byte(r)) || r == '-' || r == '.') {
			return r
		}
		return -1
	}, s[:min(len(s), 32)])
}
