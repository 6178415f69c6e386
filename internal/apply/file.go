package apply

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"magpie"
)

// File is what a declarative file says.
type File struct {
	Name         string        `toml:"-"`
	Integrations []Integration `toml:"integration"`

	lines map[string]int // of each table and key, for errors
}

// Integration is a connection to a Bitbucket. It is found again by URL, Mode and, where given, User.
type Integration struct {
	URL          string     `toml:"url"`           // scheme, host and, where the instance has one, context path
	Mode         string     `toml:"mode"`          // "instance": everything; "project": certain projects. Default: instance
	User         string     `toml:"user"`          // name of the token's owner; needed only if several in mode project share a URL
	TokenFile    string     `toml:"token_file"`    // file with the access token, relative to the file's own folder; either this
	TokenEnv     string     `toml:"token_env"`     // or the environment variable with the access token
	TokenExpires *time.Time `toml:"token_expires"` // a date or time; default: as it is
	Autoscan     *bool      `toml:"autoscan"`      // scan the history of each repository added; default: true
	AutoMonitor  *bool      `toml:"auto_monitor"`  // monitor every repository that is not ignored, also those to come; default: true
	Projects     []Project  `toml:"project"`

	at string // where it stands, such as "integration.0"
}

// Project is a project of an integration.
type Project struct {
	Key         string   `toml:"key"`
	Installed   *bool    `toml:"installed"`    // in mode project: whether it is monitored; default: true
	AutoMonitor string   `toml:"auto_monitor"` // "on", "off" or "inherit", which is the default: as the integration says
	Insights    bool     `toml:"insights"`     // report leaks on the commits of open pull requests; default: false
	Monitor     []string `toml:"monitor"`      // repositories that are monitored whatever auto_monitor says, as patterns such as "PAY/core-*"
	Ignore      []string `toml:"ignore"`       // repositories that are not monitored; goes before monitor

	at string
}

func (i Integration) autoscan() bool    { return i.Autoscan == nil || *i.Autoscan }
func (i Integration) autoMonitor() bool { return i.AutoMonitor == nil || *i.AutoMonitor }
func (p Project) installed() bool       { return p.Installed == nil || *p.Installed }

// restricts reports whether something of the project is not to be monitored.
func (p Project) restricts() bool { return p.AutoMonitor == "off" || len(p.Ignore) > 0 }

// project returns what the file says about a project.
func (i Integration) project(key string) (Project, bool) {
	n := slices.IndexFunc(i.Projects, func(p Project) bool { return strings.EqualFold(p.Key, key) })
	if n < 0 {
		return Project{}, false
	}
	return i.Projects[n], true
}

// Read reads and checks a file. The error holds every problem that was found, each with its line.
func Read(name string) (*File, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, &magpie.Error{Kind: magpie.KindInvalid, Message: "the file can't be read", Err: err}
	}
	return Parse(name, string(raw))
}

// Parse is Read for a text.
func Parse(name, text string) (*File, error) {
	f := &File{Name: name, lines: keyLines(text)}
	meta, err := toml.Decode(text, f)
	if err != nil {
		return nil, f.syntax(err)
	}
	var problems []error
	tables := map[string]bool{}
	for _, key := range meta.Undecoded() {
		tables[key.String()] = true
		if !tables[key[:len(key)-1].String()] { // what is in an unknown table is not told again
			problems = append(problems, f.unknown(key))
		}
	}
	for n := range f.Integrations {
		i := &f.Integrations[n]
		i.at = fmt.Sprintf("integration.%d", n)
		problems = append(problems, f.checkIntegration(i)...)
	}
	problems = append(problems, f.checkDuplicates()...)
	if len(f.Integrations) == 0 && len(problems) == 0 {
		problems = append(problems, &magpie.Error{Kind: magpie.KindInvalid, Message: name + ": the file names no [[integration]]"})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return f, nil
}

// problem returns an error about a key, or about the table itself if the key is empty.
func (f *File) problem(at, key, message, hint string) error {
	line := f.lines[at]
	if l, ok := f.lines[at+"."+key]; ok {
		line = l
	}
	where := fmt.Sprintf("%s:%d: ", f.Name, line)
	if key != "" {
		where += key + ": "
	}
	return &magpie.Error{Kind: magpie.KindInvalid, Message: where + message, Hint: hint}
}

// syntax turns the decoder's error into ours. Its text is not used where it could repeat a token.
func (f *File) syntax(err error) error {
	line, key, message := 0, "", err.Error()
	if parse, ok := errors.AsType[toml.ParseError](err); ok {
		line, key, message = parse.Position.Line, parse.LastKey, parse.Message
	} else if parts := typeError.FindStringSubmatch(message); parts != nil {
		line, _ = strconv.Atoi(parts[1])
		key, message = parts[2], parts[3]
	}
	if strings.Contains(strings.ToLower(key), "token") && !strings.HasPrefix(message, "incompatible types") {
		message = "this line is not well formed"
	}
	return &magpie.Error{Kind: magpie.KindInvalid, Message: fmt.Sprintf("%s:%d: %s", f.Name, line, message)}
}

// typeError is the decoder's text for a value of the wrong type, which has no structure.
var typeError = regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]*)"\): (.*)$`)

