package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"magpie"
	"magpie/internal/apply"
	"magpie/internal/guard"
)

// applyCommand makes a running server watch what a file says, through its API.
type applyCommand struct {
	File      string        `short:"f" required:"" type:"path" placeholder:"FILE" help:"What shall be connected and monitored, in TOML."`
	Server    string        `default:"http://127.0.0.1:8080" placeholder:"URL" help:"Address of the Magpie server. Default: ${default}."`
	TokenFile string        `type:"path" placeholder:"FILE" help:"File with an API token of an Owner or Manager. Default: the environment variable MAGPIE_API_TOKEN."`
	CAFile    []string      `name:"ca-file" type:"path" placeholder:"FILE" help:"PEM file with an authority that signed the server's certificate, beside those of the system."`
	DryRun    bool          `help:"Print what would change and change nothing. Exit status 1 if something would."`
	Prune     bool          `help:"Remove integrations, and stop monitoring projects of integrations in project mode, that the file does not name."`
	Wait      time.Duration `default:"10m" help:"The longest to wait until a Bitbucket's projects and repositories are read, or an integration is removed. Default: ${default}."`
}

// apiTokenEnv names the environment variable with the API token.
const apiTokenEnv = "MAGPIE_API_TOKEN"

// Run compares and changes.
func (c *applyCommand) Run(p *process) error {
	file, err := apply.Read(c.File)
	if err != nil {
		return err
	}
	client, err := c.client(p)
	if err != nil {
		return err
	}
	changes, err := apply.Run(p.ctx, apply.Options{
		File: file, Client: client, Environ: p.getenv, Out: p.stdout, DryRun: c.DryRun, Prune: c.Prune, Wait: c.Wait,
	})
	switch {
	case err != nil:
		return err
	case changes == 0:
		fmt.Fprintln(p.stdout, "nothing to change")
	case c.DryRun:
		fmt.Fprintf(p.stdout, "%s to make\n", count(changes, "change"))
		return errWouldChange
	default:
		fmt.Fprintf(p.stdout, "%s made\n", count(changes, "change"))
	}
	return nil
}

// getenv returns the value of an environment variable of the process.
func (p *process) getenv(name string) string {
	for _, e := range p.environ {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// client returns a client of the server, whose certificate is always verified.
func (c *applyCommand) client(p *process) (*apply.Client, error) {
	address, err := url.Parse(c.Server)
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return nil, &magpie.Error{Kind: magpie.KindInvalid, Field: "--server", Message: "this is not an address", Hint: "write it as https://magpie.example.com"}
	}
	if address.User != nil || address.RawQuery != "" || address.Fragment != "" {
		return nil, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "--server", Message: "the address holds more than scheme, host and path", Hint: "credentials belong into the file of --token-file",
		}
	}
	if address.Scheme == "http" && !isLoopback(address.Hostname()) {
		return nil, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "--server", Message: "tokens are not sent unencrypted to another machine", Hint: "give the server a certificate and use https",
		}
	}
	token, err := c.token(p)
	if err != nil {
		return nil, err
	}
	roots, err := guard.LoadRoots(c.CAFile...)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &apply.Client{
		Base: strings.TrimRight(c.Server, "/"), Token: token,
		HTTP: &http.Client{
			Transport: transport, Timeout: 3 * time.Minute, // a check of a large Bitbucket takes its time
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return fmt.Errorf("it redirects; name its own address with --server")
			},
		},
	}, nil
}

func (c *applyCommand) token(p *process) (magpie.Secret, error) {
	raw := []byte(p.getenv(apiTokenEnv))
	if c.TokenFile != "" {
		var err error
		if raw, err = os.ReadFile(c.TokenFile); err != nil {
			return magpie.Secret{}, magpie.Errorf(magpie.KindInvalid, "reading the API token: %w", err)
		}
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return magpie.Secret{}, &magpie.Error{
			Kind: magpie.KindInvalid, Message: "there is no API token", Hint: "make one under Settings or with magpie user token, and name its file with --token-file, or set " + apiTokenEnv,
		}
	}
	return magpie.NewSecret(raw), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
