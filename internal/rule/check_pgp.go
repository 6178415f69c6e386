package rule

import (
	"encoding/base64"
	"strings"
)

// checkPGPKey refutes armour without a secret key packet in it and proves one that has it (RFC 9580 section 5.5.3, before that
// RFC 4880). A key with a passphrase, or one that stands elsewhere such as on a card, is downgraded.
func checkPGPKey(secret, _ []byte) Verdict {
	body, sum := dearmour(unescapeLines(secret))
	raw, err := base64.StdEncoding.DecodeString(body[:len(body)&^3])
	if err != nil || len(raw) < 32 {
		return Verdict{Outcome: Refuted}
	}
	if sum != "" && sum != crc24(raw) && len(body)&3 == 0 {
		return Verdict{Reason: "its checksum is wrong, so it may be damaged", Downgraded: true}
	}
	packet, ok := secretKeyPacket(raw)
	if !ok {
		return Verdict{}
	}
	const reason = "it begins with a secret key packet"
	switch usage, known := pgpUsage(packet); {
	case !known, usage == 0:
		return Verdict{Outcome: Proven, Reason: reason}
	default:
		return Verdict{Reason: reason + " that is encrypted with a passphrase or stands elsewhere", Downgraded: true}
	}
}

// dearmour returns the base64 between the lines of dashes, and the four characters of the checksum, if there is one.
func dearmour(text string) (body, sum string) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.Trim(line, "\"' \t\n+\\,;*#")
		switch {
		case strings.HasPrefix(line, "--"), strings.Contains(line, ": "):
		case len(line) == 5 && line[0] == '=':
			return b.String(), line[1:]
		default:
			b.WriteString(line)
		}
	}
	return b.String(), ""
}

// crc24 is the checksum of armour (RFC 9580 section 6.1.1) in base64.
func crc24(b []byte) string {
	crc := uint32(0xb704ce)
	for _, c := range b {
		crc ^= uint32(c) << 16
		for range 8 {
			if crc <<= 1; crc&0x1000000 != 0 {
				crc ^= 0x1864cfb
			}
		}
	}
	return base64.StdEncoding.EncodeToString([]byte{byte(crc >> 16), byte(crc >> 8), byte(crc)})
}

// secretKeyPacket returns the body of the packet that raw begins with, as far as it is there. ok is false if it is of another kind.
func secretKeyPacket(raw []byte) (body []byte, ok bool) {
	switch {
	case raw[0]&0xfc == 0x94: // old form, the low bits tell how many bytes of length follow
		return raw[1+[4]int{1, 2, 4, 0}[raw[0]&3]:], true
	case raw[0] != 0xc5:
		return nil, false
	case raw[1] < 192:
		return raw[2:], true
	case raw[1] < 224:
		return raw[3:], true
	}
	return raw[6:], true
}

// pgpUsage returns the octet behind the public half of a key of version 4 or 6, which is 0 if the private half stands there as
// it is. known is false if it could not be found.
func pgpUsage(body []byte) (usage byte, known bool) {
	if len(body) < 6 || body[0] != 4 && body[0] != 6 {
		return 0, false
	}
	rest, ok := body[6:], false
	if body[0] == 6 {
		rest, _ = skip(rest, 4) // how long the public half is; nothing is left of a shorter one
	}
	switch body[5] {
	case 1, 2, 3: // RSA
		rest, ok = skipMPIs(rest, 2)
	case 16: // ElGamal
		rest, ok = skipMPIs(rest, 3)
	case 17: // DSA
		rest, ok = skipMPIs(rest, 4)
	case 19, 22, 18: // on a curve
		if len(rest) == 0 {
			return 0, false
		}
		if rest, ok = skip(rest, 1+int(rest[0])); ok {
			rest, ok = skipMPIs(rest, 1)
		}
	case 25, 27: // X25519, Ed25519
		rest, ok = skip(rest, 32)
	default:
		return 0, false
	}
	if !ok || len(rest) == 0 || body[5] == 18 {
		return 0, false
	}
	return rest[0], true
}

func skip(b []byte, n int) (rest []byte, ok bool) {
	if n > len(b) {
		return nil, false
	}
	return b[n:], true
}

// skipMPIs skips n numbers, each with its length in bits before it.
func skipMPIs(b []byte, n int) (rest []byte, ok bool) {
	for range n {
		if len(b) < 2 {
			return nil, false
		}
		if b, ok = skip(b, 2+((int(b[0])<<8|int(b[1]))+7)/8); !ok {
			return nil, false
		}
	}
	return b, true
}
