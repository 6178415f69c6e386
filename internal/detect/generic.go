package detect

import (
	"bytes"
	"encoding/base64"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"magpie"
	"magpie/internal/rule"
)

// Bounds of the values that generic rules take for a secret, in bytes.
const (
	minGeneric = 4
	minKey     = 16
	maxGeneric = 256
)

// judgeGeneric decides about a value that has nothing but its name, the last part of a path, to speak for it. It returns
// how sure it is and why.
func (l *lexicon) judgeGeneric(r *rule.Rule, path, name []byte, a assignment, v []byte) (magpie.Confidence, string, bool) {
	if string(name) == "PASS" && !a.quoted { // what test runners print
		return "", "", false
	}
	if isAside(name) || isPlaceholder(v) || l.echoes(name, v) || isReference(v) {
		return "", "", false
	}
	if !a.quoted && !bareIsValue(a, v) {
		return "", "", false
	}
	t := l.traits(v)
	t.call = a.call
	if t.hex && hashName(name) || isVersion(v) {
		return "", "", false
	}
	if t.foreign*2 > t.n || t.blank > 0 && !(r.Filters.Shape == "password" && a.quoted && t.asPhrase()) {
		return "", "", false
	}
	if a.scheme == 'b' && !l.mayBeLogin(v) {
		return "", "", false
	}
	if !a.quoted && (a.rest == ';' || a.loose) && !t.strong() {
		return "", "", false
	}
	switch {
	case r.Filters.Shape == "password" || a.login:
		if !a.quoted && t.digit+t.special == 0 && t.spelt > -4 && bytes.ContainsFunc(name, unicode.IsLower) {
			return "", "", false // the name of a variable, shortened
		}
		return t.asPassword(a)
	case a.prose && (!a.quoted || r.Filters.Shape == "key"):
		return "", "", false
	case r.Filters.Shape == "key":
		return t.asKey(path, name)
	case lastWord(name) == "secret" && t.n < 16 && t.letters()*t.digit == 0:
		return t.asShortSecret()
	}
	return t.asRandom()
}

// traits are what can be told from a value alone.
type traits struct {
	n                            int
	digit, lower, upper, special int // how many there are
	blank, foreign               int // of the special ones, blanks and bytes outside ASCII
	entropy                      float64
	known                        float64 // share of the letters that belong to known words
	spelt                        float64 // how much the letters look like words, see lexicon.spelt
	hex, uuid                    bool
	call                         bool // the value is an argument
	counts                       bool // the digits are a year or go up one by one
}

func (l *lexicon) traits(v []byte) traits {
	t := traits{n: len(v), entropy: rule.Entropy(v), spelt: l.spelt(v), hex: true, uuid: isUUID(v)}
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9':
			t.digit++
		case c >= 'a' && c <= 'z':
			t.lower++
		case c >= 'A' && c <= 'Z':
			t.upper++
		default:
			t.special++
			if c == ' ' || c == '\t' {
				t.blank++
			} else if c >= 0x80 {
				t.foreign++
			}
		}
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			t.hex = false
		}
	}
	t.counts = digitsCount(v)
	if known, letters := l.covered(v); letters > 0 {
		t.known = float64(known) / float64(letters)
	}
	return t
}

// digitsCount reports whether the digits of v are those of a year, the same, or go up or down one by one.
func digitsCount(v []byte) bool {
	var digits [8]byte
	n := 0
	for _, c := range v {
		if c >= '0' && c <= '9' && n < len(digits) {
			digits[n] = c
			n++
		}
	}
	return n == 4 && (digits[0] == '1' && digits[1] == '9' || digits[0] == '2' && digits[1] == '0') || isMonotone(digits[:n])
}

func (t traits) letters() int { return t.lower + t.upper }

// classes counts the kinds of characters in use.
func (t traits) classes() int {
	n := 0
	for _, c := range []int{t.digit, t.lower, t.upper, t.special} {
		if c > 0 {
			n++
		}
	}
	return n
}

