package access

import (
	"context"
	"errors"
	"log/slog"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"magpie"
	"magpie/internal/store"
)

// Options says what a Service works with.
type Options struct {
	DB  *store.DB
	Log *slog.Logger
	// PasswordCost is for tests that can't wait; zero means the recommended one.
	PasswordCost Cost
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Service keeps accounts, sessions and API tokens. It is safe for concurrent use.
type Service struct {
	db     *store.DB
	log    *slog.Logger
	hasher *hasher
	now    func() time.Time
}

// New returns a Service.
func New(o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h, err := newHasher(o.PasswordCost)
	if err != nil {
		return nil, err
	}
	return &Service{db: o.DB, log: o.Log, hasher: h, now: o.Now}, nil
}

// SetupNeeded reports whether there is no Owner yet.
func (s *Service) SetupNeeded(ctx context.Context) (bool, error) {
	exists, err := store.Query(ctx, s.db, func(tx *store.Tx) (bool, error) { return tx.OwnerExists(ctx) })
	return !exists, err
}

// CreateOwner makes the one account that may do everything. It is a KindConflict if there is an Owner already, and a
// KindInvalid with the field if the input is wrong.
func (s *Service) CreateOwner(ctx context.Context, email, name string, password magpie.Secret) (magpie.User, error) {
	needed, err := s.SetupNeeded(ctx)
	if err != nil {
		return magpie.User{}, err
	}
	if !needed {
		return magpie.User{}, errOwnerExists()
	}
	user, err := s.create(ctx, magpie.User{}, email, name, magpie.RoleOwner, password)
	if magpie.KindOf(err) == magpie.KindConflict {
		return magpie.User{}, errOwnerExists() // another form was sent at the same time
	}
	return user, err
}

func errOwnerExists() error {
	return &magpie.Error{Kind: magpie.KindConflict, Message: "the Owner's account exists already", Hint: "log in"}
}

// Users returns all accounts, oldest first.
func (s *Service) Users(ctx context.Context) ([]magpie.User, error) {
	return store.Query(ctx, s.db, func(tx *store.Tx) ([]magpie.User, error) { return tx.Accounts(ctx) })
}

// CreateUser makes an account for a Manager or a Member. The actor must be allowed to manage users. A taken e-mail is a
// KindConflict.
func (s *Service) CreateUser(ctx context.Context, actor magpie.User, email, name string, role magpie.Role, password magpie.Secret) (magpie.User, error) {
	if err := Require(actor, ManageUsers); err != nil {
		return magpie.User{}, err
	}
	if err := checkRole(role); err != nil {
		return magpie.User{}, err
	}
	user, err := s.create(ctx, actor, email, name, role, password)
	if magpie.KindOf(err) == magpie.KindConflict {
		return magpie.User{}, &magpie.Error{Kind: magpie.KindConflict, Field: "email", Message: "there is an account with this e-mail address", Err: err}
	}
	return user, err
}

// checkRole refuses roles that can't be given: the Owner's comes with the set-up only.
func checkRole(role magpie.Role) error {
	if role == magpie.RoleManager || role == magpie.RoleMember {
		return nil
	}
	return &magpie.Error{Kind: magpie.KindInvalid, Field: "role", Message: "this role can't be given", Hint: "choose manager or member"}
}

func (s *Service) create(ctx context.Context, actor magpie.User, email, name string, role magpie.Role, password magpie.Secret) (magpie.User, error) {
	email, err := cleanEmail(email)
	if err != nil {
		return magpie.User{}, err
	}
	if name, err = cleanName(name); err != nil {
		return magpie.User{}, err
	}
	if err := checkPassword(password, email, name); err != nil {
		return magpie.User{}, err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return magpie.User{}, err
	}
	user := magpie.User{ID: store.NewID[magpie.UserID](), Email: email, Name: name, Role: role, CreatedAt: s.now().UTC().Truncate(time.Microsecond)}
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		if err := tx.AddAccount(ctx, user, hash); err != nil {
			return err
		}
		return tx.Audit(ctx, actor, "user.created", email, string(role))
	})
	if err != nil {
		return magpie.User{}, err
	}
	return user, nil
}

// cleanEmail returns an address in the form in which accounts have it: bare and in lower case.
func cleanEmail(text string) (string, error) {
	email := strings.ToLower(strings.TrimSpace(text))
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > 254 || strings.ContainsFunc(email, unicode.IsControl) {
		return "", &magpie.Error{Kind: magpie.KindInvalid, Field: "email", Message: "this is not an e-mail address", Hint: "write it as name@example.com"}
	}
	return email, nil
}

func cleanName(text string) (string, error) {
	name := strings.Join(strings.Fields(text), " ")
	if name == "" || utf8.RuneCountInString(name) > 100 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", &magpie.Error{Kind: magpie.KindInvalid, Field: "name", Message: "the name must have 1 to 100 characters"}
	}
	return name, nil
}

// SetRole gives an account another role. Nobody changes the Owner's or their own.
func (s *Service) SetRole(ctx context.Context, actor magpie.User, id magpie.UserID, role magpie.Role) error {
	if err := checkRole(role); err != nil {
		return err
	}
	return s.change(ctx, actor, id, func(tx *store.Tx, user magpie.User) error {
		if user.Role == role {
			return nil
		}
		if err := tx.SetAccountRole(ctx, id, role); err != nil {
			return err
		}
		return tx.Audit(ctx, actor, "user.role", user.Email, string(user.Role)+" → "+string(role))
	})
}

