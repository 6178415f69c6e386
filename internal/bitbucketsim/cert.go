package bitbucketsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	caFile  = "ca.pem"
	keyFile = "ca-key.pem"
)

// CertKind chooses the certificate the server shows.
type CertKind int

// The certificates a server can show.
const (
	CertValid     CertKind = iota // signed by the authority, for the host of the base URL, localhost and the loopback addresses
	CertExpired                   // as CertValid, but it ended a day ago
	CertWrongHost                 // signed by the authority, for another host
	CertUntrusted                 // right host and dates, signed by an authority nobody knows
)

// authority signs the server's certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	host string // of the base URL, without a port

	mu      sync.Mutex
	current *tls.Certificate // guarded by mu
}

// openAuthority reads the authority kept in dir, or makes one and keeps it there.
func openAuthority(dir, host string) (*authority, error) {
	a, err := readAuthority(dir)
	if errors.Is(err, os.ErrNotExist) {
		if a, err = newAuthority(); err == nil {
			err = a.write(dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the certificate authority: %w", err)
	}
	a.host = host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		a.host = bare
	}
	return a, a.use(CertValid)
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Simulated Bitbucket CA"},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key}, err
}

func readAuthority(dir string) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, caFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	return &authority{cert: pair.Leaf, key: pair.PrivateKey.(*ecdsa.PrivateKey)}, nil
}

func (a *authority) write(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return err
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, keyFile), key, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, caFile), a.pem(), 0o644)
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue signs a certificate for a server, with a new key.
func (a *authority) issue(from, to time.Time, hosts ...string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: hosts[0]}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// use makes new connections see a certificate of the given kind.
func (a *authority) use(kind CertKind) error {
	signer, from, to := a, time.Now().Add(-24*time.Hour), time.Now().AddDate(15, 0, 0)
	hosts := []string{a.host, "localhost", "127.0.0.1", "::1"}
	switch kind {
	case CertExpired:
		from, to = from.Add(-24*time.Hour), from
	case CertWrongHost:
		hosts = []string{"other.example.com"}
	case CertUntrusted:
		var err error
		if signer, err = newAuthority(); err != nil {
			return err
		}
	}
	cert, err := signer.issue(from, to, hosts...)
	if err != nil {
		return fmt.Errorf("signing the server certificate: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = cert
	return nil
}

func (a *authority) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the random source of the operating system never fails on supported systems
	}
	return n
}

// UseCertificate chooses the certificate that new connections see; open connections keep theirs.
func (s *Server) UseCertificate(kind CertKind) error { return s.ca.use(kind) }

// IssueCertificate signs a certificate for the given hosts by the server's authority, for a webhook receiver that the
// delivery engine and a client should both trust.
func (s *Server) IssueCertificate(hosts ...string) (tls.Certificate, error) {
	if len(hosts) == 0 {
		return tls.Certificate{}, errors.New("a certificate needs a host")
	}
	cert, err := s.ca.issue(time.Now().Add(-time.Hour), time.Now().AddDate(15, 0, 0), hosts...)
	if err != nil {
		return tls.Certificate{}, err
	}
	return *cert, nil
}
