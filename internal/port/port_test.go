//go:build linux

package port_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"magpie/internal/port"
)

// What is held can be listened on by whoever names it, again and again.
func TestListen(t *testing.T) {
	held, err := port.Any()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l, err := net.Listen("tcp", held.Address())
		if err != nil {
			t.Fatalf("the one it is held for: %v", err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close() // by the listener's side, which leaves the port in the state that keeps others from binding it
			}
		}()
		c, err := net.Dial("tcp", held.Address())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 1))
		c.Close()
		if again, err := port.Near(held.Port()); err != nil || again.Port() == held.Port() {
			t.Errorf("while somebody listens on it: %v, %v, want another port", again, err)
		} else if err := again.Close(); err != nil {
			t.Error(err)
		}
		l.Close()
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}

// What is held is given to nobody who asks for any port, and no connection goes out from it.
func TestNobodyElse(t *testing.T) {
	held, err := port.Any()
	if err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() (io.Closer, error){
		"a listener":   func() (io.Closer, error) { return onlyFrom(held.Port()).Listen(t.Context(), "tcp", "127.0.0.1:0") },
		"a connection": func() (io.Closer, error) { return dialFrom(t, held.Port()) },
	} {
		if got, err := ask(); err == nil {
			got.Close()
			t.Errorf("%s that asked for any port got the one that is held", what)
		} else if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Skipf("this Linux can't be asked to choose among few ports: %v", err) // before 6.3
		}
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := onlyFrom(held.Port()).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("when it is given up, it can't be had: %v", err)
	}
	l.Close()
}

// onlyFrom makes Linux choose a port, where it may choose any, from this one alone.
func onlyFrom(port int) *net.ListenConfig {
	const ipLocalPortRange = 51
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		outer := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipLocalPortRange, port<<16|port)
		})
		return errors.Join(outer, err)
	}}
}

func dialFrom(t *testing.T, port int) (net.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialer := net.Dialer{Control: onlyFrom(port).Control}
	return dialer.DialContext(t.Context(), "tcp", l.Addr().String())
}

// Two that want the same port get different ones, before anybody listens.
func TestNear(t *testing.T) {
	first, err := port.Any()
	if err != nil {
		t.Fatal(err)
	}
	wanted := first.Port()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	ports := map[int]bool{}
	for range 3 {
		held, err := port.Near(wanted)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		ports[held.Port()] = true
	}
	if len(ports) != 3 || !ports[wanted] {
		t.Errorf("got ports %v, want three, among them %d", ports, wanted)
	}
}
