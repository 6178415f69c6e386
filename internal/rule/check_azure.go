package rule

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// The formats in this file are those of Microsoft's library of identifiable secrets, github.com/microsoft/security-utilities:
// a signature of four characters that tells the service, and a Marvin checksum behind it whose seed tells the kind of key.

// marvin32 is the Marvin checksum of b, folded to 32 bits (as in System.Marvin of .NET, and in SymCrypt).
func marvin32(b []byte, seed uint64) uint32 {
	lo, hi := uint32(seed), uint32(seed>>32)
	for ; len(b) >= 4; b = b[4:] {
		lo, hi = marvinBlock(lo+binary.LittleEndian.Uint32(b), hi)
	}
	last := [4]byte{}
	last[copy(last[:], b)] = 0x80
	lo, hi = marvinBlock(lo+binary.LittleEndian.Uint32(last[:]), hi)
	lo, hi = marvinBlock(lo, hi)
	return lo ^ hi
}

func marvinBlock(lo, hi uint32) (newLo, newHi uint32) {
	hi ^= lo
	lo = bits.RotateLeft32(lo, 20) + hi
	hi = bits.RotateLeft32(hi, 9) ^ lo
	lo = bits.RotateLeft32(lo, 27) + hi
	return lo, bits.RotateLeft32(hi, 19)
}

// seed is the seed that a kind of key is named for: its eight characters, the first the highest byte.
func seed(name string) uint64 { return binary.BigEndian.Uint64([]byte(name)) }

// azureSeeds are the seeds of the keys that have a signature, by signature.
var azureSeeds = map[string][]uint64{
	"+ASt": {seed("Default0")},
	"+ABa": {seed("AbAcct00")},
	"ACDb": {
		seed("MastRW00"), seed("MastRO00"), seed("SystRW00"), seed("SystRO00"), seed("SysAll00"), seed("Resour00"), seed("Encryp00"),
	},
	"APIM": {seed("Tenant00"), seed("IoTHub00"), seed("Gatewy00"), seed("GitKey00")},
	"AIoT": {seed("IoTHub00"), seed("DpsKey00"), seed("Device00")},
	"AzCa": {seed("Access00")},
	"AzFu": {seed("Functi00"), seed("Master00"), seed("System00")},
	"AzSe": {seed("Query000"), seed("PAdmin00")},
	"AZEG": {seed("SendRecv")},
	"+ACR": {seed("ACRDflt0")},
	"+AMC": {seed("Classic0")},
	"+ASb": {seed("Send0000"), seed("Listen00"), seed("Manage00"), seed("System00"), seed("Unknown0")},
	"+AEh": {seed("Send0000"), seed("Listen00"), seed("Manage00"), seed("System00"), seed("Unknown0")},
	"+ARm": {seed("Send0000"), seed("Listen00"), seed("Manage00"), seed("Unknown0")},
}

// checkAzureKey proves the keys of Azure's services that carry a signature: the last four bytes are the checksum of all that
// goes before. Some services take characters out of their keys after the sum was made, so a wrong one proves nothing.
func checkAzureKey(secret, _ []byte) Verdict {
	text := string(secret)
	if _, tail, ok := strings.Cut(text, "&"); ok { // "git&202601010000&…" of API management
		_, text, _ = strings.Cut(tail, "&")
	}
	bare := strings.TrimRight(text, "=")
	if len(bare) < 24 {
		return Verdict{}
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(bare))
	if err != nil || len(raw) < 16 {
		return Verdict{}
	}
	seeds := azureSeeds[bare[len(bare)-10:len(bare)-6]]
	body, sum := raw[:len(raw)-4], binary.LittleEndian.Uint32(raw[len(raw)-4:])
	if slices.ContainsFunc(seeds, func(s uint64) bool { return marvin32(body, s) == sum }) {
		return rightSum
	}
	return Verdict{}
}

// annotatedSeed is the seed of all common annotated security keys.
var annotatedSeed = seed("Default0")

// checkAnnotatedKey proves the common annotated security keys of newer services: 52 random characters, JQQJ9, the kind, a year
// and a month, room for platform and provider, a signature, and the checksum of these 80 characters. The sum stands as three or
// four bytes, or as digits of base 62, in base64.
func checkAnnotatedKey(secret, _ []byte) Verdict {
	text := strings.TrimRight(string(secret), "=")
	if len(text) < 84 || text[52:57] != "JQQJ9" || text[59] < 'A' || text[59] > 'L' {
		return Verdict{}
	}
	body, err := base64.StdEncoding.DecodeString(text[:80])
	if err != nil {
		return Verdict{}
	}
	var sum [4]byte
	binary.LittleEndian.PutUint32(sum[:], marvin32(body, annotatedSeed))
	for _, want := range []string{base64.RawStdEncoding.EncodeToString(sum[:]), digits62(sum)} {
		if strings.HasPrefix(want, text[80:min(len(text), 85)]) {
			return Verdict{Outcome: Proven, Reason: "its checksum is right" + madeIn(text[58], text[59])}
		}
	}
	return Verdict{}
}

// digits62 writes a number, its highest byte first, in base 62: a zero for each byte of zero at its start, the digits, and then
// zeros up to six characters.
func digits62(n [4]byte) string {
	zeros := 0
	for zeros < 3 && n[zeros] == 0 {
		zeros++
	}
	s := strings.Repeat("0", zeros) + strings.TrimLeft(base62Digits(binary.BigEndian.Uint32(n[:])), "0")
	return s + strings.Repeat("0", max(0, 6-len(s)))
}

// madeIn tells the date inside of an annotated key: A is 2024, and January.
func madeIn(year, month byte) string {
	if year < 'A' || year > 'Z' {
		return ""
	}
	return fmt.Sprintf(" and it says that it was made in %d-%02d", 2024+int(year-'A'), month-'A'+1)
}

// entraAlphabet holds the digits of the checksum of a client secret, the lowest first.
const entraAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890.-_~"

// checkEntraSecret proves client secrets of Entra ID with the mark 8Q~: the last three characters are the highest of the six
// digits of the checksum of all that goes before. Secrets with another mark have none.
func checkEntraSecret(secret, _ []byte) Verdict {
	if len(secret) < 20 || string(secret[3:6]) != "8Q~" {
		return Verdict{}
	}
	body, digits := secret[:len(secret)-3], secret[len(secret)-3:]
	n := marvin32(body, seed("AadPwd00"))
	var all [6]byte
	for i := len(all) - 1; i >= 0; i-- {
		all[i] = entraAlphabet[n%uint32(len(entraAlphabet))]
		n /= uint32(len(entraAlphabet))
	}
	if string(all[:3]) != string(digits) {
		return Verdict{}
	}
	return rightSum
}
