package rule

import (
	"encoding/base32"
	"fmt"
)

// checkAWSKeyID proves access key ids of the present form by the account number inside them: the 16 characters after
// the four-letter prefix are base32 of ten bytes, of which bits 7 to 46 of the first six are the 12-digit account.
// Ids from before 2019 hold no account; nothing can be said about those.
func checkAWSKeyID(secret, _ []byte) Verdict {
	if len(secret) != 20 {
		return Verdict{Outcome: Refuted}
	}
	raw, err := base32.StdEncoding.DecodeString(string(secret[4:]))
	if err != nil {
		return Verdict{Outcome: Refuted}
	}
	if secret[4] < 'Q' {
		return Verdict{Outcome: Unknown}
	}
	var n uint64
	for _, b := range raw[:6] {
		n = n<<8 | uint64(b)
	}
	account := (n & 0x7fffffffff80) >> 7
	if account >= 1_000_000_000_000 {
		return Verdict{Outcome: Refuted}
	}
	return Verdict{Outcome: Unknown, Reason: fmt.Sprintf("it belongs to account %012d", account)}
}
