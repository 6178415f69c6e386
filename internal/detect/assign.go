package detect

import (
	"bytes"
	"strings"
)

// assignment is a value given to a telling name, in whatever language.
type assignment struct {
	pathStart          int // of the dotted path that ends in the name
	nameStart, nameEnd int
	start, end         int  // of the value, quotes excluded
	quoted             bool // in quotes, or between tags
	call               bool // an argument: f(name, "value") or setName("value")
	compare            bool // compared with the name rather than assigned to it
	rest               byte // the byte after an unquoted value, 0 at the end of a line
	loose              bool // blanks stand before an unquoted value, and more text after it
	assigned           bool // an operator follows the name
	login              bool // the value is an argument after the user
	prose              bool // the name follows another word, as in a sentence or log
	scheme             byte // initial of the scheme of a header behind which the value stands, such as Basic, or 0
}

// Bounds of what is looked at around an anchor in a name. Both ends of a window follow from them.
const (
	nameBefore  = 80
	nameAfter   = 64
	valueLength = 512
	gapLength   = 48
	byValAfter  = nameAfter + gapLength + valueLength + 16
)

// parseAssignment reads the assignment whose name holds the anchor at b[at:at+n]. It looks at nothing outside b.
func parseAssignment(b []byte, at, n int) (a assignment, ok bool) {
	a.nameStart, a.nameEnd = nameAround(b, at, n)
	if a.nameEnd-a.nameStart > 64 {
		return a, false
	}
	a.pathStart = pathBefore(b, a.nameStart)
	p, op := readOperator(b, a.nameStart, a.nameEnd)
	if op == 0 {
		return a, false
	}
	a.assigned, a.compare = true, op == '?'
	a.call = op == ',' || op == '('
	if op == ',' && !isArgument(b, a.nameStart) {
		return a, false
	}
	if a, ok = readValue(b, p, op, a); !ok {
		return a, false
	}
	if op == '(' && takesLogin(b[a.nameStart:a.nameEnd]) {
		a = secondArgument(b, a)
	}
	a.prose = followsWord(b, a.nameStart, a.quoted)
	return readScheme(b, a)
}

// followsWord reports whether a name stands behind another word that is not part of its declaration, which may be a type
// if its value is quoted.
func followsWord(b []byte, nameStart int, quoted bool) bool {
	end := backBlanks(b, nameStart)
	if b[nameStart] == '-' || end == nameStart || end == 0 || !isNameByte(b[end-1]) {
		return false
	}
	start := end
	for start > 0 && isNameByte(b[start-1]) {
		start--
	}
	typed := quoted && b[start] >= 'A' && b[start] <= 'Z'
	return !typed && !declares[string(b[start:end])] && b[start] != '-'
}

// declares holds words that introduce a name; so do types with a capital letter and options such as -e.
var declares = map[string]bool{
	"export": true, "set": true, "setx": true, "env": true, "ENV": true, "ARG": true, "const": true, "var": true, "let": true, "val": true,
	"local": true, "readonly": true, "declare": true, "final": true, "static": true, "string": true, "str": true, "char": true, "auto": true,
	"define": true, "def": true, "my": true, "our": true, "public": true, "private": true, "protected": true, "byte": true, "return": true,
	"default": true, "lateinit": true, "override": true, "global": true, "dim": true, "Dim": true, "as": true, "and": true, "AND": true,
	"with": true, "add": true, "put": true,
}

// schemes are what may stand before a credential in the value of a header.
var schemes = []string{"basic", "bearer", "token", "apikey", "bot", "key", "api-token", "apitoken", "session", "splunk", "genie-key", "sso-key", "aws", "oauth", "jwt"}

// readScheme steps over the scheme of a header's value, as in Authorization: Token 3f9….
func readScheme(b []byte, a assignment) (assignment, bool) {
	n := a.start
	for n < a.end && n-a.start < 10 && isNameByte(b[n]) {
		n++
	}
	if n >= len(b) || b[n] != ' ' {
		return a, true
	}
	for _, s := range schemes {
		if len(s) != n-a.start || !bytes.EqualFold(b[a.start:n], []byte(s)) {
			continue
		}
		if a.quoted {
			a.start = n + 1
		} else {
			a.loose, a.rest = false, 0
			a, _ = readBare(b, n+1, a)
		}
		a.scheme = s[0]
		return a, a.start < a.end
	}
	return a, true
}

