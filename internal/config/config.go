package config

import (
	"time"

	"magpie"
)

// Config is all settings of the server.
type Config struct {
	// Listen is the address and port where the web app, the API and the webhook receiver are served over HTTP. Put a
	// reverse proxy with TLS in front for anything but a test; the default is reachable from this machine only.
	Listen string `toml:"listen" default:"127.0.0.1:8080"`

	// PublicURL is where people's browsers and Bitbucket reach this server: scheme and host, and port if it is not the
	// usual one. Webhooks and links in mails point there. With https the session cookie is marked Secure.
	PublicURL string `toml:"public_url" default:"http://<listen>"`

	// TrustedProxies is the addresses and ranges of the reverse proxies in front of this server. The last address in a
	// request's X-Forwarded-For that is not one of them is who is asking, which the limits on failed logins count by;
	// from anybody else that header is not believed.
	TrustedProxies []string `toml:"trusted_proxies" default:""`

	// MetricsListen is an address and port of its own for /metrics, which asks nobody who they are: choose one that only
	// your monitoring reaches. Empty serves /metrics at Listen, to requests from this machine only, and to nobody when
	// PublicURL is https, because then all requests come from the reverse proxy.
	MetricsListen string `toml:"metrics_listen" default:""`

	// DataDir is the folder for the database, the master key and temporary files. It is created (0700) if it does not
	// exist, and locked by the server that runs on it.
	DataDir string `toml:"data_dir" default:"./data"`

	// Database is where everything is stored: sqlite:PATH, or postgres://user:password@host/name. Several instances
	// can share a PostgreSQL database; a SQLite file belongs to one.
	Database string `toml:"database" default:"sqlite:<data_dir>/magpie.db" secret:"true"`

	// MasterKeyFile is the file with the key under which all found secrets are sealed, 32 bytes in hexadecimal or base64.
	// It is created (0600) on the first start. Whoever loses it loses the sealed values: keep a copy apart from the
	// backups of the database.
	MasterKeyFile string `toml:"master_key_file" default:"<data_dir>/master.key"`

	// TempDir is the folder for data that is too large for memory while a repository is scanned. It is never kept.
	TempDir string `toml:"temp_dir" default:"<data_dir>/tmp"`

	// TempReserve is how many MiB stay free on the disk of TempDir: a fetch that would leave less waits until there is room.
	// 0 keeps nothing free.
	TempReserve int `toml:"temp_reserve" default:"1024"`

	// CAFile is PEM files with authorities that are trusted in addition to the system's, for Bitbucket, the mail server
	// and every other outgoing connection. Verification itself can't be turned off.
	CAFile []string `toml:"ca_file" default:""`

	// OutgoingAllow is the loopback and private address ranges that Magpie may connect to when a user types a URL: ranges
	// such as 10.2.0.0/16, single addresses, and the words private and loopback. A self-hosted Bitbucket usually has a
	// private address and needs an entry here. Link-local and cloud metadata addresses are refused always.
	OutgoingAllow []string `toml:"outgoing_allow" default:""`

	// OutgoingProxy uses the proxy named by HTTPS_PROXY and NO_PROXY for outgoing HTTPS. The proxy looks names up then,
	// so it has to refuse the addresses that should not be reached.
	OutgoingProxy bool `toml:"outgoing_proxy" default:"false"`

	// Mail is the SMTP server by which people are told about incidents. Without a host no mail is sent; what would have
	// been sent is kept and shown as waiting.
	Mail Mail `toml:"mail"`

	// Notify is a webhook or chat that is told about each incident, besides the people who get mail.
	Notify Notify `toml:"notify"`

	// IgnoreComments leaves out secrets beside which a comment in the file says so, such as magpie:ignore. Off, such comments
	// count for nothing, for all repositories.
	IgnoreComments bool `toml:"ignore_comments" default:"true"`

	// Verify asks the vendors of found secrets whether they are still alive, for the detectors that say how. The value is
	// sent to its vendor and to nobody else, in a request that only reads. Off, no found value ever leaves the server.
	Verify bool `toml:"verify" default:"false"`

	// VerifyHosts changes who is asked. NAME=OTHER asks the host OTHER instead of the one that the detectors name, for products
	// that you run yourself, such as gitlab.com=gitlab.example.com; a port may follow, and a private address needs an entry in
	// outgoing_allow. NAME= never asks that host. NAME alone allows it: where one stands so, no other is asked. Without any,
	// the hosts that the built-in detectors name are.
	VerifyHosts []string `toml:"verify_hosts" default:""`

	// SyncEvery is how often projects and repositories are read from Bitbucket, to find new, renamed and deleted ones and
	// to repair webhooks.
	SyncEvery time.Duration `toml:"sync_every" default:"15m"`

	// SweepEvery is how often the refs of every monitored repository are compared with what was scanned, which finds the
	// pushes that no webhook announced.
	SweepEvery time.Duration `toml:"sweep_every" default:"1h"`

	// TokenGrace is for how long Bitbucket must keep refusing an access token before that is taken for more than a hiccup:
	// then people are told and work waits for a new token. Times in which Bitbucket does not answer don't count. 0 tells
	// them at the first refusal.
	TokenGrace time.Duration `toml:"token_grace" default:"10m"`

	// ScanWorkers is how many repositories are scanned for their history at once. 0 means half the processors, at least
	// one. Pushes have workers of their own and never wait for a history scan.
	ScanWorkers int `toml:"scan_workers" default:"0"`

	// LogLevel is the least important level that is logged: debug, info, warn or error.
	LogLevel string `toml:"log_level" default:"info"`

	// LogFormat is text or json.
	LogFormat string `toml:"log_format" default:"text"`
}

// Mail is the settings of the SMTP server.
type Mail struct {
	// Host is the name of the SMTP server. Empty switches mail off.
	Host string `toml:"host" default:""`

	// Port is the server's port. 0 means 587 for starttls, 465 for implicit, 25 for none.
	Port int `toml:"port" default:"0"`

	// TLS says how the connection is secured: starttls (which must succeed), implicit, or none, which is possible only
	// for a server on this machine and without a password.
	TLS string `toml:"tls" default:"starttls"`

	// Username is the account at the SMTP server, where it wants one.
	Username string `toml:"username" default:""`

	// Password is the password of that account.
	Password magpie.Secret `toml:"password" default:"" secret:"true"`

	// From is the sender of all mail, with or without a name: Magpie <magpie@example.com>. Needed when there is a host.
	From string `toml:"from" default:""`
}

// Notify is the settings of a webhook or chat; docs/notifications.md says what it gets.
type Notify struct {
	// URL is where incidents are sent, by https, or by http to this machine. In a chat's address its path is the credential,
	// so it is kept as a secret. Empty switches notifications off.
	URL string `toml:"url" default:"" secret:"true"`

	// Kind is what stands there: webhook for a program that takes signed JSON, or slack for a chat's incoming webhook.
	Kind string `toml:"kind" default:"webhook"`

	// Secret signs what is sent to a webhook, so that it can tell what is ours: 16 bytes or more. A chat needs none.
	Secret magpie.Secret `toml:"secret" default:"" secret:"true"`
}