// unknown is an error about a key that means nothing, or should not be there. Keys of tables in lists come without their
// number, so the first line that has it is named.
func (f *File) unknown(key toml.Key) error {
	last, line := key[len(key)-1], 0
	for at, l := range f.lines {
		if plainPath(at) == strings.Join(key, ".") && (line == 0 || l < line) {
			line = l
		}
	}
	message, hint := "there is no such key", ""
	if last == "token" {
		message = "an access token must not stand in this file"
		hint = "put it into a file of its own and name that with token_file, or name an environment variable with token_env; if the file was shared, revoke the token"
	}
	return &magpie.Error{Kind: magpie.KindInvalid, Message: fmt.Sprintf("%s:%d: %s: %s", f.Name, line, last, message), Hint: hint}
}

func (f *File) checkIntegration(i *Integration) (problems []error) {
	bad := func(key, message, hint string) { problems = append(problems, f.problem(i.at, key, message, hint)) }
	if address, err := normalise(i.URL); err != nil {
		bad("url", err.Error(), "write scheme and host, such as https://bitbucket.example.com")
	} else {
		i.URL = address
	}
	switch i.Mode {
	case "":
		i.Mode = string(magpie.ModeInstance)
	case string(magpie.ModeInstance), string(magpie.ModeProject):
	default:
		bad("mode", fmt.Sprintf("%q is not a way to integrate", i.Mode), "write instance or project")
	}
	if (i.TokenFile == "") == (i.TokenEnv == "") {
		bad("", "it must say where its access token is", "with either token_file or token_env")
	}
	if i.TokenExpires != nil {
		utc := asUTC(*i.TokenExpires)
		i.TokenExpires = &utc
	}
	for n := range i.Projects {
		p := &i.Projects[n]
		p.at = fmt.Sprintf("%s.project.%d", i.at, n)
		problems = append(problems, f.checkProject(*i, p)...)
	}
	return problems
}

func (f *File) checkProject(i Integration, p *Project) (problems []error) {
	bad := func(key, message, hint string) { problems = append(problems, f.problem(p.at, key, message, hint)) }
	if p.Key == "" {
		bad("key", "it is missing", "write the project's key, such as PAY")
	}
	if first, _ := i.project(p.Key); p.Key != "" && first.at != p.at {
		bad("key", "project "+p.Key+" is there twice", "")
	}
	if p.Installed != nil && i.Mode != string(magpie.ModeProject) {
		bad("installed", "it means something only in mode project", `leave it out, or write auto_monitor = "off" and ignore = ["*"]`)
	}
	switch p.AutoMonitor {
	case "":
		p.AutoMonitor = "inherit"
	case "on", "off", "inherit":
	default:
		bad("auto_monitor", fmt.Sprintf("%q is no default for new repositories", p.AutoMonitor), "write on, off or inherit")
	}
	for key, patterns := range map[string][]string{"monitor": p.Monitor, "ignore": p.Ignore} {
		for _, pattern := range patterns {
			if message := checkPattern(p.Key, pattern); message != "" {
				bad(key, message, "write a repository as "+p.Key+"/slug or slug; * stands for any text, ? for one character")
			}
		}
	}
	return problems
}

func checkPattern(key, pattern string) string {
	project, slug, qualified := strings.Cut(pattern, "/")
	_, err := path.Match(pattern, "")
	switch {
	case err != nil, pattern == "", qualified && (slug == "" || strings.Contains(slug, "/")):
		return fmt.Sprintf("%q is not a pattern for repositories", pattern)
	case qualified && !strings.EqualFold(project, key):
		return fmt.Sprintf("%q is not in project %s", pattern, key)
	}
	return ""
}