// isArgument reports whether the quoted text that the name at nameStart ends is a whole argument or element of a list
// that may be followed by its value, as in put("db.password", "…") or conf.set(section, 'password', '…'). In a list of
// texts one that tells of a password is followed by just another one.
func isArgument(b []byte, nameStart int) bool {
	p := pathBefore(b, nameStart)
	if p == 0 || b[p-1] != '"' && b[p-1] != '\'' {
		return false
	}
	if b[p] == '-' && b[p+1] == '-' { // "--db-password", "…"
		return true
	}
	p = backBlanks(b, p-1)
	if p > 0 && b[p-1] == ',' {
		p = backBlanks(b, p-1)
		return p > 0 && (isNameByte(b[p-1]) || hasConstant(b[max(0, p-40):p]))
	}
	return p > 0 && (b[p-1] == '(' || b[p-1] == '[' || b[p-1] == '{')
}

// hasConstant reports whether a line begins to declare a constant of an Android build, whose type comes before its name.
func hasConstant(line []byte) bool {
	return bytes.Contains(line, []byte("buildConfigField")) || bytes.Contains(line, []byte("resValue"))
}

// takesLogin reports whether the function of a name takes a user and a password, as do SetBasicAuth and Credentials.
func takesLogin(name []byte) bool {
	low := bytes.ToLower(name)
	for _, w := range []string{"basicauth", "basic_auth", "userpass", "usernamepass", "passwordcredential", "passwordauthentication", "networkcredential"} {
		if bytes.Contains(low, []byte(w)) {
			return true
		}
	}
	return bytes.HasSuffix(low, []byte("credentials")) || bytes.HasSuffix(low, []byte("credential"))
}

// secondArgument moves an assignment on to the argument after the quoted one that it has, if that is quoted too.
func secondArgument(b []byte, a assignment) assignment {
	limit := min(len(b), a.end+1+gapLength)
	escaped := a.end < limit && b[a.end] == '\\'
	p := skipBlanks(b, a.end+1+int(bit(escaped)), limit)
	if p >= limit || b[p] != ',' {
		return a
	}
	p = skipBlanks(b, p+1, limit) + int(bit(escaped))
	if p >= limit || b[p] != '"' && b[p] != '\'' {
		return a
	}
	second, ok := a, false
	if escaped {
		second, ok = readEscaped(b, p+1, b[p], a)
	} else {
		second, ok = readQuoted(b, p, a)
	}
	if !ok {
		return a
	}
	second.login = true
	return second
}

// backBlanks returns where the blanks that end at p start.
func backBlanks(b []byte, p int) int {
	for p > 0 && (b[p-1] == ' ' || b[p-1] == '\t') {
		p--
	}
	return p
}

// pathBefore returns where the dotted path that ends in the name at nameStart starts.
func pathBefore(b []byte, nameStart int) int {
	p := nameStart
	for p > 0 && nameStart-p < nameBefore/2 && (isNameByte(b[p-1]) || b[p-1] == '.') {
		p--
	}
	return p
}

func isNameByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '-' || c == '$'
}

// nameAround extends an anchor to the identifier that it is part of. Of a dotted path only the part with the anchor
// counts, and it must be the last: in "password.length = 5" no password is assigned.
func nameAround(b []byte, at, n int) (start, end int) {
	start, end = at, at+n
	for start > 0 && at-start < nameBefore-8 && isNameByte(b[start-1]) {
		start--
	}
	if start > 0 && start < at && b[start-1] == '\\' && strings.IndexByte("nrt", b[start]) >= 0 { // \n in a string
		start++
	}
	for end < len(b) && end-at < nameAfter && isNameByte(b[end]) {
		end++
	}
	for end > at+n && b[end-1] == '-' { // of an arrow
		end--
	}
	return start, end
}

