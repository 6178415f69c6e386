package guard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"magpie"
)

// A rangeRule names the addresses in one prefix that a connection must not simply go to.
type rangeRule struct {
	prefix netip.Prefix
	name   string
	never  bool // can't be permitted by the operator
}

// rangeRules is the whole policy; the first matching rule decides, and an address without a rule is public. It is spelled
// out because netip's IsPrivate and friends miss shared, translated and metadata addresses.
var rangeRules = []rangeRule{
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local or cloud metadata", true},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata", true},
	{netip.MustParsePrefix("100.100.100.200/32"), "cloud metadata", true},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols", true}, // 192.0.0.192 is a metadata address
	{netip.MustParsePrefix("0.0.0.0/8"), "\"this host\"", true},
	{netip.MustParsePrefix("192.0.2.0/24"), "reserved for documentation", true},
	{netip.MustParsePrefix("198.51.100.0/24"), "reserved for documentation", true},
	{netip.MustParsePrefix("203.0.113.0/24"), "reserved for documentation", true},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay", true},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", true},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast", true},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", false},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", false},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", false},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", false},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared (carrier-grade NAT)", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved for benchmarks", false},

	{netip.MustParsePrefix("::1/128"), "loopback", false},
	{netip.MustParsePrefix("::/96"), "unspecified or IPv4-compatible", true},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64", false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64", true},
	{netip.MustParsePrefix("100::/64"), "discard-only", true},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols, Teredo among them", true},
	{netip.MustParsePrefix("2001:db8::/32"), "reserved for documentation", true},
	{netip.MustParsePrefix("2002::/16"), "6to4", true},
	{netip.MustParsePrefix("3fff::/20"), "reserved for documentation", true},
	{netip.MustParsePrefix("fd00:ec2::/32"), "cloud metadata", true},
	{netip.MustParsePrefix("fd20:ce::254/128"), "cloud metadata", true},
	{netip.MustParsePrefix("fc00::/7"), "private", false},
	{netip.MustParsePrefix("fe80::/10"), "link-local", true},
	{netip.MustParsePrefix("fec0::/10"), "site-local", true},
	{netip.MustParsePrefix("ff00::/8"), "multicast", true},
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Check reports whether a connection may go to addr, as nil or a *magpie.Error that says why not.
func (g *Guard) Check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	if nat64.Contains(addr) {
		// The translator will connect to the IPv4 address inside, so that one must be permitted too.
		b := addr.As16()
		if err := g.Check(netip.AddrFrom4([4]byte(b[12:]))); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(rangeRules, func(r rangeRule) bool { return r.prefix.Contains(addr) })
	if i < 0 {
		return nil
	}
	rule := rangeRules[i]
	if !rule.never && slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	return refusal(addr, rule)
}

func refusal(addr netip.Addr, rule rangeRule) error {
	e := &magpie.Error{
		Kind: magpie.KindInvalid, Field: "url",
		Message: fmt.Sprintf("connections to %s are not permitted: it is a %s address", addr, rule.name),
		Hint:    fmt.Sprintf("if this is where your server is, let the operator of Magpie add %s to %s", addr, allowSetting),
	}
	if rule.never {
		e.Hint = fmt.Sprintf("addresses of this kind are never connected to, whatever %s says", allowSetting)
	}
	return e
}

// namedRanges are the words ParseAllow understands.
var namedRanges = map[string][]netip.Prefix{
	"loopback": {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	"private": {
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
	},
}

// ParseAllow reads ranges for Options.AllowPrivate: prefixes such as 10.2.0.0/16, single addresses, and the words
// "private" (RFC 1918 and fc00::/7) and "loopback". An error is a *magpie.Error about the first entry that can't be read.
func ParseAllow(entries ...string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if named, ok := namedRanges[entry]; ok {
			prefixes = append(prefixes, named...)
			continue
		}
		if addr, err := netip.ParseAddr(entry); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, &magpie.Error{
				Kind: magpie.KindInvalid, Field: allowSetting,
				Message: fmt.Sprintf("%q is neither an address nor a range of addresses", entry),
				Hint:    "write ranges such as 10.2.0.0/16 or fd12::/32, single addresses, or the words private and loopback",
			}
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// normalise brings prefixes to the form that checked addresses have: without zone, IPv4 as IPv4.
func normalise(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}
