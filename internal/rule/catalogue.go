package rule

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"magpie"
)

// A catalogue is rules in the form in which a program carries them: parsed, checked and analysed once, by whoever wrote
// it, so that reading thousands takes a few milliseconds. The first line names the fields, each further line is a rule;
// fields are separated by tabs, the items of a list by listSeparator and, where an item has parts, those by partSeparator.
// Examples are left out.
//
// In a field a backslash begins an escape: \\, \t, \n and \r are what they are in Go, \s and \p are the separators of items
// and parts, \e is an item or part that is empty.
const (
	listSeparator = "\x1f"
	partSeparator = "\x1e"
)

// field is one column of a catalogue: how a rule's part is written and how it is read.
type field struct {
	name string
	put  func(r *Rule) string
	take func(r *Rule, text string) error
}

// catalogueFields is everything that a catalogue says about a rule, in the order of the columns.
var catalogueFields = []field{
	text("id", func(r *Rule) *magpie.RuleID { return &r.ID }),
	text("source", func(r *Rule) *string { return &r.Source }),
	text("vendor", func(r *Rule) *string { return &r.Vendor }),
	text("title", func(r *Rule) *string { return &r.Title }),
	text("category", func(r *Rule) *string { return &r.Category }),
	text("severity", func(r *Rule) *magpie.Severity { return &r.Severity }),
	text("confidence", func(r *Rule) *magpie.Confidence { return &r.Confidence }),
	text("description", func(r *Rule) *string { return &r.Description }),
	text("remediation", func(r *Rule) *string { return &r.Remediation }),
	list("references", func(r *Rule) *[]string { return &r.References }),
	text("since", func(r *Rule) *string { return &r.Since }),
	list("literals", func(r *Rule) *[]string { return &r.Literals }),
	list("keywords", func(r *Rule) *[]string { return &r.Keywords }),
	text("pattern", func(r *Rule) *string { return &r.Pattern }),
	text("value", func(r *Rule) *string { return &r.Value }),
	text("name", func(r *Rule) *string { return &r.Name }),
	number("near", func(r *Rule) *int { return &r.Near }),
	number("window.before", func(r *Rule) *int { return &r.Window.Before }),
	number("window.after", func(r *Rule) *int { return &r.Window.After }),
	amount("entropy", func(r *Rule) *float64 { return &r.Filters.Entropy }),
	list("require", func(r *Rule) *[]string { return &r.Filters.Require }),
	list("stopwords", func(r *Rule) *[]string { return &r.Filters.Stopwords }),
	marked("allow", func(r *Rule) *[]string { return &r.Filters.Allow }),
	list("paths", func(r *Rule) *[]string { return &r.Filters.Paths }),
	text("shape", func(r *Rule) *string { return &r.Filters.Shape }),
	flag("placeholders", func(r *Rule) *bool { return &r.Filters.Placeholders }),
	text("check", func(r *Rule) *string { return &r.Check }),
	flag("generic", func(r *Rule) *bool { return &r.Generic }),
	ofProbe(list("verify.prefixes", func(r *Rule) *[]string { return &r.Probe.Prefixes })),
	ofProbe(text("verify.method", func(r *Rule) *string { return &r.Probe.Method })),
	ofProbe(text("verify.url", func(r *Rule) *string { return &r.Probe.URL })),
	ofProbe(headers("verify.headers", func(r *Rule) *map[string]string { return &r.Probe.Headers })),
	ofProbe(text("verify.basic", func(r *Rule) *string { return &r.Probe.Basic })),
	ofProbe(text("verify.body", func(r *Rule) *string { return &r.Probe.Body })),
	ofProbe(answers("verify.valid", func(r *Rule) *[]Answer { return &r.Probe.Valid })),
	ofProbe(answers("verify.invalid", func(r *Rule) *[]Answer { return &r.Probe.Invalid })),
	number("secret", func(r *Rule) *int { return &r.secret }),
	number("offset", func(r *Rule) *int { return &r.offset }),
	flag("edge", func(r *Rule) *bool { return &r.edge }),
	text("must", func(r *Rule) *string { return &r.must }),
	tails("tails"),
	number("shortest", func(r *Rule) *int { return &r.shortest }),
}