// readOperator finds what stands between a name and its value, which starts at or after the place returned. The operator is '=' for an assignment,
// '?' for a comparison, ',' and '(' for arguments, '>' for a tag, ' ' for a bare blank and 0 for none.
func readOperator(b []byte, nameStart, nameEnd int) (int, byte) {
	p := nameEnd
	limit := min(len(b), p+gapLength)
	for p < limit && (b[p] == '"' || b[p] == '\'' || b[p] == '`' || b[p] == ']' || b[p] == ')' || b[p] == '}' ||
		b[p] == '\\' || b[p] == '*') {
		p++
	}
	closed := p > 0 && (b[p-1] == '"' || b[p-1] == '\'')
	if p < limit && b[p] == '[' && hasAny(b[p:limit], "[]") { // of a declared array
		p += 2
	}
	q := skipBlanks(b, p, limit)
	if q >= limit {
		return 0, 0
	}
	rest := b[q:limit]
	c := rest[0]
	if strings.IndexByte("=!:|?<-+.", c) >= 0 {
		if n, op := longOperator(rest); n > 0 {
			return q + n, op
		}
	}
	switch {
	case c == '=':
		return q + 1, '='
	case c == ':' || c == '?' && len(rest) > 1 && rest[1] == ':':
		if t, ok := skipType(b, q+1, limit); ok {
			return t, '='
		}
		return q + 1, ':'
	case c == '>' && nameStart > 0 && (b[nameStart-1] == '<' || b[nameStart-1] == '"'):
		return q + 1, '>'
	case (c == ',' || c == '}' || c == '\r' || c == '\n' || closed && q > p) && valueField(b, q, limit) > 0:
		return valueField(b, q, limit), '='
	case c == '{' && q > nameEnd:
		return blockValue(b, q, limit)
	case c == ',' && closed:
		return q + 1, ','
	case c == ';' && closed:
		return serialised(b, q, limit)
	case c == '(':
		return q + 1, '('
	case c == '>' && closed:
		return q + 1, '>'
	case q > p && p == nameEnd && (b[q] == '"' || b[q] == '\'' || b[nameStart] == '-'):
		return q, ' '
	case q > p && p == nameEnd:
		return typedName(b, q, limit)
	}
	return 0, 0
}

// longOperator returns the length of an operator of several signs, and which one it is; 0 if there is none.
func longOperator(b []byte) (int, byte) {
	switch {
	case hasAny(b, "===", "!=="):
		return 3, '?'
	case hasAny(b, "==", "!="):
		return 2, '?'
	case hasAny(b, ":::="):
		return 4, '='
	case hasAny(b, "||=", "??=", "::=", "<<-"):
		return 3, '='
	case hasAny(b, ":=", "=>", "->", "?=", "+=", ".=", "::", "<-"):
		return 2, '='
	}
	return 0, 0
}

func hasAny(b []byte, ops ...string) bool {
	for _, op := range ops {
		if len(b) >= len(op) && string(b[:len(op)]) == op {
			return true
		}
	}
	return false
}

func skipBlanks(b []byte, p, limit int) int {
	for p < limit && (b[p] == ' ' || b[p] == '\t') {
		p++
	}
	return p
}

// skipType recognises "name: Type = value" and returns the place after the equals sign.
func skipType(b []byte, p, limit int) (int, bool) {
	p = skipBlanks(b, p, limit)
	start := p
	for p < limit && (isNameByte(b[p]) || b[p] == '.' || b[p] == '<' || b[p] == '>' || b[p] == '[' || b[p] == ']' ||
		b[p] == '&' || b[p] == '\'' || b[p] == '?') {
		p++
	}
	if p == start {
		return 0, false
	}
	end := p
	p = skipBlanks(b, p, limit)
	if p+1 >= limit || b[p] != '=' || b[p+1] == '=' {
		return 0, false
	}
	if p == end && (b[p+1] <= ' ' || strings.IndexByte(",;}<", b[p+1]) >= 0) {
		return 0, false // the padding of a value in base64
	}
	return p + 1, true
}

