package guard

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"magpie"
)

// explain turns a failed round trip to host into a *magpie.Error. A context that ended stays recognisable by errors.Is.
func explain(ctx context.Context, host string, err error) error {
	if _, ok := errors.AsType[*magpie.Error](err); ok {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	message, hint := explainTLS(host, err)
	if message == "" {
		message, hint = explainNetwork(host, err)
	}
	// Unavailable, because a certificate is renewed and a network mended without anyone touching Magpie.
	return &magpie.Error{Kind: magpie.KindUnavailable, Field: "url", Message: message, Hint: hint, Err: err}
}

func explainTLS(host string, err error) (message, hint string) {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return explainInvalid(host, invalid)
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		what := "is signed by an authority that this machine does not trust"
		if c := unknown.Cert; c != nil && bytes.Equal(c.RawIssuer, c.RawSubject) {
			what = "is signed by itself or by an authority that this machine does not trust"
		}
		return fmt.Sprintf("the certificate of %s %s", host, what),
			"add the certificate of your authority, in PEM form, to the file named by " + caSetting + "; verification can't be turned off"
	}
	if mismatch, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate of %s is for another name%s", host, namesOf(mismatch.Certificate)),
			"type the name that stands in the certificate, or give the server a certificate for this one"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Sprintf("%s does not speak TLS on this port", host), "check the port, and that https is switched on there"
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "protocol version"):
		return fmt.Sprintf("%s offers only outdated versions of TLS", host), "switch on TLS 1.2 or later there"
	case strings.Contains(text, "tls: "):
		return fmt.Sprintf("no secure connection to %s could be made", host), "check the TLS settings of the server"
	}
	return "", ""
}

func explainInvalid(host string, err x509.CertificateInvalidError) (message, hint string) {
	if err.Reason == x509.Expired && err.Cert != nil {
		if now := time.Now(); now.Before(err.Cert.NotBefore) {
			return fmt.Sprintf("the certificate of %s is not valid before %s", host, err.Cert.NotBefore.UTC().Format(time.DateOnly)),
				"check the clock of this machine, or wait until then"
		}
		return fmt.Sprintf("the certificate of %s expired on %s", host, err.Cert.NotAfter.UTC().Format(time.DateOnly)),
			"renew the certificate of the server"
	}
	return fmt.Sprintf("the certificate of %s is not valid", host), "let the server's certificate be made anew: " + err.Error()
}

// namesOf says for whom a certificate is, as far as one line can.
func namesOf(c *x509.Certificate) string {
	if c == nil || len(c.DNSNames) == 0 {
		return ""
	}
	names := c.DNSNames
	if len(names) > 3 {
		names = names[:3]
	}
	return " (" + strings.Join(names, ", ") + ")"
}

func explainNetwork(host string, err error) (message, hint string) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return fmt.Sprintf("the name %s is not known", host), "check the spelling, and that this machine can resolve it"
		}
		return fmt.Sprintf("the name %s could not be looked up", host), "check the name servers of this machine"
	}
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return fmt.Sprintf("%s did not answer in time", host), "check that it runs and that no firewall is in between"
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s did not answer in time", host), "check that it runs and that no firewall is in between"
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses connections", host), "check the port, and that the server runs"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("there is no route to %s", host), "check the network of this machine"
	}
	return fmt.Sprintf("the connection to %s broke", host), "it may be tried again"
}
