package rule

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// base62CRC returns the CRC-32 of s as six base-62 digits, the checksum that GitHub introduced for its tokens.
func base62CRC(s []byte) string { return base62Digits(crc32.ChecksumIEEE(s)) }

// base62Digits writes n in six digits.
func base62Digits(n uint32) string {
	var out [6]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}

var (
	rightSum = Verdict{Outcome: Proven, Reason: "its checksum is right"}
	wrongSum = Verdict{Outcome: Refuted, Reason: "its checksum is wrong"}
)

// checkCRCBase62 proves tokens of GitHub, npm and Magpie: four characters of prefix, a random body, and the checksum of the body.
func checkCRCBase62(secret, _ []byte) Verdict {
	if len(secret) < 40 {
		return wrongSum
	}
	body, sum := secret[4:len(secret)-6], string(secret[len(secret)-6:])
	if base62CRC(body) != sum {
		return wrongSum
	}
	return rightSum
}

// checkVercel proves tokens of Vercel, which scanners publish to be of the form of GitHub's. The vendor itself says that there are
// prefixes only (vercel.com/changelog/new-token-formats-and-secret-scanning), so a wrong sum proves nothing.
func checkVercel(secret, match []byte) Verdict {
	if v := checkCRCBase62(secret, match); v.Outcome == Proven {
		return v
	}
	return Verdict{}
}

// checkSynapse proves access and refresh tokens of Synapse: syt_ or syr_, the user in base64, 20 letters, and the CRC-32 of all
// that in six base-62 digits (generate_access_token in synapse/handlers/auth.py).
func checkSynapse(secret, _ []byte) Verdict {
	i := bytes.LastIndexByte(secret, '_')
	if i < 0 || base62CRC(secret[:i]) != string(secret[i+1:]) {
		return wrongSum
	}
	return rightSum
}

// checkCloudflare proves the tokens of Cloudflare that have a prefix: 40 characters and a checksum of eight hexadecimal digits
// (developers.cloudflare.com/fundamentals/api/get-started/token-formats). Neither the function nor what it covers is published;
// CRC-32 of the body and of the whole are tried, and a mismatch proves nothing.
func checkCloudflare(secret, _ []byte) Verdict {
	if len(secret) < 48 {
		return Verdict{}
	}
	body, digits := secret[:len(secret)-8], secret[len(secret)-8:]
	sum, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil {
		return Verdict{}
	}
	for _, b := range [][]byte{body, body[len(body)-40:]} {
		if crc32.ChecksumIEEE(b) == uint32(sum) {
			return rightSum
		}
	}
	return Verdict{}
}

// checkAtlassian proves tokens that end in the CRC-32 of what stands before it, in eight hexadecimal digits. Whether the
// equals sign in between is part of the sum is not published, so both are tried and a mismatch proves nothing.
func checkAtlassian(secret, _ []byte) Verdict {
	if len(secret) < 20 {
		return wrongSum
	}
	body, digits := secret[:len(secret)-8], string(secret[len(secret)-8:])
	sum, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return wrongSum
	}
	for _, b := range [][]byte{body, bytes.TrimSuffix(body, []byte("=")), body[4:]} {
		if crc32.ChecksumIEEE(b) == uint32(sum) {
			return rightSum
		}
	}
	return Verdict{}
}

// checkAtlassianDC proves tokens of the Data Center products: base64 of a decimal number, a colon and random bytes.
func checkAtlassianDC(secret, _ []byte) Verdict {
	raw, err := base64.StdEncoding.DecodeString(string(secret))
	if err != nil {
		return Verdict{Outcome: Refuted}
	}
	id, rest, ok := bytes.Cut(raw, []byte(":"))
	if _, err := strconv.ParseUint(string(id), 10, 64); !ok || err != nil || len(rest) < 16 {
		return Verdict{Outcome: Refuted}
	}
	return Verdict{Outcome: Proven, Reason: "it holds a token number, as such tokens do"}
}

// checkGitLab proves routable GitLab tokens, which end in seven base-36 digits of the CRC-32 of all that goes before.
// Older tokens have no checksum.
func checkGitLab(secret, _ []byte) Verdict {
	if bytes.IndexByte(secret, '.') < 0 || len(secret) < 16 {
		return Verdict{}
	}
	body, digits := secret[:len(secret)-7], string(secret[len(secret)-7:])
	if sum, err := strconv.ParseUint(digits, 36, 64); err == nil && sum == uint64(crc32.ChecksumIEEE(body)) {
		return rightSum
	}
	return Verdict{}
}

