package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"magpie"
)

// FileEnv names the environment variable with the path of the TOML file.
const FileEnv = "MAGPIE_CONFIG"

const envPrefix = "MAGPIE_"

// Problems is everything that is wrong with a configuration, in the order of the settings. Each entry's Field is the
// name of the setting as the operator wrote it, or would.
type Problems []*magpie.Error

// Error implements error, one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, e := range p {
		lines[i] = e.Field + ": " + e.Message
		if e.Hint != "" {
			lines[i] += " (" + e.Hint + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, all of magpie.KindInvalid.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, e := range p {
		errs[i] = e
	}
	return errs
}

// Load reads the configuration from environ, which has the form of os.Environ, and from the TOML file at path. An empty
// path means the one that MAGPIE_CONFIG names, or none. The error is Problems unless the file could not be read.
func Load(path string, environ []string) (Config, error) {
	env := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			env[name] = value
		}
	}
	if path == "" {
		path = env[FileEnv]
	}
	var file map[string]any
	if path != "" {
		var err error
		if file, err = readFile(path); err != nil {
			return Config{}, err
		}
	}
	var c Config
	l := loader{env: env, file: flatten(file, "")}
	settings := settingsOf(&c)
	for _, s := range settings {
		l.fill(s)
	}
	l.unknownKeys(path)
	c.derive()
	l.problems = append(l.problems, c.check()...)
	if len(l.problems) > 0 {
		return Config{}, l.problems
	}
	return c, nil
}

// UnknownEnvironment returns the names in environ that begin with MAGPIE_ and are no setting, most likely typing
// errors. They are no error, since container platforms put variables of their own beside ours.
func UnknownEnvironment(environ []string) []string {
	known := map[string]bool{FileEnv: true}
	for _, s := range settingsOf(&Config{}) {
		known[s.env()] = true
		if s.secret {
			known[s.env()+"_FILE"] = true
		}
	}
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, envPrefix+"TEST_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

func readFile(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &magpie.Error{Kind: magpie.KindInvalid, Field: FileEnv, Message: "the configuration file " + path + " can't be read", Err: err}
	}
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		message := "it is not TOML"
		if parse, ok := errors.AsType[toml.ParseError](err); ok {
			// The parser's longer form would quote the line, which may hold a password.
			message = fmt.Sprintf("line %d is not TOML: %s", parse.Position.Line, parse.Message)
		}
		return nil, Problems{{Kind: magpie.KindInvalid, Field: path, Message: message}}
	}
	return tree, nil
}

// setting is one leaf of Config.
type setting struct {
	key    string // "mail.host"
	value  reflect.Value
	def    string
	secret bool // may be read from a file of its own, and is never shown
}

func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settingsOf lists the leaves of c, in the order of the struct.
func settingsOf(c *Config) []setting { return leaves(reflect.ValueOf(c).Elem(), "") }

func leaves(v reflect.Value, prefix string) []setting {
	var all []setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key := prefix + field.Tag.Get("toml")
		if field.Type == reflect.TypeFor[Mail]() || field.Type == reflect.TypeFor[Notify]() {
			all = append(all, leaves(v.Field(i), key+".")...)
			continue
		}
		all = append(all, setting{
			key: key, value: v.Field(i), def: field.Tag.Get("default"), secret: field.Tag.Get("secret") == "true",
		})
	}
	return all
}

// flatten turns nested tables into dotted keys.
func flatten(tree map[string]any, prefix string) map[string]any {
	flat := map[string]any{}
	for key, value := range tree {
		if table, ok := value.(map[string]any); ok {
			for k, v := range flatten(table, prefix+key+".") {
				flat[k] = v
			}
			continue
		}
		flat[prefix+key] = value
	}
	return flat
}

type loader struct {
	env      map[string]string
	file     map[string]any // by dotted key; what is used is taken out
	problems Problems
}

func (l *loader) problem(field, message, hint string) {
	l.problems = append(l.problems, &magpie.Error{Kind: magpie.KindInvalid, Field: field, Message: message, Hint: hint})
}

