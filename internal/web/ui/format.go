package ui

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"magpie"
)

// timestamp is a time and the moment at which the page is made.
type timestamp struct {
	time.Time
	now time.Time
}

// at pairs a time with the page's moment.
func at(t, now time.Time) timestamp { return timestamp{t, now} }

// Machine returns the time for machines.
func (t timestamp) Machine() string { return t.UTC().Format(time.RFC3339) }

// Exact returns the time in full.
func (t timestamp) Exact() string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// Ago returns the time as people say it.
func (t timestamp) Ago() string {
	d := t.now.Sub(t.Time)
	switch {
	case d < 0:
		return t.UTC().Format("2 Jan 2006")
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	case d < 14*24*time.Hour:
		return plural(int64(d.Hours()/24), "day") + " ago"
	default:
		return t.UTC().Format("2 Jan 2006")
	}
}

// took returns a duration for people.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// every returns a rhythm as it follows the word: "15 minutes" or "hour".
func every(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch {
		case d == unit.length:
			return unit.name
		case d >= unit.length && d%unit.length == 0:
			return plural(int64(d/unit.length), unit.name)
		}
	}
	return d.String()
}

// number returns n with thin groups: 12 345.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// byteSize returns a size in decimal units.
func byteSize(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n), 0
	for value >= 999.5 && unit < 5 {
		value /= 1000
		unit++
	}
	format := "%.1f %s"
	if value >= 100 {
		format = "%.0f %s"
	}
	return fmt.Sprintf(format, value, []string{"B", "kB", "MB", "GB", "TB", "PB"}[unit])
}

// plural returns "1 thing" or "n things".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok && !strings.HasSuffix(stem, "a") {
		return number(n) + " " + stem + "ies"
	}
	return number(n) + " " + noun + "s"
}

func itoa(n int) string { return strconv.Itoa(n) }

func boolText(b bool) string { return strconv.FormatBool(b) }

// initials returns at most two letters for a person.
func initials(u magpie.User) string {
	name := u.Name
	if name == "" {
		name = u.Email
	}
	var out strings.Builder
	for i, word := range strings.Fields(name) {
		if r, _ := utf8.DecodeRuneInString(word); i < 2 && r != utf8.RuneError {
			out.WriteRune(r)
		}
	}
	return strings.ToUpper(out.String())
}

// personName returns what to call a user.
func personName(u magpie.User) string {
	if u.Name != "" {
		return u.Name
	}
	return u.Email
}

func cloneQuery(q url.Values) url.Values {
	c := url.Values{}
	for name, values := range q {
		c[name] = append([]string(nil), values...)
	}
	return c
}

// with returns the query with one parameter set, or removed if value is empty, and without a cursor.
func with(q url.Values, name, value string) url.Values {
	c := cloneQuery(q)
	c.Del("cursor")
	if value == "" {
		c.Del(name)
	} else {
		c.Set(name, value)
	}
	return c
}