// typedName recognises "name string = value", as Go and SQL write.
func typedName(b []byte, p, limit int) (int, byte) {
	start := p
	for p < limit && isNameByte(b[p]) {
		p++
	}
	if p == start {
		return 0, 0
	}
	p = skipBlanks(b, p, limit)
	if p+1 < limit && b[p] == '=' && b[p+1] != '=' && b[p+1] != '>' {
		return p + 1, '='
	}
	return 0, 0
}

// blockValue recognises a value in braces behind a name: a property of C#, { get; set; } = "…", a variable of Terraform,
// { default = "…", and a block that is nothing but a text, as in let(:token) { "…" }.
func blockValue(b []byte, p, limit int) (int, byte) {
	block := b[p:limit]
	if hasAny(block, "{ get;") {
		if i := bytes.Index(block, []byte("} =")); i > 0 {
			return p + i + 3, '='
		}
		return 0, 0
	}
	q := skipSpace(b, p+1)
	if q < limit && hasAny(b[q:limit], "default") {
		if q = skipBlanks(b, q+len("default"), limit); q < limit && b[q] == '=' {
			return q + 1, '='
		}
		return 0, 0
	}
	if b[p-1] == ' ' && b[p-2] == ')' && q < limit && (b[q] == '"' || b[q] == '\'') {
		return q, '='
	}
	return 0, 0
}

// serialised recognises s:8:"password";s:3:"…" as PHP writes.
func serialised(b []byte, p, limit int) (int, byte) {
	if !hasAny(b[p:limit], ";s:") {
		return 0, 0
	}
	p += 3
	for p < limit && b[p] >= '0' && b[p] <= '9' {
		p++
	}
	if p < limit && b[p] == ':' {
		return p + 1, '='
	}
	return 0, 0
}

// valueField recognises the second half of name and value fields, such as {"name": "X", "value": "…"}, a YAML list of
// them, or <add key="X" value="…">; it returns the place after the operator, or 0.
func valueField(b []byte, p, limit int) int {
	for p < limit && (b[p] == ' ' || b[p] == '\t' || b[p] == ',' || b[p] == '\n' || b[p] == '\r' || b[p] == '"' ||
		b[p] == '\'' || b[p] == '\\') {
		p++
	}
	if p+6 > limit || !bytes.EqualFold(b[p:p+5], []byte("value")) {
		return 0
	}
	p += 5
	for p < limit && (b[p] == '"' || b[p] == '\'' || b[p] == ' ' || b[p] == '\\') {
		p++
	}
	if p < limit && (b[p] == ':' || b[p] == '=') {
		return p + 1
	}
	return 0
}

// readValue reads the value that starts at or after p.
func readValue(b []byte, p int, op byte, a assignment) (assignment, bool) {
	p = skipBlanks(b, p, min(len(b), p+gapLength))
	if p >= len(b) {
		return a, false
	}
	if op == '>' {
		return readUntil(b, skipSpace(b, p), '<', a)
	}
	if op == ',' || op == '(' || op == '=' || op == ':' {
		p = skipCall(b, skipLine(b, p))
	}
	quote := p
	// String prefixes of Python, C and C#.
	for quote < len(b) && quote-p < 2 && strings.IndexByte("bruflBRUFL@$", b[quote]) >= 0 {
		quote++
	}
	for _, o := range []int{quote, p} {
		if o < len(b) && b[o] == '\\' && o+1 < len(b) && (b[o+1] == '"' || b[o+1] == '\'') {
			return readEscaped(b, o+2, b[o+1], a)
		}
		if o < len(b) && (b[o] == '"' || b[o] == '\'' || b[o] == '`') {
			return readQuoted(b, o, a)
		}
	}
	if op == ',' || op == '(' || a.compare {
		return a, false
	}
	return readBare(b, p, a)
}

