package app

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr returns a function that says who is asking: the address of the connection, or, if that is a trusted
// proxy, the last address in X-Forwarded-For that is not one. What stands before it was written by who is asking and
// can be anything. The entries have been checked by the configuration.
func clientAddr(trusted []string) func(*http.Request) string {
	var proxies []netip.Prefix
	for _, entry := range trusted {
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			proxies = append(proxies, prefix)
		} else if addr, err := netip.ParseAddr(entry); err == nil {
			proxies = append(proxies, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	isProxy := func(addr netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
	}
	return func(r *http.Request) string {
		connection, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		client := connection.Addr()
		forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, text := range slices.Backward(forwarded) {
			addr, err := netip.ParseAddr(strings.TrimSpace(text))
			if !isProxy(client) || err != nil {
				break
			}
			client = addr
		}
		return client.Unmap().String()
	}
}