// asPassword judges a value that is called a password.
func (t traits) asPassword(a assignment) (magpie.Confidence, string, bool) {
	switch {
	case t.n < 4 || t.n > 128:
		return "", "", false
	case t.letters() == 0:
		ok := t.n >= 6 && t.digit > 0 && t.entropy >= 2
		return magpie.ConfidenceLow, "a number is assigned to a name that means password", ok
	case t.known >= 0.7 && t.digit >= 4 && t.classes() >= 3 && t.n >= 10 && !t.counts:
		return magpie.ConfidenceMedium, "a word and a number are assigned to a name that means password", true
	case t.known >= 0.7 && !(t.classes() == 4 && t.n >= 9):
		return "", "", false
	case t.classes() >= 3 && t.n >= 8:
		return magpie.ConfidenceHigh, "a value of mixed characters is assigned to a name that means password", true
	case t.digit > 0 || t.special > 0 && t.spelt < 2:
		return magpie.ConfidenceMedium, "a value that is no word is assigned to a name that means password", t.known < 0.5 && (a.quoted || t.n >= 5)
	}
	return magpie.ConfidenceLow, "letters that form no word are assigned to a name that means password",
		t.special == 0 && t.known < 0.5 && t.spelt < -0.5*float64(t.n)
}

// asPhrase reports whether the words of a text with blanks are none.
func (t traits) asPhrase() bool {
	return t.blank <= 2 && t.n >= 8 && t.n <= 40 && t.known < 0.3 && t.spelt < -10
}

// asShortSecret judges a number or a few letters under a name that means a secret and nothing else.
func (t traits) asShortSecret() (magpie.Confidence, string, bool) {
	if t.letters() == 0 {
		return magpie.ConfidenceLow, "a number is assigned to a name that means a secret", t.special == 0 && t.n >= 6 && t.entropy >= 2
	}
	return magpie.ConfidenceLow, "letters that form no word are assigned to a name that means a secret", t.n >= 6 && t.special == 0 && t.known < 0.3 && t.spelt < -8 && t.spelt < -1.5*float64(t.n)
}

// strong reports whether a value could hardly be anything but made by a machine at random.
func (t traits) strong() bool {
	switch {
	case t.known >= 0.4 || t.letters() == 0:
		return false
	case t.digit == 0:
		return t.n >= 20 && t.special == 0 && t.spelt < -30
	case t.hex:
		return t.n >= 32 && t.n%2 == 0 && t.entropy >= 3
	}
	return t.n >= 20 && t.entropy >= 3.5 && t.upper > 0 && t.lower > 0 && (t.spelt < -10 || t.spelt < 0 && t.digit >= 4 && t.entropy >= 4.2)
}

// asKey judges a value that is called just a key by a name that ends a path, as are many that are none: those of maps, tables
// and pianos.
func (t traits) asKey(path, name []byte) (magpie.Confidence, string, bool) {
	switch {
	case t.uuid:
		return magpie.ConfidenceLow, "a UUID is assigned to a name that means a key", !tableKey(name)
	case t.letters() == 0:
		return magpie.ConfidenceLow, "a number as long as a key is assigned to a name that means a cipher's key", cipherName(path) && t.special == 0 && (t.n == 16 || t.n == 24 || t.n == 32)
	case cipherName(path):
		return t.asRandom()
	}
	return magpie.ConfidenceMedium, "a random value is assigned to a name that means a key", t.strong()
}

// tableKey reports whether a name counts keys, as those of a map in a test are counted, or means one of many that are looked up.
func tableKey(name []byte) bool {
	low := bytes.ToLower(name)
	for _, w := range []string{"first", "second", "third", "fourth", "fifth", "last", "next", "timeout", "lookup", "sort", "partition"} {
		if bytes.HasPrefix(low, []byte(w)) {
			return true
		}
	}
	return false
}

// cipherName reports whether a path says that a key is one of a cipher or signature.
func cipherName(path []byte) bool { return nameWords().in(path)&cipherWord != 0 }

// The sets of nameWords.
const (
	cipherWord = 1 << iota
	publicWord
	digestWord
)

// nameWords are the parts of names that say what kind of thing is meant.
var nameWords = sync.OnceValue(func() *phrases {
	return newPhrases(true,
		[]string{"aes", "des", "rc4", "cipher", "crypt", "secret", "hmac", "jwt", "sign", "shared"},
		[]string{"public", "pubkey", "foreign", "primary_key", "primarykey", "keyboard", "hotkey", "monkey", "cachekey", "cache_key", "websocket", "csrf", "xsrf", "authenticity", "antiforgery", "requestverification"},
		[]string{"sha1", "sha2", "sha3", "sha5", "sha_", "sha-", "md5", "hash", "digest", "checksum", "fingerprint", "thumbprint", "integrity", "etag"})
})

