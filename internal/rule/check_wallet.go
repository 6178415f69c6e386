package rule

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"encoding/hex"
	"math/big"
	"strings"
	"sync"
)

// bip39Words is the English word list of BIP 39: 2,048 words, one a line, sorted. BIP 39 and its lists are under the MIT licence.
//
//go:embed bip39.txt
var bip39Words string

// bip39Index is where each word stands in the list.
var bip39Index = sync.OnceValue(func() map[string]int {
	index := make(map[string]int, 2048)
	for word := range strings.Lines(bip39Words) {
		index[strings.TrimSpace(word)] = len(index)
	}
	return index
})

// checkMnemonic proves recovery phrases of BIP 39: 12, 15, 18, 21 or 24 words of the list, 11 bits each, of which the last bit of
// every 33 is of the SHA-256 of the others. A word that is not in the list refutes it; a wrong checksum does not, since
// Electrum takes its phrases from the same list.
func checkMnemonic(secret, _ []byte) Verdict {
	words := strings.Fields(string(bytes.ToLower(secret)))
	if len(words) < 12 || len(words) > 24 || len(words)%3 != 0 {
		return Verdict{Outcome: Refuted}
	}
	bits := new(big.Int)
	for _, w := range words {
		i, ok := bip39Index()[w]
		if !ok {
			return Verdict{Outcome: Refuted, Reason: "one of its words is in no word list"}
		}
		bits.Or(bits.Lsh(bits, 11), big.NewInt(int64(i)))
	}
	sumBits := uint(len(words) / 3)
	entropy := make([]byte, len(words)/3*4)
	sum := new(big.Int).And(bits, big.NewInt(1<<sumBits-1)).Uint64()
	bits.Rsh(bits, sumBits).FillBytes(entropy)
	if digest := sha256.Sum256(entropy); uint64(digest[0]>>(8-sumBits)) != sum {
		return Verdict{}
	}
	return Verdict{Outcome: Proven, Reason: "its words are of the list for wallets and their checksum is right"}
}

// The alphabets of base 58, of Bitcoin and most others, and of Ripple.
const (
	base58Bitcoin = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	base58Ripple  = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
	maxBase58     = 128 // decoding takes the square of the length
)

// decodeBase58 returns nil if s is no text in the alphabet, or too long.
func decodeBase58(s []byte, alphabet string) []byte {
	if len(s) > maxBase58 {
		return nil
	}
	n, base := new(big.Int), big.NewInt(58)
	zeros := 0
	for i, c := range s {
		d := strings.IndexByte(alphabet, c)
		if d < 0 {
			return nil
		}
		if d == 0 && zeros == i {
			zeros++
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(d)))
	}
	return append(make([]byte, zeros), n.Bytes()...)
}

// decodeBase58Check returns what stands before the checksum, the first four bytes of the double SHA-256, or nil.
func decodeBase58Check(s []byte, alphabet string) []byte {
	raw := decodeBase58(s, alphabet)
	if len(raw) < 5 {
		return nil
	}
	body, sum := raw[:len(raw)-4], raw[len(raw)-4:]
	once := sha256.Sum256(body)
	if twice := sha256.Sum256(once[:]); !bytes.Equal(twice[:4], sum) {
		return nil
	}
	return body
}

// checkBase58 proves private keys of wallets by their checksum and length: in wallet import format (a version, 32 bytes, and a 1
// if the public key is compressed) and extended keys (BIP 32, 78 bytes of which the last 33 are a zero and the key).
func checkBase58(secret, _ []byte) Verdict {
	body := decodeBase58Check(secret, base58Bitcoin)
	switch {
	case len(body) == 33 && inCurve(body[1:]), len(body) == 34 && body[33] == 1 && inCurve(body[1:33]):
		return rightSum
	case len(body) == 78 && body[45] == 0 && inCurve(body[46:]):
		return rightSum
	}
	return wrongSum
}

// checkRippleSeed proves seeds of the XRP ledger: 16 bytes behind the version 33, or behind three bytes for Ed25519, in Ripple's
// alphabet (xrpl.org/docs/references/protocol/data-types/base58-encodings).
func checkRippleSeed(secret, _ []byte) Verdict {
	body := decodeBase58Check(secret, base58Ripple)
	if len(body) == 17 && body[0] == 33 || len(body) == 19 && bytes.HasPrefix(body, []byte{0x01, 0xe1, 0x4b}) {
		return rightSum
	}
	return wrongSum
}

// checkStellarSeed proves seeds of Stellar accounts: base32 of the version 144, 32 bytes, and their CRC-16 (SEP-0023).
func checkStellarSeed(secret, _ []byte) Verdict {
	raw, err := base32.StdEncoding.DecodeString(string(secret))
	if err != nil || len(raw) != 35 || raw[0] != 144 || !endsInCRC16(raw) {
		return wrongSum
	}
	return rightSum
}

// checkSolanaKey proves key pairs of Solana: base 58 of 64 bytes, an Ed25519 seed and the public key that follows from it.
func checkSolanaKey(secret, _ []byte) Verdict {
	raw := decodeBase58(secret, base58Bitcoin)
	if len(raw) != ed25519.PrivateKeySize {
		return Verdict{Outcome: Refuted}
	}
	if !bytes.Equal(ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]), raw) {
		return Verdict{Outcome: Refuted, Reason: "its two halves do not belong together"}
	}
	return Verdict{Outcome: Proven, Reason: "its public half follows from its private half"}
}

// curveOrder is the number of points of secp256k1, the curve of Bitcoin and Ethereum (SEC 2, section 2.4.1).
var curveOrder, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)

// inCurve reports whether key is a private key of secp256k1: from 1 to one less than the order.
func inCurve(key []byte) bool {
	n := new(big.Int).SetBytes(key)
	return n.Sign() > 0 && n.Cmp(curveOrder) < 0
}

// checkEthereumKey refutes what can be no private key of Ethereum: a number outside of the curve, or one of a few bytes, as
// people make up for tests.
func checkEthereumKey(secret, _ []byte) Verdict {
	raw, err := hex.DecodeString(strings.TrimPrefix(string(secret), "0x"))
	if err != nil || len(raw) != 32 || !inCurve(raw) || new(big.Int).SetBytes(raw).BitLen() < 160 {
		return Verdict{Outcome: Refuted}
	}
	return Verdict{}
}
