package mail

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"magpie"
)

// explain turns an error of the library into a *magpie.Error. Only an answer of the server to this very message can
// condemn the message; everything before that is the server's or our set-up's trouble and may pass.
func (s *Sender) explain(err error) error {
	if send, ok := errors.AsType[*gomail.SendError](err); ok {
		return s.explainSend(send, err)
	}
	e := &magpie.Error{Kind: magpie.KindUnavailable, Message: "the mail server " + s.addr + " can't be used", Err: err}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		e.Message = fmt.Sprintf("the mail server %s answers with status %d", s.addr, reply.Code)
		if reply.Code == 530 || reply.Code == 534 || reply.Code == 535 || reply.Code == 538 {
			e.Kind, e.Message = magpie.KindTokenInvalid, "the mail server "+s.addr+" refuses the user name or password"
			e.Hint = "correct them in the settings for mail"
		}
		return e
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Message = "the certificate of the mail server " + s.addr + " is not trusted"
		e.Hint = "let the server have a valid certificate for this name, or add its authority with MAGPIE_CA_FILE"
		return e
	}
	switch text := err.Error(); {
	case strings.Contains(text, "does not support STARTTLS"):
		e.Message = "the mail server " + s.addr + " offers no STARTTLS, so nothing was sent"
		e.Hint = "switch on TLS at the server, or use implicit TLS; if it always had TLS, somebody may be in between"
	case strings.Contains(text, "does not support SMTP AUTH"):
		e.Message = "the mail server " + s.addr + " takes no user name and password"
		e.Hint = "leave them out, or use the port for submission (587)"
	default:
		if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
			e.Message = "the mail server " + s.addr + " did not answer in time"
		}
		e.Hint = "check host, port and the kind of TLS"
	}
	return e
}

// explainSend explains what went wrong with the message itself.
func (s *Sender) explainSend(send *gomail.SendError, err error) error {
	code := send.ErrorCode()
	switch {
	case code == 530:
		return &magpie.Error{
			Kind: magpie.KindTokenInvalid, Message: "the mail server " + s.addr + " wants a user name and password",
			Hint: "give them in the settings for mail", Err: err,
		}
	case code >= 500:
		return &magpie.Error{
			Kind: magpie.KindInvalid, Message: fmt.Sprintf("the mail server %s refuses the message with status %d", s.addr, code),
			Hint: "check the addresses of sender and recipient", Err: err,
		}
	case code >= 400:
		return &magpie.Error{
			Kind: magpie.KindUnavailable, Message: fmt.Sprintf("the mail server %s asks to try later (status %d)", s.addr, code), Err: err,
		}
	}
	return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the connection to the mail server " + s.addr + " broke", Err: err}
}