// SetDisabled shuts an account out, ending its sessions and tokens at once, or lets it in again. Nobody does it to the
// Owner or to themselves.
func (s *Service) SetDisabled(ctx context.Context, actor magpie.User, id magpie.UserID, disabled bool) error {
	return s.change(ctx, actor, id, func(tx *store.Tx, user magpie.User) error {
		if user.Disabled == disabled {
			return nil
		}
		if err := tx.SetAccountDisabled(ctx, id, disabled); err != nil {
			return err
		}
		action := "user.enabled"
		if disabled {
			action = "user.disabled"
			if err := endAll(ctx, tx, id); err != nil {
				return err
			}
		}
		return tx.Audit(ctx, actor, action, user.Email, "")
	})
}

// ResetPassword gives another person's account a new password and ends its sessions and tokens. Nobody does it to the
// Owner; for their own account people use ChangePassword.
func (s *Service) ResetPassword(ctx context.Context, actor magpie.User, id magpie.UserID, password magpie.Secret) error {
	if err := Require(actor, ManageUsers); err != nil {
		return err
	}
	user, err := store.Query(ctx, s.db, func(tx *store.Tx) (magpie.User, error) { return tx.Account(ctx, id) })
	if err != nil {
		return err
	}
	if err := untouchable(actor, user); err != nil {
		return err
	}
	hash, err := s.checkedHash(ctx, user, password)
	if err != nil {
		return err
	}
	return s.change(ctx, actor, id, func(tx *store.Tx, user magpie.User) error {
		return storePassword(ctx, tx, actor, user, hash, "user.password_reset", "")
	})
}

// OperatorReset gives an account, also the Owner's, a new password and ends its sessions and tokens. It is for the
// command line: who can read the database needs no permission.
func (s *Service) OperatorReset(ctx context.Context, email string, password magpie.Secret) error {
	email, err := cleanEmail(email)
	if err != nil {
		return err
	}
	user, err := store.Query(ctx, s.db, func(tx *store.Tx) (magpie.User, error) {
		u, _, err := tx.AccountByEmail(ctx, email)
		return u, err
	})
	if err != nil {
		return err
	}
	hash, err := s.checkedHash(ctx, user, password)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		return storePassword(ctx, tx, magpie.User{}, user, hash, "user.password_reset", "by the operator, on the command line")
	})
}

// ChangePassword replaces the user's own password, who proves it is them by the old one, and ends all their sessions,
// this one too. A wrong old password counts like a failed login.
func (s *Service) ChangePassword(ctx context.Context, actor magpie.User, old, password magpie.Secret) error {
	user, verified, err := s.verify(ctx, actor.Email, old, "")
	if err != nil {
		return asOldPassword(err)
	}
	hash, err := s.checkedHash(ctx, user, password)
	if err != nil {
		return err
	}
	return asOldPassword(s.replacePassword(ctx, user.ID, verified, hash))
}

// asOldPassword turns a refused login into a refused form.
func asOldPassword(err error) error {
	if err != nil && magpie.KindOf(err) == magpie.KindUnauthorized {
		return &magpie.Error{Kind: magpie.KindInvalid, Field: "old_password", Message: "this is not your password", Err: err}
	}
	return err
}

// replacePassword stores the hash of an account's new password if the old one's is still the one that was verified.
func (s *Service) replacePassword(ctx context.Context, id magpie.UserID, verified, hash string) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		user, err := lockVerified(ctx, tx, id, verified)
		if err != nil {
			return err
		}
		if err := tx.SetAccountPassword(ctx, user.ID, hash); err != nil {
			return err
		}
		if err := tx.DeleteSessionsOf(ctx, user.ID); err != nil {
			return err
		}
		return tx.Audit(ctx, user, "user.password_changed", user.Email, "")
	})
}

func (s *Service) checkedHash(ctx context.Context, user magpie.User, password magpie.Secret) (string, error) {
	if err := checkPassword(password, user.Email, user.Name); err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password)
}

func storePassword(ctx context.Context, tx *store.Tx, actor, user magpie.User, hash, action, detail string) error {
	err := errors.Join(
		tx.SetAccountPassword(ctx, user.ID, hash),
		endAll(ctx, tx, user.ID),
		tx.ForgetLogins(ctx, accountSubject(user.Email)),
	)
	if err != nil {
		return err
	}
	return tx.Audit(ctx, actor, action, user.Email, detail)
}

func endAll(ctx context.Context, tx *store.Tx, id magpie.UserID) error {
	if err := tx.DeleteSessionsOf(ctx, id); err != nil {
		return err
	}
	return tx.DeleteAPITokensOf(ctx, id)
}

// change runs fn on another person's account, which nobody else can change meanwhile.
func (s *Service) change(ctx context.Context, actor magpie.User, id magpie.UserID, fn func(*store.Tx, magpie.User) error) error {
	if err := Require(actor, ManageUsers); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		user, err := tx.LockAccount(ctx, id)
		if err != nil {
			return err
		}
		if err := untouchable(actor, user); err != nil {
			return err
		}
		return fn(tx, user)
	})
}

// untouchable is the rule about whose account can't be changed by whom.
func untouchable(actor, user magpie.User) error {
	switch {
	case user.Role == magpie.RoleOwner:
		return &magpie.Error{Kind: magpie.KindForbidden, Message: "the Owner's account can be changed by the Owner only", Hint: "the Owner uses “Change password”"}
	case user.ID == actor.ID:
		return &magpie.Error{Kind: magpie.KindConflict, Message: "this is your own account", Hint: "ask another Manager or the Owner"}
	}
	return nil
}