// skipLine steps over the end of a line if the next one, indented, starts with a quoted text that is not a key.
func skipLine(b []byte, p int) int {
	q := p
	if q < len(b) && b[q] == '(' {
		q++
	}
	if q < len(b) && b[q] == '\r' {
		q++
	}
	if q >= len(b) || b[q] != '\n' {
		return p
	}
	q = skipBlanks(b, q+1, min(len(b), q+1+gapLength))
	if q >= len(b) || b[q] != '"' && b[q] != '\'' {
		return p
	}
	if end := bytes.IndexByte(b[q+1:], b[q]); end < 0 || q+end+2 < len(b) && b[q+end+2] == ':' {
		return p
	}
	return q
}

// skipCall steps into what is wrapped around a literal: String("…"), [ "…", []string{"…". Where a function looks a
// value up by its name there is none.
func skipCall(b []byte, p int) int {
	q := p
	for q < len(b) && q-p < 40 && (isNameByte(b[q]) || b[q] == '.' || b[q] == '[' || b[q] == ']' || b[q] == ' ' || b[q] == ':' || b[q] == '*') {
		q++
	}
	callee := b[p:q]
	if q == p || b[q-1] != '[' { // the bracket of a list has been passed
		if q >= len(b) || b[q] != '(' && b[q] != '{' {
			return p
		}
		if b[q] == '{' && q > p && bytes.IndexByte(callee, ']') < 0 && !bytes.HasPrefix(callee, []byte("new ")) {
			return p
		}
		q++
	}
	q = skipBlanks(b, q, min(len(b), q+gapLength))
	o := q
	if o < len(b) && strings.IndexByte("bruBRU@\\", b[o]) >= 0 {
		o++
	}
	if o >= len(b) || b[o] != '"' && b[o] != '\'' && b[o] != '`' || isLookup(callee) {
		return p
	}
	return q
}

// isLookup reports whether a function's argument names a secret instead of being one.
func isLookup(callee []byte) bool {
	last := callee[bytes.LastIndexByte(callee, '.')+1:]
	if len(last) == 1 && (last[0] == 't' || last[0] == '_' || last[0] == '$') {
		return true
	}
	for _, l := range lookups {
		if bytes.Contains(callee, []byte(l)) {
			return true
		}
	}
	return false
}

// lookups are parts of the names of functions that look a value up by its name or ask for it.
var lookups = []string{
	"env", "Env", "ENV", "get", "Get", "find", "Find", "lookup", "Lookup", "param", "Param", "config", "Config", "read", "Read", "load", "Load",
	"input", "Input", "prompt", "Prompt", "field", "Field", "form", "Form", "fetch", "Fetch", "select", "Select", "query", "Query", "gettext",
	"translate", "Translate", "label", "Label", "column", "Column", "resolve", "Resolve", "ref", "Ref", "require", "import", "contains", "format", "path", "Path",
}

func readQuoted(b []byte, open int, a assignment) (assignment, bool) {
	q := b[open]
	start := open + 1
	if start+1 < len(b) && b[start] == q && b[start+1] == q {
		start += 2
	}
	for p := start; p < len(b) && p-start <= valueLength; p++ {
		switch b[p] {
		case '\\':
			p++
		case '\n':
			return a, false
		case q:
			if p-start > 4 && hasAny(b[start:p], `\"`) && b[p-2] == '\\' && b[p-1] == '"' { // quotes within quotes
				a.start, a.end, a.quoted = start+2, p-2, true
				return a, true
			}
			a.start, a.end, a.quoted = start, p, true
			return a, p > start
		}
	}
	return a, false
}

// readEscaped reads a value in escaped quotes, as in JSON inside a string.
func readEscaped(b []byte, start int, quote byte, a assignment) (assignment, bool) {
	for p := start; p+1 < len(b) && p-start <= valueLength && b[p] != '\n'; p++ {
		if b[p] == '\\' && b[p+1] == quote {
			a.start, a.end, a.quoted = start, p, true
			return a, p > start
		}
		if b[p] == quote {
			return a, false
		}
	}
	return a, false
}

// readUntil reads a value between tags, without the blanks and line ends around it.
func readUntil(b []byte, start int, stop byte, a assignment) (assignment, bool) {
	for p := start; p < len(b) && p-start <= valueLength; p++ {
		if b[p] != stop && b[p] != '\n' && b[p] != '\r' {
			continue
		}
		end := skipSpace(b, p)
		if end >= len(b) || b[end] != stop || end+1 < len(b) && b[end+1] != '/' {
			return a, false
		}
		p = backBlanks(b, p)
		a.start, a.end, a.quoted = start, p, true
		return a, p > start
	}
	return a, false
}