// fill sets one setting from the first place that has it: environment, environment's file, TOML, TOML's file, default.
func (l *loader) fill(s setting) {
	fromTOML, inTOML := l.take(s.key)
	pathTOML, inTOMLFile := any(nil), false
	if s.secret {
		pathTOML, inTOMLFile = l.take(s.key + "_file")
	}
	// An empty variable is one that somebody left blank in a unit file; it means the same as none.
	if text := l.env[s.env()]; text != "" {
		l.set(s, s.env(), text)
		return
	}
	if path := l.env[s.env()+"_FILE"]; s.secret && path != "" {
		l.setFromFile(s, s.env()+"_FILE", path)
		return
	}
	switch {
	case inTOML && inTOMLFile:
		l.problem(s.key, "both "+s.key+" and "+s.key+"_file are set", "keep one of them")
	case inTOML:
		l.setAny(s, fromTOML)
	case inTOMLFile:
		path, ok := pathTOML.(string)
		if !ok {
			l.problem(s.key+"_file", "it is not a path", "")
			return
		}
		l.setFromFile(s, s.key+"_file", path)
	default:
		l.set(s, s.env(), s.def)
	}
}

func (l *loader) take(key string) (any, bool) {
	value, ok := l.file[key]
	delete(l.file, key)
	return value, ok
}

// unknownKeys reports what nobody took from the file.
func (l *loader) unknownKeys(path string) {
	unknown := make([]string, 0, len(l.file))
	for key := range l.file {
		unknown = append(unknown, key)
	}
	slices.Sort(unknown)
	for _, key := range unknown {
		l.problem(key, "there is no such setting", "it stands in "+path+"; docs/config.md lists all settings")
	}
}

func (l *loader) setFromFile(s setting, field, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		reason := err
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			reason = pathErr.Err
		}
		l.problem(field, fmt.Sprintf("the file %s can't be read: %v", path, reason), "")
		return
	}
	l.set(s, field, strings.TrimRight(string(text), "\r\n"))
}

// setAny sets a value that TOML gave a type.
func (l *loader) setAny(s setting, value any) {
	switch value := value.(type) {
	case string:
		l.set(s, s.key, value)
	case int64:
		if s.value.Kind() == reflect.Int && s.value.Type() != reflect.TypeFor[time.Duration]() {
			s.value.SetInt(value)
			return
		}
		l.problem(s.key, "a number does not belong here", expected(s))
	case bool:
		if s.value.Kind() == reflect.Bool {
			s.value.SetBool(value)
			return
		}
		l.problem(s.key, "true or false does not belong here", expected(s))
	case []any:
		texts := make([]string, len(value))
		for i, v := range value {
			text, ok := v.(string)
			if !ok || s.value.Kind() != reflect.Slice {
				l.problem(s.key, "a list does not belong here", expected(s))
				return
			}
			texts[i] = text
		}
		s.value.Set(reflect.ValueOf(texts))
	default:
		l.problem(s.key, "this kind of value does not belong here", expected(s))
	}
}

// set parses text into the setting. Messages never repeat the text of a secret.
func (l *loader) set(s setting, field, text string) {
	switch target := s.value.Addr().Interface().(type) {
	case *string:
		*target = text
	case *magpie.Secret:
		*target = magpie.NewSecret(text)
	case *[]string:
		*target = splitList(text)
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			l.problem(field, fmt.Sprintf("%q is neither true nor false", text), expected(s))
		}
		*target = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			l.problem(field, fmt.Sprintf("%q is not a whole number", text), expected(s))
		}
		*target = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			l.problem(field, fmt.Sprintf("%q is not a duration", text), expected(s))
		}
		*target = d
	default:
		panic(fmt.Sprintf("config: %s has the type %T, which can't be read", s.key, target))
	}
}

// expected is the hint that says what a setting wants.
func expected(s setting) string {
	switch s.value.Interface().(type) {
	case time.Duration:
		return "write a number with a unit, such as 15m or 1h30m"
	case int:
		return "write a whole number"
	case bool:
		return "write true or false"
	case []string:
		return "write a list of texts, or one text with commas between"
	}
	return "write a text in quotes"
}

func splitList(text string) []string {
	var list []string
	for _, entry := range strings.Split(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list
}
