package rule

import "hash/crc32"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// base62CRC returns the CRC-32 of s as six base-62 digits, the checksum that GitHub introduced for its tokens.
func base62CRC(s []byte) string {
	n := crc32.ChecksumIEEE(s)
	var out [6]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}

// checkGitHub proves tokens that end in the checksum of the part between prefix and checksum.
func checkGitHub(secret, _ []byte) Verdict {
	if len(secret) < 40 {
		return Verdict{Outcome: Refuted}
	}
	body, sum := secret[4:len(secret)-6], string(secret[len(secret)-6:])
	if base62CRC(body) != sum {
		return Verdict{Outcome: Refuted, Reason: "its checksum is wrong"}
	}
	return Verdict{Outcome: Proven, Reason: "its checksum is right"}
}
