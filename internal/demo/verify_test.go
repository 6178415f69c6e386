package demo

import (
	"slices"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/mail/mailcatcher"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	const to = "owner@example.com"
	values := []magpie.Secret{magpie.NewSecret(strings.Repeat("ab", 20)), magpie.NewSecret(strings.Repeat("cd", 20))}
	place := func(n string) Place {
		return Place{Repo: "PRJ/" + n, File: "f", Commit: strings.Repeat(n, 40), Line: 3}
	}
	secrets := []Secret{
		{Rule: "r", Value: values[0], Places: []Place{place("a"), place("b")}},
		{Rule: "r", Value: values[1], Places: []Place{place("c")}},
	}
	about := func(number int, i incident) mailcatcher.Message {
		return mailcatcher.Message{
			Number: number, Text: "see " + i.URL + "\n", HTML: `<a href="` + i.URL + `">`, Envelope: mailcatcher.Envelope{To: []string{to}, TLS: true},
		}
	}
	// The second number begins with the first, as 12 does with 1.
	one := incident{ID: "1", Number: 1, URL: "http://h/incidents/1", Rule: "r", Masked: values[0].Masked(), Occurrences: 2}
	two := incident{ID: "2", Number: 12, URL: "http://h/incidents/12", Rule: "r", Masked: values[1].Masked(), Occurrences: 1}
	other := incident{ID: "3", Number: 3, URL: "http://h/incidents/3", Rule: "x", Masked: "zz", Occurrences: 0}
	insecure := about(2, two)
	insecure.Envelope.TLS = false
	all := map[string][]Place{"1": {place("b"), place("a")}, "2": {place("c")}}
	for _, tc := range []struct {
		name      string
		incidents []incident
		places    map[string][]Place
		mails     []mailcatcher.Message
		want      string // part of a problem; empty for none
	}{
		{"as planted", []incident{one, two}, all, []mailcatcher.Message{about(1, one), about(2, two)}, ""},
		{"incident missing", []incident{one}, all, []mailcatcher.Message{about(1, one)}, "missing"},
		{"incident doubled", []incident{one, two, two}, all, []mailcatcher.Message{about(1, one), about(2, two)}, "doubled"},
		{"incident invented", []incident{one, two, other}, all, []mailcatcher.Message{about(1, one), about(2, two), about(3, other)}, "invented"},
		{
			"occurrence missing",
			[]incident{one, two},
			map[string][]Place{"1": {place("a")}, "2": {place("c")}},
			[]mailcatcher.Message{about(1, one), about(2, two)},
			"occurrences at",
		},
		{
			"occurrence doubled",
			[]incident{one, two},
			map[string][]Place{"1": {place("a"), place("b"), place("b")}, "2": {place("c")}},
			[]mailcatcher.Message{about(1, one), about(2, two)},
			"occurrences at",
		},
		{"mail missing", []incident{one, two}, all, []mailcatcher.Message{about(2, two)}, "0 about incident 1,"},
		{"mail doubled", []incident{one, two}, all, []mailcatcher.Message{about(1, one), about(2, two), about(3, two)}, "2 about incident 12,"},
		{"mail about nothing", []incident{one, two}, all, []mailcatcher.Message{about(1, one), about(2, two), about(3, other)}, "about no incident"},
		{"mail without TLS", []incident{one, two}, all, []mailcatcher.Message{about(1, one), insecure}, "TLS false"},
	} {
		got := compare(secrets, tc.incidents, tc.places, tc.mails, to).Problems
		if tc.want == "" && len(got) > 0 || tc.want != "" && !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, tc.want) }) {
			t.Errorf("%s: problems %q, want one with %q", tc.name, got, tc.want)
		}
		for _, s := range secrets {
			if strings.Contains(strings.Join(got, " "), string(s.Value.Reveal())) {
				t.Errorf("%s: a problem holds a secret", tc.name)
			}
		}
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	kept, again := distinct([]mailcatcher.Message{{Number: 1, MessageID: "a"}, {Number: 2, MessageID: "b"}, {Number: 3, MessageID: "a"}, {Number: 4}, {Number: 5}})
	if len(kept) != 4 || again != 1 {
		t.Errorf("distinct keeps %d and drops %d, want 4 and 1: only the one with an id that came before", len(kept), again)
	}
}