// asRandom judges a value that is called a key, token or secret: those are made by machines and look it.
func (t traits) asRandom() (magpie.Confidence, string, bool) {
	switch {
	case t.n < 8 || t.letters() == 0 && t.n < 16:
		return "", "", false
	case t.uuid:
		return magpie.ConfidenceMedium, "a UUID is assigned to a name that means a secret", true
	case t.letters() == 0:
		return magpie.ConfidenceLow, "a long number is assigned to a name that means a secret", t.special == 0 && t.entropy >= 2.5 && (!t.call || t.n >= 20)
	case t.hex:
		return magpie.ConfidenceHigh, "a random hexadecimal value is assigned to a name that means a secret", t.n >= 14 && t.entropy >= 2.7 && t.digit > 0 && t.letters() > 0
	case t.known >= 0.5:
		return "", "", false
	case t.digit > 0 && t.letters() > 0 && t.n >= 16 && t.entropy >= 3:
		return magpie.ConfidenceHigh, "a random value is assigned to a name that means a secret", true
	case t.digit > 0 && t.letters() > 0 && t.entropy >= 2.5 && t.known < 0.4:
		return magpie.ConfidenceMedium, "a value that is no word is assigned to a name that means a secret", t.n >= 10 || t.classes() >= 3 && t.digit > 1
	}
	return magpie.ConfidenceLow, "letters that form no word are assigned to a name that means a secret",
		t.digit == 0 && t.spelt < -10 && t.spelt < -1.2*float64(t.n) && t.known < 0.4
}

// mayBeLogin reports whether v, which stands behind "Basic", is not plainly the base64 of a dummy.
func (l *lexicon) mayBeLogin(v []byte) bool {
	raw, err := base64.StdEncoding.DecodeString(string(v))
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(string(v))
	}
	if err != nil || !utf8.Valid(raw) || !isPrintable(raw) {
		return true
	}
	_, password, found := bytes.Cut(raw, []byte(":"))
	return found && l.isPassword(password)
}

// isDistorted reports whether v would be a key as machines make them but for one sign: a question mark, or in what is called
// just a key any sign beyond those of the usual alphabets. What has many such signs was made of all that a keyboard has.
func isDistorted(v []byte, key bool) bool {
	if len(v) < minKey {
		return false
	}
	odd, question := 0, false
	for _, c := range v {
		question = question || c == '?'
		if strings.IndexByte("!@#$^&*?()[]{}<>,;", c) >= 0 {
			odd++
		}
	}
	return odd == 1 && (question || key)
}

// deniesSecret reports whether a name begins with a word that says that what it names is none, as tests call what must not be accepted.
func deniesSecret(name []byte) bool {
	low := bytes.ToLower(name)
	for _, w := range []string{"nonmatching", "non_matching", "invalid", "wrong", "incorrect", "malformed", "bogus", "bad_", "badkey", "unmatched", "nosuch"} {
		if bytes.HasPrefix(low, []byte(w)) {
			return true
		}
	}
	return false
}

func isUUID(v []byte) bool {
	if len(v) != 36 {
		return false
	}
	for i, c := range v {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}

// isAside reports whether a name means something beside the secret: its label, file, length, or its public half.
func isAside(name []byte) bool { return asideWords[lastWord(name)] || publicName(name) }

// lastWord returns the last word of a name in lower case; words end at case changes, digits and signs.
func lastWord(name []byte) string {
	end := len(name)
	for end > 0 && !(name[end-1]|0x20 >= 'a' && name[end-1]|0x20 <= 'z') {
		end--
	}
	start := end
	for start > 0 {
		c := name[start-1]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z') {
			break
		}
		if start < end && c >= 'a' && name[start] < 'a' {
			break
		}
		start--
	}
	return string(bytes.ToLower(name[start:end]))
}

func publicName(name []byte) bool { return nameWords().in(name)&publicWord != 0 }

// echoes reports whether a value only repeats its name, as in password: "userPassword".
func (l *lexicon) echoes(name, v []byte) bool {
	return len(v) >= 5 && containsFold(name, v) || len(v) < 40 && secretNames().in(v) != 0
}

// secretNames are parts of the names of secrets.
var secretNames = sync.OnceValue(func() *phrases {
	return newPhrases(true, []string{"passw", "pwd", "secret", "token", "apikey", "api_key", "api-key", "credential"})
})

