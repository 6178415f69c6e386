package port

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// hold binds a socket to a port, or to any that is free if it is 0.
func hold(port int) (*Held, error) {
	held := &Held{}
	if port != 0 {
		// Two sockets that both may be bound again don't exclude each other, so a name does.
		marker, err := net.Listen("unix", fmt.Sprintf("@magpie-port-%d", port))
		if err != nil {
			return nil, holding(port, err)
		}
		held.closers = append(held.closers, marker.Close)
	}
	err := held.bind(port)
	if err != nil {
		return nil, holding(port, errors.Join(err, held.Close()))
	}
	return held, nil
}

func (h *Held) bind(port int) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	h.closers = append(h.closers, func() error { return syscall.Close(fd) })
	// The other process sets this too, as every listener of Go does; both must, so that it can bind the port as well.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return err
	}
	h.port = bound.(*syscall.SockaddrInet4).Port
	return nil
}
