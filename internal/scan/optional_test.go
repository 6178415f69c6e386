package scan

import (
	"testing"
	"time"

	"magpie"
	"magpie/internal/git/smarthttp"
)

func TestMakesDo(t *testing.T) {
	alone := fetch{optional: []magpie.Hash{"a"}}
	more := fetch{optional: []magpie.Hash{"a"}, request: smarthttp.Request{Wants: []magpie.Hash{"b"}}}
	for _, tt := range []struct {
		name   string
		kind   magpie.Kind
		number int
		age    time.Duration
		f      fetch
		want   bool
	}{
		{"nothing may be gone", magpie.KindTooLarge, 9, 48 * time.Hour, fetch{}, false},
		{"the same every time", magpie.KindTooLarge, 1, 0, more, true},
		{"a short outage", magpie.KindUnavailable, 9, time.Minute, more, false},
		{"a first attempt after a long one", magpie.KindUnavailable, 1, 2 * time.Hour, more, false},
		{"the refs wait", magpie.KindUnavailable, 4, 2 * time.Hour, more, true},
		{"nothing else waits", magpie.KindUnavailable, 4, 2 * time.Hour, alone, false},
		{"nothing else waits, for a day", magpie.KindUnavailable, 4, 25 * time.Hour, alone, true},
		{"a refused token", magpie.KindTokenInvalid, 9, 48 * time.Hour, more, false},
		{"no licence", magpie.KindNoLicence, 9, 48 * time.Hour, more, false},
	} {
		tt.f.since = time.Now().Add(-tt.age)
		if got := makesDo(magpie.Errorf(tt.kind, "no"), tt.number, tt.f); got != tt.want {
			t.Errorf("%s: makes do = %t, want %t", tt.name, got, tt.want)
		}
	}
}