// containsFold reports whether word stands in text, whatever the case of letters of ASCII.
func containsFold(text, word []byte) bool {
	for i := 0; i+len(word) <= len(text); i++ {
		if bytes.EqualFold(text[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// isReference reports whether v points to something rather than being it: an address, a path, a file, an expression.
func isReference(v []byte) bool {
	switch {
	case referenceSigns().in(v) != 0, v[0] == '/' && bytes.Count(v, []byte("/")) > 1, bytes.HasPrefix(v, []byte("./")), bytes.HasPrefix(v, []byte("../")),
		bytes.HasPrefix(v, []byte("~/")), bytes.HasPrefix(v, []byte("--")), bytes.HasPrefix(v, []byte(".$")), bytes.HasPrefix(v, []byte("ssh-")), bytes.HasPrefix(v, []byte("-----")):
		return true
	case isCall(v):
		return true
	case isHashed(v), isPublicKey(v):
		return true
	case len(v) < 8 && bytes.IndexByte(v, '|') >= 0:
		return true
	case v[0] == '[' || v[0] == '{' || v[0] == '<' || v[0] == '(' || v[0] == ')' || v[0] == '\\' || v[0] == '*' && len(v) < 12 || v[0] == '&' || v[0] == '=' || v[0] == ',' || v[0] == ':':
		return true
	}
	return isDotted(v) || hasExtension(v) || isMail(v) || isConstant(v) || bytes.HasSuffix(v, []byte("_request"))
}

// referenceSigns stand in addresses, expressions and escaped text.
var referenceSigns = sync.OnceValue(func() *phrases {
	return newPhrases(false, []string{"://", "->", "::", "&&", `\n`, `\u`, `\x`})
})

// isCall reports whether v holds a call such as load(name).
func isCall(v []byte) bool {
	open := bytes.IndexByte(v, '(')
	return open > 0 && isNameByte(v[open-1]) && bytes.IndexByte(v[open:], ')') > 0
}

// isPublicKey reports whether v is the beginning of a public key in base64: of SSH, or of DER with the algorithm first.
func isPublicKey(v []byte) bool {
	if v[0] != 'A' && v[0] != 'M' {
		return false
	}
	for _, p := range []string{"AAAAB3NzaC1", "AAAAC3NzaC1", "AAAAE2VjZHNh", "MFkwEwYH", "MHYwEAYH", "MIIBIjANBgkqhki", "MIICIjANBgkqhki", "MIGfMA0GCSqGSIb3DQEBA", "MCowBQYDK2V"} {
		if len(v) > len(p) && string(v[:len(p)]) == p {
			return true
		}
	}
	return false
}

// isHashed reports whether v is a password's hash as crypt, LDAP and web frameworks write them. Of it nobody can log in.
func isHashed(v []byte) bool {
	if strings.IndexByte("${pbsmSM", v[0]) < 0 {
		return false
	}
	for _, p := range hashes {
		if len(v) > len(p)+8 && string(v[:len(p)]) == p {
			return true
		}
	}
	return false
}

var hashes = []string{
	"$2a$", "$2b$", "$2x$", "$2y$", "$1$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$apr1$", "$argon2", "$pbkdf2", "$scrypt$", "{SHA}", "{SSHA", "{sha", "{ssha",
	"{SHA256}", "{SHA512}", "{CRYPT}", "{MD5}", "{bcrypt}", "{pbkdf2}", "pbkdf2_sha", "pbkdf2:sha", "scrypt:", "bcrypt_sha", "bcrypt$", "argon2$", "sha1$", "sha256$",
	"sha512$", "md5$", "sha256:", "sha512:", "sha1:", "SHA256:", "MD5:", "sha384-", "sha512-", "sha256-",
}

// hashName reports whether a name says that it means a digest.
func hashName(name []byte) bool {
	return nameWords().in(name)&digestWord != 0 || len(name) >= 3 && bytes.EqualFold(name[len(name)-3:], []byte("sha"))
}

// isVersion reports whether v is a version or a range of versions.
func isVersion(v []byte) bool {
	v = bytes.TrimLeft(v, "^~<>=v ")
	dots := 0
	for i, c := range v {
		switch {
		case c == '.' && i > 0:
			dots++
		case c == '-' || c == '+':
			return dots > 0
		case !(c >= '0' && c <= '9' || c == 'x' || c == '*'):
			return false
		}
	}
	return dots > 0
}

// isDotted reports whether v is a path of identifiers such as config.auth.value or com.example.Name.
func isDotted(v []byte) bool {
	dots, digits := 0, 0
	for i, c := range v {
		switch {
		case c == '.':
			if i == 0 || i == len(v)-1 || v[i-1] == '.' {
				return false
			}
			dots++
		case c == '[' || c == ']' || c == '"' || c == '\'':
		case !isNameByte(c):
			return false
		case c >= '0' && c <= '9':
			digits++
		}
	}
	return dots > 0 && digits*5 < len(v)
}

var extensions = []string{
	".pem", ".key", ".crt", ".cer", ".json", ".yml", ".yaml", ".txt", ".conf", ".js", ".ts", ".py", ".go", ".rb", ".php", ".java",
	".xml", ".html", ".jks", ".p12", ".pfx", ".env", ".md", ".sh", ".com", ".org", ".net", ".io", ".gpg", ".pub", ".jsx", ".tsx", ".vue", ".css",
}

func hasExtension(v []byte) bool {
	if bytes.IndexByte(v[max(0, len(v)-len(".json")):], '.') < 0 {
		return false
	}
	for _, x := range extensions {
		if bytes.HasSuffix(v, []byte(x)) {
			return true
		}
	}
	return false
}

// isConstant reports whether v is a number as C writes it, at most 64 bits wide.
func isConstant(v []byte) bool {
	return len(v) <= 18 && (bytes.HasPrefix(v, []byte("0x")) || bytes.HasPrefix(v, []byte("0X")))
}

func isMail(v []byte) bool {
	at := bytes.IndexByte(v, '@')
	return at > 0 && bytes.IndexByte(v[at:], '.') > 1 && !bytes.ContainsAny(v, "!#$%^&*:/")
}

// bareIsValue reports whether a value without quotes can be one in a configuration file rather than an expression of
// a programming language.
func bareIsValue(a assignment, v []byte) bool {
	if a.call || a.compare || bytes.ContainsFunc(v, func(r rune) bool { return r >= 0x80 }) || bytes.ContainsAny(v, "()[]{}\\") {
		return false
	}
	if v[0] == '!' || v[0] == '-' || v[len(v)-1] == '.' || v[len(v)-1] == ':' {
		return false
	}
	return true
}

// asideWords are the last words of names that hold something about a secret rather than the secret itself.
var asideWords = map[string]bool{
	"field": true, "label": true, "hint": true, "file": true, "filename": true, "path": true, "dir": true, "url": true, "uri": true,
	"policy": true, "length": true, "len": true, "size": true, "min": true, "max": true, "regex": true, "regexp": true, "pattern": true,
	"type": true, "placeholder": true, "error": true, "errors": true, "message": true, "msg": true, "prompt": true, "strength": true,
	"column": true, "param": true, "parameter": true, "input": true, "form": true, "id": true, "ids": true, "name": true, "names": true,
	"enabled": true, "required": true, "count": true, "env": true, "var": true, "format": true, "title": true, "text": true, "help": true,
	"description": true, "desc": true, "attribute": true, "attr": true, "provider": true, "encoder": true, "manager": true,
	"service": true, "validator": true, "changed": true, "date": true, "time": true, "timestamp": true, "expires": true, "expiry": true,
	"expiration": true, "age": true, "ttl": true, "button": true, "view": true, "page": true, "link": true, "route": true,
	"controller": true, "endpoint": true, "location": true, "class": true, "method": true, "algorithm": true, "alg": true,
	"prefix": true, "suffix": true, "index": true, "ref": true, "arn": true, "version": true, "header": true, "selector": true,
	"reset": true, "scope": true, "scopes": true, "status": true, "state": true, "limit": true, "mode": true, "store": true, "table": true,
	"alias": true, "issuer": true, "audience": true, "kind": true, "options": true, "source": true, "rotation": true, "usage": true,
	"exception": true, "at": true, "updated": true, "created": true, "expired": true, "encryption": true, "strategy": true, "failure": true, "nonce": true, "callback": true, "signer": true, "realm": true, "domain": true, "host": true, "port": true, "server": true, "hash": true, "digest": true, "checksum": true, "fingerprint": true, "bytes": true, "bits": true, "mask": true, "char": true, "style": true,
}
