package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"magpie"
)

// derive replaces what one default says about another setting.
func (c *Config) derive() {
	for _, s := range settingsOf(c) {
		text, ok := s.value.Interface().(string)
		if !ok || text != s.def {
			continue
		}
		text = strings.ReplaceAll(text, "<listen>", browsable(c.Listen))
		// The database and the key must not move when the server is started from another folder half-way, so
		// the path is spelled out.
		dir := c.DataDir
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
		s.value.SetString(strings.ReplaceAll(text, "<data_dir>", dir))
	}
}

// browsable turns a listen address into one that can be connected to.
func browsable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// check returns everything that is wrong with c, whatever place it came from.
func (c *Config) check() Problems {
	var p Problems
	bad := func(key, message, hint string) {
		env := envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		p = append(p, &magpie.Error{Kind: magpie.KindInvalid, Field: env, Message: message, Hint: hint})
	}
	checkAddress := func(key, address string) {
		_, port, err := net.SplitHostPort(address)
		if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
			bad(key, fmt.Sprintf("%q is not an address with a port", address), "write host:port, such as 127.0.0.1:8080, or :8080 for all addresses")
		}
	}
	checkAddress("listen", c.Listen)
	if c.MetricsListen != "" {
		checkAddress("metrics_listen", c.MetricsListen)
	}
	c.checkPublicURL(bad)
	switch {
	case strings.HasPrefix(c.Database, "sqlite:") && len(c.Database) > len("sqlite:"):
	case strings.HasPrefix(c.Database, "postgres://"), strings.HasPrefix(c.Database, "postgresql://"):
	default: // the text may hold a password, so it is not repeated
		bad("database", "it is not the address of a database", "write sqlite:PATH or postgres://user:password@host/name")
	}
	for _, file := range c.CAFile {
		if _, err := os.Stat(file); err != nil {
			bad("ca_file", fmt.Sprintf("the file %s can't be read", file), "give the path of a PEM file")
		}
	}
	for _, entry := range c.OutgoingAllow {
		if !isRange(entry) {
			bad("outgoing_allow", fmt.Sprintf("%q is neither an address nor a range of addresses", entry),
				"write ranges such as 10.2.0.0/16 or fd12::/32, single addresses, or the words private and loopback")
		}
	}
	for _, entry := range c.TrustedProxies {
		if entry == "private" || entry == "loopback" || !isRange(entry) {
			bad("trusted_proxies", fmt.Sprintf("%q is neither an address nor a range of addresses", entry),
				"write single addresses, such as 10.2.0.7, or ranges such as 10.2.0.0/24")
		}
	}
	for _, entry := range c.VerifyHosts {
		if name, other, _ := strings.Cut(entry, "="); !isHost(name) || other != "" && !isHost(other) {
			bad("verify_hosts", fmt.Sprintf("%q is no host and no replacement of one", entry),
				"write gitlab.com=gitlab.example.com to ask your own, api.example.com= to never ask it, or a host alone to ask only such")
		}
	}
	c.Mail.check(bad)
	c.Notify.check(bad)
	checkEvery := func(key string, d, least time.Duration) {
		if d < least {
			bad(key, fmt.Sprintf("%s is too often", d), fmt.Sprintf("write %s or more", least))
		}
	}
	checkEvery("sync_every", c.SyncEvery, 10*time.Second)
	checkEvery("sweep_every", c.SweepEvery, 10*time.Second)
	if c.TokenGrace < 0 || c.TokenGrace > 24*time.Hour {
		bad("token_grace", fmt.Sprintf("%s is no sensible time to wait", c.TokenGrace), "write 10m or another time up to 24h, or 0 to be told at once")
	}
	if c.TempReserve < 0 || c.TempReserve > 1<<30 {
		bad("temp_reserve", fmt.Sprintf("%d is not a number of MiB", c.TempReserve), "write 1024 to keep 1 GiB free, or 0 to keep nothing free")
	}
	if c.ScanWorkers < 0 || c.ScanWorkers > 256 {
		bad("scan_workers", fmt.Sprintf("%d is not a number of workers", c.ScanWorkers), "write 1 to 256, or 0 for the default")
	}
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			bad(key, fmt.Sprintf("%q is not known", value), "write "+strings.Join(allowed, ", "))
		}
	}
	oneOf("log_level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("log_format", c.LogFormat, "text", "json")
	return p
}

func (c *Config) checkPublicURL(bad func(key, message, hint string)) {
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("public_url", fmt.Sprintf("%q is not a web address", c.PublicURL), "write it as https://magpie.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		bad("public_url", "it must be scheme and host only", "write it as https://magpie.example.com; a path in front is not supported")
	default:
		c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	}
}

func (m Mail) check(bad func(key, message, hint string)) {
	if m.Host == "" {
		return
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		bad("mail.from", "a sender is needed when there is a mail server", "write it as magpie@example.com or Magpie <magpie@example.com>")
	}
	if m.Port < 0 || m.Port > 65535 {
		bad("mail.port", fmt.Sprintf("%d is not a port", m.Port), "write 587 for starttls or 465 for implicit")
	}
	if !slices.Contains([]string{"starttls", "implicit", "none"}, m.TLS) {
		bad("mail.tls", fmt.Sprintf("%q is not a way to secure mail", m.TLS), "write starttls, implicit, or none for a server on this machine")
	}
	if (m.Username == "") != (m.Password.Len() == 0) {
		bad("mail.username", "user name and password belong together", "give both or neither")
	}
}

// check never repeats the address, whose path may be a credential.
func (n Notify) check(bad func(key, message, hint string)) {
	if n.URL == "" {
		return
	}
	switch u, err := url.Parse(n.URL); {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		bad("notify.url", "it is not a web address", "write it as https://example.com/path")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		bad("notify.url", "it is not https", "use https; http is possible only to this machine, such as http://127.0.0.1:9000/")
	case u.User != nil || u.Fragment != "":
		bad("notify.url", "it holds a user name or a fragment", "leave it out")
	}
	switch {
	case n.Kind != "webhook" && n.Kind != "slack":
		bad("notify.kind", fmt.Sprintf("%q is not a kind of receiver", n.Kind), "write webhook or slack")
	case n.Kind == "webhook" && n.Secret.Len() < 16:
		bad("notify.secret", "16 bytes or more are needed to sign what is sent", "make one with openssl rand -hex 32 and give it to the receiver too")
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// isHost says whether text is the name of a host with or without a port, and nothing else of an address.
func isHost(text string) bool {
	u, err := url.Parse("https://" + text)
	return err == nil && u.Host == text && u.Hostname() != "" && u.User == nil && !strings.ContainsAny(text, " *,")
}

// isRange says whether guard.ParseAllow will understand the entry.
func isRange(entry string) bool {
	if entry == "private" || entry == "loopback" {
		return true
	}
	if _, err := netip.ParseAddr(entry); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(entry)
	return err == nil
}