// skipSpace steps over blanks and line ends, gapLength at most.
func skipSpace(b []byte, p int) int {
	limit := min(len(b), p+gapLength)
	for p < limit && (b[p] == ' ' || b[p] == '\t' || b[p] == '\n' || b[p] == '\r') {
		p++
	}
	return p
}

func readBare(b []byte, start int, a assignment) (assignment, bool) {
	p := start
	for p < len(b) && p-start <= valueLength && !endsBare[b[p]] && !endsLine(b, p) {
		p++
	}
	if p-start > valueLength {
		return a, false
	}
	if p < len(b) {
		a.rest = b[p]
	}
	if a.rest == '\n' || a.rest == '\r' {
		a.rest = 0
	}
	if a.rest == '\\' {
		a.rest = 0
	} else if p > start && b[p-1] == '\\' && a.rest != 0 { // of an escaped quote
		p--
	}
	for p > start && strings.IndexByte(",;", b[p-1]) >= 0 {
		a.rest = b[p-1]
		p--
	}
	if n := nextField(b[start:p]); n > 0 {
		p, a.rest = start+n, '&'
	}
	if hasAny(b[start:p], "-") && inExpansion(b, a.nameStart) { // ${NAME:-default}
		start++
	}
	if n := bytes.IndexByte(b[start:p], '}'); n > 0 && inExpansion(b, a.nameStart) {
		p, a.rest = start+n, '&'
	}
	if p > start && (b[p-1] == '}' || b[p-1] == ']') && inFlow(b, a.nameStart) { // {user: me, password: secret}
		for p > start && (b[p-1] == '}' || b[p-1] == ']') {
			p--
		}
		a.rest = '}'
	}
	a.start, a.end = start, p
	if a.rest == ' ' && b[start-1] == ' ' {
		next := skipBlanks(b, p, len(b))
		a.loose = next < len(b) && strings.IndexByte("\r\n#/;,\\|&)}]", b[next]) < 0
	}
	return a, p > start
}

// endsLine reports whether the end of a line is written at b[p] as it is in a string.
func endsLine(b []byte, p int) bool {
	return b[p] == '\\' && p+1 < len(b) && (b[p+1] == 'n' || b[p+1] == 'r')
}

// nextField returns where in a value without quotes the next field of a query or connection string starts, with its
// separator, or -1: in "a&user=b" it is 1.
func nextField(v []byte) int {
	for i, c := range v {
		if c != '&' && c != ';' || i == 0 {
			continue
		}
		rest := bytes.TrimPrefix(v[i+1:], []byte("amp;"))
		n := 0
		for n < len(rest) && (isNameByte(rest[n]) || rest[n] == '.') {
			n++
		}
		if n > 0 && n < len(rest) && rest[n] == '=' || c == ';' && n > 0 && n == len(rest) {
			return i
		}
	}
	return -1
}

// inFlow reports whether a name stands in braces that are opened on its line.
func inFlow(b []byte, nameStart int) bool {
	for p := nameStart; p > 0 && nameStart-p < nameBefore/2; p-- {
		switch b[p-1] {
		case '{':
			return p < 2 || b[p-2] != '$' && b[p-2] != '{'
		case '}', '\n':
			return false
		}
	}
	return false
}

// inExpansion reports whether a name is that of a variable in ${NAME:default}.
func inExpansion(b []byte, nameStart int) bool {
	p := pathBefore(b, nameStart)
	return p > 0 && b[p-1] == '{' && (p > 1 && (b[p-2] == '$' || b[p-2] == '#') || p < nameStart && b[p] == '$')
}

// endsBare holds the bytes that end a value without quotes.
var endsBare = func() (t [256]bool) {
	for c := range ' ' + 1 {
		t[c] = true
	}
	for _, c := range []byte("\"'`<>") {
		t[c] = true
	}
	return t
}()
