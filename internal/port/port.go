package port

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Near holds a port, or any other one if that is taken.
func Near(port int) (*Held, error) {
	if held, err := hold(port); err == nil {
		return held, nil
	}
	return Any()
}

// Any holds a port that nobody uses.
func Any() (*Held, error) { return hold(0) }

// Held is a port of 127.0.0.1 that is held until Close.
type Held struct {
	port    int
	closers []func() error
}

// Address returns the address to listen on.
func (h *Held) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)) }

// Port returns the number of the port.
func (h *Held) Port() int { return h.port }

// Close gives the port up. Whoever listens on it goes on.
func (h *Held) Close() error {
	var errs []error
	for _, c := range h.closers {
		errs = append(errs, c())
	}
	h.closers = nil
	return errors.Join(errs...)
}

func holding(port int, err error) error {
	if port == 0 {
		return fmt.Errorf("holding a free port: %w", err)
	}
	return fmt.Errorf("holding port %d: %w", port, err)
}
