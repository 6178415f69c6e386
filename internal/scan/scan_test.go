package scan

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"magpie"
	"magpie/internal/store"
)

// hash makes a recognisable object id.
func hash(c byte) magpie.Hash {
	b := make([]byte, 40)
	for i := range b {
		b[i] = c
	}
	return magpie.Hash(b)
}

func scanned(ref string, h magpie.Hash) store.Tip {
	return store.Tip{Tip: magpie.Tip{Ref: ref, Hash: h}, ScannedAt: time.Unix(1, 0)}
}

func baseline(ref string, h magpie.Hash) store.Tip {
	return store.Tip{Tip: magpie.Tip{Ref: ref, Hash: h}}
}

func event(changes ...magpie.RefChange) []store.Delivery {
	return []store.Delivery{{Push: magpie.Push{Changes: changes}}}
}

func TestPlan(t *testing.T) {
	a, b, c, d := hash('a'), hash('b'), hash('c'), hash('d')
	zero := magpie.Hash("0000000000000000000000000000000000000000")
	main := func(h magpie.Hash) []magpie.Tip { return []magpie.Tip{{Ref: "refs/heads/main", Hash: h}} }
	tests := []struct {
		name       string
		known      []store.Tip
		now        []magpie.Tip
		deliveries []store.Delivery
		wants      []magpie.Hash
		haves      []magpie.Hash
		optional   []magpie.Hash
	}{
		{"nothing moved", []store.Tip{scanned("refs/heads/main", a)}, main(a), nil, nil, []magpie.Hash{a}, nil},
		{
			"an ordinary push",
			[]store.Tip{scanned("refs/heads/main", a)},
			main(b),
			event(magpie.RefChange{From: a, To: b}),
			[]magpie.Hash{b},
			[]magpie.Hash{a},
			nil,
		},
		{"a push that no event announced", []store.Tip{scanned("refs/heads/main", a)}, main(b), nil, []magpie.Hash{b}, []magpie.Hash{a}, nil},
		{
			"pushed and forced away before the look",
			[]store.Tip{scanned("refs/heads/main", a)},
			main(c),
			event(magpie.RefChange{From: a, To: b}, magpie.RefChange{From: b, To: c}),
			[]magpie.Hash{c},
			[]magpie.Hash{a},
			[]magpie.Hash{b},
		},
		{
			"forced away back to where it was",
			[]store.Tip{scanned("refs/heads/main", a)},
			main(a),
			event(magpie.RefChange{From: a, To: b}, magpie.RefChange{From: b, To: a}), nil,
			[]magpie.Hash{a},
			[]magpie.Hash{b},
		},
		{
			"a new branch at a known commit",
			[]store.Tip{scanned("refs/heads/main", a)},
			append(main(a), magpie.Tip{Ref: "refs/heads/new", Hash: a}), event(magpie.RefChange{From: zero, To: a}), nil,
			[]magpie.Hash{a},
			nil,
		},
		{
			"a deleted branch that was scanned",
			[]store.Tip{scanned("refs/heads/main", a), scanned("refs/heads/old", b)},
			main(a),
			event(magpie.RefChange{From: b, To: zero}), nil,
			[]magpie.Hash{a, b},
			nil,
		},
		{
			"a deleted branch that nobody looked at",
			[]store.Tip{scanned("refs/heads/main", a)},
			main(a),
			event(magpie.RefChange{From: d, To: zero}), nil,
			[]magpie.Hash{a},
			[]magpie.Hash{d},
		},
		{
			"a push on a baseline",
			[]store.Tip{baseline("refs/heads/main", a)},
			main(b),
			event(magpie.RefChange{From: a, To: b}),
			[]magpie.Hash{b},
			[]magpie.Hash{a},
			nil,
		},
		{
			"a push that came before the baseline was taken",
			[]store.Tip{baseline("refs/heads/main", b)},
			main(b),
			event(magpie.RefChange{From: a, To: b}), nil,
			[]magpie.Hash{a},
			[]magpie.Hash{b},
		},
		{"the first push to an empty repository", nil, main(a), event(magpie.RefChange{From: zero, To: a}), []magpie.Hash{a}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := plan(tt.known, tt.now, tt.deliveries)
			if diff := cmp.Diff(tt.wants, got.request.Wants); diff != "" {
				t.Errorf("wants (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.haves, got.request.Haves); diff != "" {
				t.Errorf("haves (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.optional, got.optional); diff != "" {
				t.Errorf("optional wants (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlanBeforeTheBaseline reads two events that came before the baseline was taken: only what stood before the first
// of them is had, so the push is not taken for the whole history.
func TestPlanBeforeTheBaseline(t *testing.T) {
	p, a1, a2 := hash('a'), hash('b'), hash('c')
	got := plan([]store.Tip{baseline("refs/heads/main", a2)}, []magpie.Tip{{Ref: "refs/heads/main", Hash: a2}}, []store.Delivery{
		{Push: magpie.Push{Changes: []magpie.RefChange{{From: p, To: a1}}}}, {Push: magpie.Push{Changes: []magpie.RefChange{{From: a1, To: a2}}}},
	})
	if diff := cmp.Diff([]magpie.Hash{p}, got.request.Haves); diff != "" {
		t.Errorf("haves (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]magpie.Hash{a1, a2}, got.optional); diff != "" {
		t.Errorf("optional wants (-want +got):\n%s", diff)
	}
}

func TestStorable(t *testing.T) {
	long := strings.Repeat("é", 3000)
	tests := []struct{ name, in, want string }{
		{"text stays", "café/x.env", "café/x.env"},
		{"bytes that are no text", "caf\xe9\x00", `caf\xE9\x00`},
	}
	for _, tt := range tests {
		if got := storable(tt.in); got != tt.want {
			t.Errorf("%s: storable(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
	if one, other := storable(long+"1"), storable(long+"2"); one == other || len(one) > maxName+40 || !utf8.ValidString(one) {
		t.Errorf("overlong names: %d bytes, equal %t, want short, different and text", len(one), one == other)
	}
}
