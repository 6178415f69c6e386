package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/app"
)

// userCommand works on accounts while the server is stopped.
type userCommand struct {
	Add   userAddCommand   `cmd:"" help:"Add a user. The first one becomes the Owner. The password is asked for, or read from standard input."`
	Reset userResetCommand `cmd:"" help:"Give a user a new password and end all sessions and tokens of theirs."`
	Token userTokenCommand `cmd:"" help:"Make an API token for a user and print it, this once."`
}

// operator is who acts on the command line, in the record of who did what: whoever can write the database may do
// everything.
var operator = magpie.User{ID: "operator", Email: "operator", Name: "Operator", Role: magpie.RoleOwner}

type userAddCommand struct {
	settings
	Email string `arg:"" help:"E-mail address, by which the user logs in."`
	Name  string `help:"Name shown to others. Default: the part of the address before the @."`
	Role  string `enum:"owner,manager,member," default:"" help:"owner, manager or member. Default: owner for the first user, else member."`
}

// Run adds the user.
func (c *userAddCommand) Run(p *process) error {
	a, err := c.open(p)
	if err != nil {
		return err
	}
	user, err := c.add(p, a)
	if err := errors.Join(err, a.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "added %s as %s\n", user.Email, user.Role)
	return err
}

func (c *userAddCommand) add(p *process, a *app.App) (magpie.User, error) {
	first, err := a.Access.SetupNeeded(p.ctx)
	if err != nil {
		return magpie.User{}, err
	}
	role := magpie.Role(c.Role)
	switch {
	case role == "" && first:
		role = magpie.RoleOwner
	case role == "":
		role = magpie.RoleMember
	case first && role != magpie.RoleOwner:
		return magpie.User{}, &magpie.Error{
			Kind: magpie.KindInvalid, Message: "there is no Owner yet, so the first user has to be one", Hint: "leave out --role",
		}
	}
	password, err := readPassword(p, "Password for "+c.Email)
	if err != nil {
		return magpie.User{}, err
	}
	return addUser(p.ctx, a.Access, c.Email, c.Name, role, password)
}

// addUser adds an account on the operator's behalf; the demo uses it too.
func addUser(ctx context.Context, accounts *access.Service, email, name string, role magpie.Role, password magpie.Secret) (magpie.User, error) {
	if name == "" {
		name, _, _ = strings.Cut(email, "@")
	}
	if role == magpie.RoleOwner {
		return accounts.CreateOwner(ctx, email, name, password)
	}
	return accounts.CreateUser(ctx, operator, email, name, role, password)
}

type userResetCommand struct {
	settings
	Email string `arg:"" help:"E-mail address of the account."`
}

// Run replaces the password.
func (c *userResetCommand) Run(p *process) error {
	a, err := c.open(p)
	if err != nil {
		return err
	}
	password, err := readPassword(p, "New password for "+c.Email)
	if err == nil {
		err = a.Access.OperatorReset(p.ctx, c.Email, password)
	}
	if err := errors.Join(err, a.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s has a new password; all sessions and tokens have ended\n", c.Email)
	return err
}

type userTokenCommand struct {
	settings
	Email string `arg:"" help:"E-mail address of the account that the token speaks for."`
	Name  string `default:"command line" help:"What the token is for."`
	Days  int    `default:"90" help:"Days until it expires; 0 for never."`
}

// Run makes the token.
func (c *userTokenCommand) Run(p *process) error {
	a, err := c.open(p)
	if err != nil {
		return err
	}
	token, err := makeToken(p.ctx, a.Access, c.Email, c.Name, time.Duration(c.Days)*24*time.Hour)
	if err := errors.Join(err, a.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", token.Reveal())
	return err
}

// makeToken makes an API token for the account with an address; the demo uses it too.
func makeToken(ctx context.Context, accounts *access.Service, email, name string, lifetime time.Duration) (magpie.Secret, error) {
	users, err := accounts.Users(ctx)
	if err != nil {
		return magpie.Secret{}, err
	}
	i := slices.IndexFunc(users, func(u magpie.User) bool { return strings.EqualFold(u.Email, strings.TrimSpace(email)) })
	if i < 0 {
		return magpie.Secret{}, magpie.Errorf(magpie.KindNotFound, "there is no account with the address %s", email)
	}
	token, _, err := accounts.CreateToken(ctx, users[i], name, lifetime)
	return token, err
}

// readPassword asks for a password twice on a terminal, or reads one line from standard input.
func readPassword(p *process, prompt string) (magpie.Secret, error) {
	if f, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return askPassword(p, f, prompt)
	}
	line, err := bufio.NewReader(io.LimitReader(p.stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return magpie.Secret{}, fmt.Errorf("reading the password: %w", err)
	}
	return magpie.NewSecret(strings.TrimRight(line, "\r\n")), nil
}

func askPassword(p *process, f *os.File, prompt string) (magpie.Secret, error) {
	var typed [2]magpie.Secret
	for i, text := range []string{prompt, "The same again"} {
		fmt.Fprintf(p.stderr, "%s: ", text)
		raw, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.stderr)
		if err != nil {
			return magpie.Secret{}, fmt.Errorf("reading the password: %w", err)
		}
		typed[i] = magpie.NewSecret(raw)
	}
	if string(typed[0].Reveal()) != string(typed[1].Reveal()) {
		return magpie.Secret{}, magpie.Errorf(magpie.KindInvalid, "the two passwords differ")
	}
	return typed[0], nil
}
