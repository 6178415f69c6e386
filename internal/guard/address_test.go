package guard

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"magpie"
)

// outcomes of checking an address, with the private and loopback ranges not permitted and permitted.
const (
	public  = "public"    // fine anyway
	private = "permitted" // fine once permitted
	never   = "never"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	allow, err := ParseAllow("private", "loopback", "100.64.0.0/10", "198.18.0.0/15", "64:ff9b::/96",
		// Asking for what is never permitted must not help.
		"169.254.0.0/16", "0.0.0.0/8", "fe80::/10", "fd00:ec2::/32", "224.0.0.0/4", "::/0", "0.0.0.0/0")
	if err != nil {
		t.Fatal(err)
	}
	closed, open := New(Options{}), New(Options{AllowPrivate: allow})
	for _, tc := range []struct{ addr, want string }{
		{"93.184.215.14", public},
		{"1.1.1.1", public},
		{"9.255.255.255", public},
		{"11.0.0.0", public},
		{"172.15.255.255", public},
		{"172.32.0.0", public},
		{"100.63.255.255", public},
		{"100.128.0.0", public},
		{"2606:4700::1111", public},
		{"::ffff:1.1.1.1", public},
		{"127.0.0.1", private},
		{"127.255.255.254", private},
		{"::1", private},
		{"::ffff:127.0.0.1", private},
		{"10.0.0.1", private},
		{"172.16.0.1", private},
		{"172.31.255.255", private},
		{"192.168.1.1", private},
		{"::ffff:10.1.2.3", private},
		{"100.64.0.1", private},
		{"100.127.255.255", private},
		{"198.18.0.1", private},
		{"fc00::1", private},
		{"fd12:3456::1", private},
		{"64:ff9b::101:101", private},
		{"64:ff9b::a00:1", private},
		{"64:ff9b::a9fe:a9fe", never}, // 169.254.169.254 behind a translator
		{"64:ff9b:1::a00:1", never},
		{"169.254.169.254", never},
		{"169.254.0.1", never},
		{"::ffff:169.254.169.254", never},
		{"::ffff:a9fe:a9fe", never},
		{"168.63.129.16", never},
		{"100.100.100.200", never},
		{"192.0.0.192", never},
		{"fd00:ec2::254", never},
		{"fd20:ce::254", never},
		{"0.0.0.0", never},
		{"0.1.2.3", never},
		{"::ffff:0.0.0.0", never},
		{"::", never},
		{"::7f00:1", never}, // IPv4-compatible
		{"fe80::1", never},
		{"fe80::1%eth0", never},
		{"fec0::1", never},
		{"224.0.0.1", never},
		{"239.255.255.250", never},
		{"ff02::1", never},
		{"240.0.0.1", never},
		{"255.255.255.255", never},
		{"192.0.2.1", never},
		{"203.0.113.9", never},
		{"2001:db8::1", never},
		{"2001:0:4136:e378::1", never}, // Teredo
		{"2002:7f00:1::", never},       // 6to4 of 127.0.0.1
	} {
		addr := netip.MustParseAddr(tc.addr)
		errClosed, errOpen := closed.Check(addr), open.Check(addr)
		if got, want := errClosed == nil, tc.want == public; got != want {
			t.Errorf("Check(%s) with nothing permitted = %v, want permitted = %v", addr, errClosed, want)
		}
		if got, want := errOpen == nil, tc.want != never; got != want {
			t.Errorf("Check(%s) with everything permitted = %v, want permitted = %v", addr, errOpen, want)
		}
		for _, err := range []error{errClosed, errOpen} {
			checkRefusal(t, err)
		}
	}
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*magpie.Error](err)
	if !ok || e.Kind != magpie.KindInvalid || e.Field != "url" || !strings.Contains(e.Hint, allowSetting) {
		t.Errorf("refusal = %#v, want a *magpie.Error of KindInvalid for the field url that names %s", err, allowSetting)
	}
}

func TestCheckPermitsOnlyWhatIsListed(t *testing.T) {
	t.Parallel()
	allow, err := ParseAllow("10.2.0.0/16", " fd12::/32 ", "192.168.7.9", "::ffff:172.16.0.0/112")
	if err != nil {
		t.Fatal(err)
	}
	g := New(Options{AllowPrivate: allow})
	for addr, want := range map[string]bool{
		"10.2.3.4": true, "10.3.0.1": false, "fd12::5": true, "fd13::5": false, "192.168.7.9": true, "192.168.7.8": false,
		"127.0.0.1": false, "::1": false, "::ffff:10.2.0.1": true, "172.16.0.9": true, "172.17.0.9": false,
		"64:ff9b::a02:1": false,
	} {
		if err := g.Check(netip.MustParseAddr(addr)); (err == nil) != want {
			t.Errorf("Check(%s) = %v, want permitted = %v", addr, err, want)
		}
	}
}

func TestParseAllowRefuses(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", "everything", "10.0.0.0/33", "10.0.0", "localhost"} {
		_, err := ParseAllow("10.0.0.0/8", entry)
		e, ok := errors.AsType[*magpie.Error](err)
		if !ok || e.Field != allowSetting {
			t.Errorf("ParseAllow(%q) = %v, want an error for %s", entry, err, allowSetting)
		}
	}
}