// checkGrafana proves service account tokens: the last eight digits are the CRC-32 of what stands before.
func checkGrafana(secret, _ []byte) Verdict {
	if len(secret) < 20 {
		return Verdict{}
	}
	body, digits := secret[:len(secret)-9], string(secret[len(secret)-8:])
	sum, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || crc32.ChecksumIEEE(body) != uint32(sum) {
		return Verdict{}
	}
	return rightSum
}

// checkDiscord proves bot tokens by their first part, base64 of the bot's numeric id.
func checkDiscord(secret, _ []byte) Verdict {
	first, _, _ := bytes.Cut(secret, []byte("."))
	raw, err := base64.RawURLEncoding.DecodeString(string(first))
	if err != nil {
		return Verdict{Outcome: Refuted}
	}
	if _, err := strconv.ParseUint(string(raw), 10, 64); err != nil || len(raw) < 17 {
		return Verdict{Outcome: Refuted}
	}
	return Verdict{Outcome: Proven, Reason: "it names a bot by its number"}
}

// checkNKeySeed proves NATS seeds by their CRC-16 (XMODEM), the last two bytes, low byte first.
func checkNKeySeed(secret, _ []byte) Verdict {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(secret))
	if err != nil || len(raw) != 36 {
		return Verdict{Outcome: Refuted}
	}
	if !endsInCRC16(raw) {
		return wrongSum
	}
	return rightSum
}

// endsInCRC16 reports whether the last two bytes of raw are the CRC-16 (XMODEM) of the others, low byte first.
func endsInCRC16(raw []byte) bool {
	body, sum := raw[:len(raw)-2], raw[len(raw)-2:]
	var crc uint16
	for _, b := range body {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc & 0x8000
			crc <<= 1
			if carry != 0 {
				crc ^= 0x1021
			}
		}
	}
	return uint16(sum[0])|uint16(sum[1])<<8 == crc
}

const bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// checkBech32 proves texts with a Bech32 checksum (BIP 173), such as age keys.
func checkBech32(secret, _ []byte) Verdict {
	s := strings.ToLower(string(secret))
	one := strings.LastIndexByte(s, '1')
	if one < 1 {
		return wrongSum
	}
	var values []byte
	for i := range one {
		values = append(values, s[i]>>5)
	}
	values = append(values, 0)
	for i := range one {
		values = append(values, s[i]&31)
	}
	for i := one + 1; i < len(s); i++ {
		v := strings.IndexByte(bech32Digits, s[i])
		if v < 0 {
			return wrongSum
		}
		values = append(values, byte(v))
	}
	if bech32Polymod(values) != 1 {
		return wrongSum
	}
	return rightSum
}

func bech32Polymod(values []byte) uint32 {
	gen := [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	chk := uint32(1)
	for _, v := range values {
		top := chk >> 25
		chk = (chk&0x1ffffff)<<5 ^ uint32(v)
		for i, g := range gen {
			if top>>i&1 == 1 {
				chk ^= g
			}
		}
	}
	return chk
}

// checkAWSKeyID reads the account out of access key ids of the present form: the 16 characters after the four-letter
// prefix are base32 of ten bytes, of which bits 7 to 46 of the first six are the 12-digit account. Ids from before 2019
// hold no account; nothing can be said about those.
func checkAWSKeyID(secret, _ []byte) Verdict {
	if len(secret) != 20 {
		return Verdict{Outcome: Refuted}
	}
	raw, err := base32.StdEncoding.DecodeString(string(secret[4:]))
	if err != nil {
		return Verdict{Outcome: Refuted}
	}
	if secret[4] < 'Q' {
		return Verdict{}
	}
	var n uint64
	for _, b := range raw[:6] {
		n = n<<8 | uint64(b)
	}
	account := (n & 0x7fffffffff80) >> 7
	if account >= 1_000_000_000_000 {
		return Verdict{Outcome: Refuted}
	}
	return Verdict{Reason: fmt.Sprintf("it belongs to account %012d", account)}
}