// matches reports whether one of the patterns means the repository.
func matches(patterns []string, slug string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if _, after, qualified := strings.Cut(pattern, "/"); qualified {
			pattern = after
		}
		ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(slug))
		return ok
	})
}

func (f *File) checkDuplicates() (problems []error) {
	seen := map[string]string{}
	for _, i := range f.Integrations {
		// As a whole, an instance can be watched once, whoever's token it is.
		id := i.URL + " " + i.Mode
		if i.Mode == string(magpie.ModeProject) {
			id += " " + i.User
		}
		if _, twice := seen[id]; twice {
			problems = append(problems, f.problem(i.at, "url", "this integration is there twice", "in mode project, tell several apart by user, the name of each token's owner"))
		}
		seen[id] = i.at
	}
	return problems
}

// normalise returns an address in the form in which the server tells it.
func normalise(address string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case address == "":
		return "", errors.New("it is missing")
	case err != nil || u.Host == "":
		return "", errors.New("this is not an address")
	case !strings.EqualFold(u.Scheme, "https"):
		return "", errors.New("it must start with https")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("it must have no credentials and no query")
	}
	return "https://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443") + strings.TrimRight(u.Path, "/"), nil
}

// asUTC takes a date or time without zone for one of UTC, whatever the zone of the machine that reads it.
func asUTC(t time.Time) time.Time {
	switch t.Location().String() {
	case "date-local", "datetime-local":
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	}
	return t.UTC()
}

// variable is what names of environment variables look like, and tokens don't.
var variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// token reads an integration's access token.
func (f *File) token(i Integration, environ func(string) string) (magpie.Secret, error) {
	if i.TokenEnv != "" {
		text := strings.TrimSpace(environ(i.TokenEnv))
		if text == "" && !variable.MatchString(i.TokenEnv) { // and may be the token itself
			return magpie.Secret{}, f.problem(i.at, "token_env", "this is not the name of an environment variable that is set", "a name such as BITBUCKET_TOKEN belongs here, and the token into the variable")
		}
		if text == "" {
			return magpie.Secret{}, f.problem(i.at, "token_env", "the environment variable "+i.TokenEnv+" is not set", "")
		}
		return magpie.NewSecret(text), nil
	}
	name := i.TokenFile
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(f.Name), name)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return magpie.Secret{}, f.problem(i.at, "token_file", "the file with the access token can't be read: "+cause(err), "")
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return magpie.Secret{}, f.problem(i.at, "token_file", "the file with the access token is empty", "")
	}
	return magpie.NewSecret(text), nil
}

// cause is an error of the file system without the path, which the reader has before them.
func cause(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// keyLines finds the line of each table and key by a look at the text that is good enough for error messages: keys are
// named as "integration.0.project.1.key".
func keyLines(text string) map[string]int {
	lines, counts, table := map[string]int{}, map[string]int{}, ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		switch name, found := strings.CutPrefix(line, "[["); {
		case found:
			name, _, _ = strings.Cut(name, "]]")
			table = tablePath(strings.TrimSpace(name), counts)
			lines[table] = number
		case strings.HasPrefix(line, "["):
			name, _, _ := strings.Cut(line[1:], "]")
			table = strings.TrimSpace(name)
			lines[table] = number
		default:
			key, _, isKey := strings.Cut(line, "=")
			if key = strings.Trim(strings.TrimSpace(key), `"'`); !isKey || key == "" || strings.HasPrefix(key, "#") {
				continue
			}
			at := strings.TrimPrefix(table+"."+key, ".")
			if _, twice := lines[at]; !twice {
				lines[at] = number
			}
		}
	}
	return lines
}

// tablePath numbers a table of a list: the innermost list grows, the others are at their last.
func tablePath(name string, counts map[string]int) string {
	parts, at := strings.Split(name, "."), ""
	for n, part := range parts {
		at = strings.TrimPrefix(at+"."+strings.TrimSpace(part), ".")
		if n == len(parts)-1 {
			counts[at]++
		}
		at = fmt.Sprintf("%s.%d", at, max(counts[at]-1, 0))
	}
	return at
}

// plainPath is a path without the numbers.
func plainPath(at string) string {
	parts := slices.DeleteFunc(strings.Split(at, "."), func(part string) bool { return part != "" && strings.Trim(part, "0123456789") == "" })
	return strings.Join(parts, ".")
}