// WriteCatalogue writes rules in the form that ReadCatalogue reads.
func WriteCatalogue(w io.Writer, rules []*Rule) error {
	var b strings.Builder
	b.WriteString(catalogueHeader())
	for _, r := range rules {
		b.WriteByte('\n')
		for i, f := range catalogueFields {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(f.put(r))
		}
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func catalogueHeader() string {
	names := make([]string, len(catalogueFields))
	for i, f := range catalogueFields {
		names[i] = f.name
	}
	return strings.Join(names, "\t")
}

// ReadCatalogue returns the rules of a catalogue, in its order and without examples. They keep slices of the text. What
// Parse proved of a rule is not proved again: a text that WriteCatalogue did not write may give rules whose expressions
// do not compile. Whatever is no catalogue gives no rules and an error that names the line.
func ReadCatalogue(catalogue string) ([]*Rule, error) {
	header, rest, ok := strings.Cut(catalogue, "\n")
	if !ok || header != catalogueHeader() {
		return nil, magpie.Errorf(magpie.KindInvalid, "line 1 of the catalogue does not name the fields that this version has")
	}
	n := strings.Count(rest, "\n")
	backing, rules := make([]Rule, n), make([]*Rule, n)
	for i := range rules {
		line, more, _ := strings.Cut(rest, "\n")
		if err := backing[i].read(line); err != nil {
			return nil, magpie.Errorf(magpie.KindInvalid, "line %d of the catalogue: %s", i+2, err)
		}
		rules[i], rest = &backing[i], more
	}
	if rest != "" {
		return nil, magpie.Errorf(magpie.KindInvalid, "line %d of the catalogue is cut off", n+2)
	}
	return rules, nil
}

// read sets a rule from its line.
func (r *Rule) read(line string) error {
	if n := 1 + strings.Count(line, "\t"); n != len(catalogueFields) {
		return fmt.Errorf("it has %d fields instead of %d", n, len(catalogueFields))
	}
	for i := range catalogueFields {
		f := &catalogueFields[i]
		s, rest, _ := strings.Cut(line, "\t")
		if s != "" {
			if err := f.take(r, s); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		line = rest
	}
	return r.bind()
}

// bind finds the functions that a rule names.
func (r *Rule) bind() error {
	if r.Check != "" {
		if r.check = checks[r.Check]; r.check == nil {
			return fmt.Errorf("check: there is none called %q", r.Check)
		}
	}
	for _, name := range r.Filters.Require {
		c := classes[name]
		if c == nil {
			return fmt.Errorf("require: no character class is called %q", name)
		}
		r.require = append(r.require, c)
	}
	return nil
}

// The kinds of fields. Each is made from a function that says where in a rule the part is, which serves both directions.
// An empty text stands for the zero value of each.

func text[S ~string](name string, at func(*Rule) *S) field {
	return field{
		name,
		func(r *Rule) string { return escape(string(*at(r))) },
		func(r *Rule, s string) (err error) {
			s, err = unescape(s)
			*at(r) = S(s)
			return err
		},
	}
}

func list(name string, at func(*Rule) *[]string) field {
	return field{
		name,
		func(r *Rule) string { return joinParts(*at(r), listSeparator) },
		func(r *Rule, s string) (err error) {
			*at(r), err = splitParts(s, listSeparator)
			return err
		},
	}
}

// marked is a list of texts that scanners would take for secrets. In the middle of each stands the Marker.
func marked(name string, at func(*Rule) *[]string) field {
	return field{
		name,
		func(r *Rule) string {
			items := make([]string, len(*at(r)))
			for i, s := range *at(r) {
				items[i] = s[:len(s)/2] + Marker + s[len(s)/2:]
			}
			return joinParts(items, listSeparator)
		},
		func(r *Rule, s string) error {
			items, err := splitParts(s, listSeparator)
			for i, s := range items {
				half := max(0, len(s)-len(Marker)) / 2
				if !strings.HasPrefix(s[half:], Marker) {
					return fmt.Errorf("there is no %s in the middle of item %d", Marker, i+1)
				}
				items[i] = s[:half] + s[half+len(Marker):]
			}
			*at(r) = items
			return err
		},
	}
}

func number(name string, at func(*Rule) *int) field {
	return field{
		name,
		func(r *Rule) string {
			if *at(r) == 0 {
				return ""
			}
			return strconv.Itoa(*at(r))
		},
		func(r *Rule, s string) (err error) {
			*at(r), err = strconv.Atoi(s)
			return err
		},
	}
}

func amount(name string, at func(*Rule) *float64) field {
	return field{
		name,
		func(r *Rule) string {
			if *at(r) == 0 {
				return ""
			}
			return strconv.FormatFloat(*at(r), 'g', -1, 64)
		},
		func(r *Rule, s string) (err error) {
			*at(r), err = strconv.ParseFloat(s, 64)
			return err
		},
	}
}

func flag(name string, at func(*Rule) *bool) field {
	return field{
		name,
		func(r *Rule) string {
			if *at(r) {
				return name
			}
			return ""
		},
		func(r *Rule, s string) error {
			if *at(r) = s == name; s != name {
				return fmt.Errorf("%q is neither the field's name nor empty", s)
			}
			return nil
		},
	}
}

func headers(name string, at func(*Rule) *map[string]string) field {
	return field{
		name,
		func(r *Rule) string {
			var rows [][]string
			for _, k := range slices.Sorted(maps.Keys(*at(r))) {
				rows = append(rows, []string{k, (*at(r))[k]})
			}
			return joinRows(rows)
		},
		func(r *Rule, s string) error {
			rows, err := splitRows(s)
			all := make(map[string]string, len(rows))
			for _, row := range rows {
				if len(row) != 2 {
					return fmt.Errorf("a header has %d parts instead of name and value", len(row))
				}
				all[row[0]] = row[1]
			}
			*at(r) = all
			return err
		},
	}
}

func answers(name string, at func(*Rule) *[]Answer) field {
	return field{
		name,
		func(r *Rule) string {
			var rows [][]string
			for _, a := range *at(r) {
				rows = append(rows, append([]string{strconv.Itoa(a.Status), a.Field, a.Contains, a.Header}, a.Equals...))
			}
			return joinRows(rows)
		},
		func(r *Rule, s string) error {
			rows, err := splitRows(s)
			all := make([]Answer, len(rows))
			for i, row := range rows {
				if len(row) < 4 {
					return fmt.Errorf("an answer has %d parts instead of 4 or more", len(row))
				}
				status, err := strconv.Atoi(row[0])
				if err != nil {
					return err
				}
				all[i] = Answer{Status: status, Field: row[1], Contains: row[2], Header: row[3]}
				if len(row) > 4 {
					all[i].Equals = row[4:]
				}
			}
			*at(r) = all
			return err
		},
	}
}

// tails is what follows the anchors.
func tails(name string) field {
	known := new(sync.Map)
	return field{
		name,
		func(r *Rule) string {
			items := make([]string, len(r.tails))
			for i, t := range r.tails {
				items[i] = t.String()
			}
			if strings.Join(items, "") == "" {
				return ""
			}
			return joinParts(items, listSeparator)
		},
		func(r *Rule, s string) error {
			items, err := splitParts(s, listSeparator)
			if err != nil {
				return err
			}
			r.tails = make([]Tail, len(items))
			for i, item := range items {
				if r.tails[i], err = parseTail(item, known); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// ofProbe makes f a field of the rule's probe, which is there if any of its fields is.
func ofProbe(f field) field {
	return field{
		f.name,
		func(r *Rule) string {
			if r.Probe == nil {
				return ""
			}
			return f.put(r)
		},
		func(r *Rule, s string) error {
			if r.Probe == nil {
				r.Probe = new(Probe)
			}
			return f.take(r, s)
		},
	}
}

func joinRows(rows [][]string) string {
	items := make([]string, len(rows))
	for i, row := range rows {
		items[i] = joinParts(row, partSeparator)
	}
	return strings.Join(items, listSeparator)
}

func splitRows(s string) ([][]string, error) {
	rows := make([][]string, 0, 1+strings.Count(s, listSeparator))
	for item := range strings.SplitSeq(s, listSeparator) {
		row, err := splitParts(item, partSeparator)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func joinParts(items []string, separator string) string {
	escaped := make([]string, len(items))
	for i, s := range items {
		if escaped[i] = escape(s); s == "" {
			escaped[i] = `\e`
		}
	}
	return strings.Join(escaped, separator)
}

func splitParts(s, separator string) ([]string, error) {
	items := make([]string, 0, 1+strings.Count(s, separator))
	for {
		item, rest, more := strings.Cut(s, separator)
		item, err := unescape(item)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if !more {
			return items, nil
		}
		s = rest
	}
}

var escaper = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, listSeparator, `\s`, partSeparator, `\p`)

func escape(s string) string { return escaper.Replace(s) }

// unescape returns s as it was before escape. Most texts have no escapes and cost no copy.
func unescape(s string) (string, error) {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		b.WriteString(s[:i])
		if i+1 == len(s) {
			return "", fmt.Errorf("the text ends within an escape")
		}
		switch s[i+1] {
		case '\\':
			b.WriteByte('\\')
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 's':
			b.WriteString(listSeparator)
		case 'p':
			b.WriteString(partSeparator)
		case 'e':
		default:
			return "", fmt.Errorf(`there is no escape \%c`, s[i+1])
		}
		s = s[i+2:]
	}
	b.WriteString(s)
	return b.String(), nil
}
