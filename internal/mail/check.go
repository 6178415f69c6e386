package mail

import (
	"context"
	"fmt"
)

// Check connects to the server as for a message, with TLS and, where configured, user name and password, and sends
// nothing. Errors are as those of Send.
func (s *Sender) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	conns := &connections{ctx: ctx, tls: s.tlsConfig(), implicit: s.opts.TLS == TLSImplicit}
	defer conns.close()
	client, err := s.client(conns)
	if err != nil {
		return fmt.Errorf("preparing to ask the mail server: %w", err)
	}
	if err := client.DialWithContext(ctx); err != nil {
		return s.explain(err)
	}
	_ = client.Close() // a server that can't say goodbye can still take mail
	return nil
}
