package app

import (
	"net/http/httptest"
	"testing"
)

func TestClientAddr(t *testing.T) {
	addr := clientAddr([]string{"10.2.0.0/24", "127.0.0.1"})
	tests := []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"no proxy", "203.0.113.9:1234", nil, "203.0.113.9"},
		{"a stranger's header is not believed", "203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9"},
		{"one proxy", "127.0.0.1:1234", []string{"198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "127.0.0.1:1234", []string{"198.51.100.1, 10.2.0.7"}, "198.51.100.1"},
		{"what the client wrote itself does not count", "127.0.0.1:1234", []string{"192.0.2.1, 198.51.100.1"}, "198.51.100.1"},
		{"several headers", "127.0.0.1:1234", []string{"192.0.2.1", "198.51.100.1"}, "198.51.100.1"},
		{"nonsense in the header", "127.0.0.1:1234", []string{"unknown"}, "127.0.0.1"},
		{"IPv6", "[2001:db8::1]:1234", nil, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:1234", []string{"198.51.100.1"}, "198.51.100.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.remote
			for _, f := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if got := addr(r); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
