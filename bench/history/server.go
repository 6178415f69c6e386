package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"magpie/bench/measure"
)

// server serves one repository over HTTPS by git's own http-backend, on a port of its own.
type server struct {
	http    *http.Server
	url     string
	caFile  string
	serving sync.WaitGroup // requests
	closed  chan error
}

// serve starts a server for the repository whose objects are in gitDir. The certificate, made for the occasion, is its
// own authority and lies in a file in temp.
func serve(ctx context.Context, gitDir, temp string, env []string) (*server, error) {
	out, err := measure.Git(ctx, env, nil, "--exec-path")
	if err != nil {
		return nil, err
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	certificate, err := newCertificate()
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	s := &server{caFile: filepath.Join(temp, "ca.pem"), closed: make(chan error, 1)}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	if err := os.WriteFile(s.caFile, authority, 0o600); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.url = fmt.Sprintf("https://%s/%s", listener.Addr(), filepath.Base(gitDir))
	env = append(env[:len(env):len(env)], "GIT_PROJECT_ROOT="+filepath.Dir(gitDir), "GIT_HTTP_EXPORT_ALL=1")
	s.http = &http.Server{
		ReadHeaderTimeout: time.Minute,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.serving.Add(1)
			defer s.serving.Done()
			h := cgi.Handler{Path: backend, Env: append(env[:len(env):len(env)], "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))}
			h.ServeHTTP(w, r)
		}),
	}
	go func() { s.closed <- s.http.ServeTLS(listener, "", "") }()
	return s, nil
}

// close ends the server, when its requests are answered.
func (s *server) close() error {
	s.serving.Wait()
	err := s.http.Close()
	if served := <-s.closed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// share runs f and returns how much CPU time the server and git under it used meanwhile, of what this process and its
// children did: all but what f reports as the client's.
func (s *server) share(f func() (measure.Figures, error)) (measure.Figures, error) {
	before, err := total()
	if err != nil {
		return measure.Figures{}, err
	}
	client, err := f()
	s.serving.Wait()
	if err != nil {
		return measure.Figures{}, err
	}
	after, err := total()
	if err != nil {
		return measure.Figures{}, err
	}
	client.Server = max(0, after-before-client.CPU)
	return client, nil
}

// total is the CPU time of this process and all children that ended.
func total() (time.Duration, error) {
	self, err := measure.Used(syscall.RUSAGE_SELF)
	if err != nil {
		return 0, err
	}
	children, err := measure.Used(syscall.RUSAGE_CHILDREN)
	return self + children, err
}

// newCertificate makes a certificate for the loopback address that signed itself and is valid for a few days.
func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 7),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
