package rule

import (
	"maps"
	"slices"
)

// Outcome is what a check found out about a secret.
type Outcome int

// The outcomes of a check.
const (
	Unknown Outcome = iota // nothing speaks for or against it
	Refuted                // it can't be a secret of this kind
	Proven                 // its checksum or structure is right
)

// Verdict is the result of a check.
type Verdict struct {
	Outcome    Outcome
	Reason     string // completes "reported because … and"; may be empty
	Downgraded bool   // it is real but of little use as it stands, such as an encrypted key
}

// Check looks at a secret and the whole match around it. It must be fast, linear, and depend on nothing else,
// except that a reason may tell whether a date has passed.
type Check func(secret, match []byte) Verdict

// checks is the closed list of functions that rules can name.
var checks = map[string]Check{
	"atlassian-dc-token":  checkAtlassianDC,
	"atlassian-token":     checkAtlassian,
	"aws-key-id":          checkAWSKeyID,
	"azure-annotated-key": checkAnnotatedKey,
	"azure-key":           checkAzureKey,
	"base58check":         checkBase58,
	"bech32":              checkBech32,
	"bip39":               checkMnemonic,
	"cloudflare-token":    checkCloudflare,
	"crc-base62":          checkCRCBase62,
	"discord-token":       checkDiscord,
	"entra-secret":        checkEntraSecret,
	"ethereum-key":        checkEthereumKey,
	"gitlab-token":        checkGitLab,
	"grafana-token":       checkGrafana,
	"jwk":                 checkJWK,
	"jwt":                 checkJWT,
	"nkey-seed":           checkNKeySeed,
	"pem-key":             checkPEMKey,
	"pgp-key":             checkPGPKey,
	"putty-key":           checkPuTTY,
	"pypi-token":          checkPyPI,
	"ripple-seed":         checkRippleSeed,
	"solana-key":          checkSolanaKey,
	"ssh2-key":            checkSSH2,
	"stellar-seed":        checkStellarSeed,
	"synapse-token":       checkSynapse,
	"vercel-token":        checkVercel,
	"xml-rsa-key":         checkXMLRSA,
}

// CheckNames lists the names that a rule's check field may hold.
func CheckNames() []string { return slices.Sorted(maps.Keys(checks)) }
