package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"magpie"
)

// eximConfig is a server for submission: STARTTLS, then AUTH, then delivery into one file. It is filled with folder, port, password
// and, where root runs it, the lines that name the account to deliver as (exim refuses to deliver as root).
const eximConfig = `
spool_directory = %[1]s/spool
log_file_path = %[1]s/log/%%slog
pid_file_path = %[1]s/exim.pid
primary_hostname = mail.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[2]d
tls_advertise_hosts = *
tls_certificate = %[1]s/cert.pem
tls_privatekey = %[1]s/key.pem
auth_advertise_hosts = ${if def:tls_in_cipher {*}{}}
acl_smtp_rcpt = rcpt
acl_smtp_data = data
keep_environment =
rfc1413_query_timeout = 0s
message_size_limit = 1M
begin acl
rcpt:
  require encrypted = *
  deny    message = authentication required
          !authenticated = *
  deny    message = no such user
          local_parts = nobody-here
  defer   message = busy
          local_parts = busy
  accept
data:
  require verify = header_syntax
  accept
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = %[1]s/out/mbox
  create_file = anywhere
%[4]s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_set_id = $auth2
  server_condition = ${if and{{eq{$auth2}{magpie}}{eq{$auth3}{%[3]s}}}}
`

// startExim runs the real exim and returns the options to send by it and the file it delivers to.
func startExim(t *testing.T) (Options, string) {
	t.Helper()
	exim, err := exec.LookPath("exim4")
	if err != nil {
		if exim = "/usr/sbin/exim4"; !isFile(exim) {
			t.Skip("exim4 is not installed (Debian package exim4-daemon-light; .ci installs it), so no real SMTP server can be asked")
		}
	}
	id := newIdentity(t)
	dir, err := os.MkdirTemp("", "magpie-exim-") // not t.TempDir: its parent is closed to the account that root delivers as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	account := ""
	if os.Getuid() == 0 {
		account = "  user = Debian-exim\n  group = Debian-exim\n"
	}
	for _, sub := range []string{"", "spool", "log", "out"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, sub), 0o755), openFolder(filepath.Join(dir, sub))); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	conf := fmt.Sprintf(eximConfig, dir, port, password, account)
	for name, content := range map[string][]byte{"cert.pem": id.certPEM, "key.pem": id.keyPEM, "exim.conf": []byte(conf)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), exim, "-C", filepath.Join(dir, "exim.conf"), "-bdf", "-q1h")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log", "mainlog"))
			paniclog, _ := os.ReadFile(filepath.Join(dir, "log", "paniclog"))
			t.Logf("exim said: %s\nmain log:\n%s\npanic log:\n%s", output.String(), log, paniclog)
		}
	})
	waitForPort(t, port, exited)
	return Options{
		Host: "127.0.0.1", Port: port, RootCAs: id.pool, From: "Magpie <magpie@example.com>",
		Username: "magpie", Password: magpie.NewSecret(password), Timeout: 20 * time.Second,
	}, filepath.Join(dir, "out", "mbox")
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// openFolder lets the account that exim changes to write there; only root has to change to another.
func openFolder(dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chmod(dir, 0o777)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func waitForPort(t *testing.T, port int, exited <-chan struct{}) {
	t.Helper()
	waitUntil(t, "exim to listen", func() bool {
		select {
		case <-exited:
			t.Fatal("exim ended")
		default:
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// waitUntil asks again and again until ok.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	o, mbox := startExim(t)

	m := sample()
	if err := send(t, o, m); err != nil {
		t.Fatal(err)
	}
	var raw []byte
	waitUntil(t, "the delivery", func() bool {
		raw, _ = os.ReadFile(mbox)
		return bytes.Contains(raw, []byte("</p>"))
	})
	_, message, _ := strings.Cut(string(raw), "\n") // the first line is the mailbox's own
	checkMessage(t, message)
	if !strings.Contains(message, "TLS1.") {
		t.Error("the server's trace header does not speak of TLS")
	}

	for _, tc := range []struct {
		name   string
		change func(*Options, *Message)
		kind   magpie.Kind
	}{
		{"unknown recipient", func(_ *Options, m *Message) { m.To = "nobody-here@example.com" }, magpie.KindInvalid},
		{"busy recipient", func(_ *Options, m *Message) { m.To = "busy@example.com" }, magpie.KindUnavailable},
		{"wrong password", func(o *Options, _ *Message) { o.Password = magpie.NewSecret("wrong") }, magpie.KindTokenInvalid},
		{"no password", func(o *Options, _ *Message) { o.Username, o.Password = "", magpie.Secret{} }, magpie.KindInvalid},
		{"untrusted", func(o *Options, _ *Message) { o.RootCAs = nil }, magpie.KindUnavailable},
		{"without TLS", func(o *Options, _ *Message) { o.TLS, o.Username, o.Password = TLSNone, "", magpie.Secret{} }, magpie.KindInvalid},
	} {
		o, m := o, sample()
		tc.change(&o, &m)
		if err := send(t, o, m); magpie.KindOf(err) != tc.kind {
			t.Errorf("%s: got %v (kind %q), want kind %q", tc.name, err, magpie.KindOf(err), tc.kind)
		}
	}
}
