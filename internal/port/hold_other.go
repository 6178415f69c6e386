//go:build !linux

package port

import (
	"fmt"
	"net"
)

// hold finds a port that is free now. Other systems than Linux don't let two processes share the binding of one.
func hold(port int) (*Held, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, holding(port, err)
	}
	found := l.Addr().(*net.TCPAddr).Port
	return &Held{port: found}, l.Close()
}
