package ui

import (
	"context"
	"net/http"
	"time"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/access"
)

// membersPage lists the accounts and holds the form for a new one.
type membersPage struct {
	Members []memberRow
	Form    magpie.User
	Problem problem
}

type memberRow struct {
	magpie.User
	Created    timestamp
	MayChange  bool // by who looks
	Yourself   bool
	RoleURL    templ.SafeURL
	DisableURL templ.SafeURL
	ResetURL   templ.SafeURL
}

func (s *server) serveMembers(w http.ResponseWriter, r *http.Request) error {
	return s.answerMembers(w, r, http.StatusOK, magpie.User{Role: magpie.RoleMember}, problem{})
}

func (s *server) answerMembers(w http.ResponseWriter, r *http.Request, status int, form magpie.User, p problem) error {
	page, err := s.pages.members(r.Context(), userOf(r))
	if err != nil {
		return err
	}
	page.Form, page.Problem = form, p
	return s.render(w, r, status, membersView(s.frame(r, "Members", sectionSettings), page))
}

func (p Pages) members(ctx context.Context, user magpie.User) (page membersPage, err error) {
	users, err := p.opts.Access.Users(ctx)
	for _, u := range users {
		page.Members = append(page.Members, memberRow{
			User: u, Created: at(u.CreatedAt, p.now()), Yourself: u.ID == user.ID, MayChange: u.ID != user.ID && u.Role != magpie.RoleOwner,
			RoleURL: idURL("/settings/members", u.ID, "role"), DisableURL: idURL("/settings/members", u.ID, "disabled"),
			ResetURL: idURL("/settings/members", u.ID, "password"),
		})
	}
	return page, err
}

func (s *server) addMember(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	form := magpie.User{Name: r.PostForm.Get("name"), Email: r.PostForm.Get("email"), Role: magpie.Role(r.PostForm.Get("role"))}
	_, err := s.opts.Access.CreateUser(r.Context(), userOf(r), form.Email, form.Name, form.Role, magpie.NewSecret(r.PostForm.Get("password")))
	if kind := magpie.KindOf(err); err != nil && (kind == magpie.KindInvalid || kind == magpie.KindConflict) {
		return s.answerMembers(w, r, statusOf[kind], form, s.problemOf(r, err))
	}
	if err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/members"), "member")
}

func memberID(r *http.Request) magpie.UserID { return magpie.UserID(r.PathValue("id")) }

func (s *server) setRole(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if err := s.opts.Access.SetRole(r.Context(), userOf(r), memberID(r), magpie.Role(r.PostForm.Get("role"))); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/members"), "role")
}

func (s *server) setDisabled(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	disabled, note := r.PostForm.Get("disabled") == "yes", "enabled"
	if disabled {
		note = "disabled"
	}
	if err := s.opts.Access.SetDisabled(r.Context(), userOf(r), memberID(r), disabled); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/members"), note)
}

func (s *server) resetPassword(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if err := s.opts.Access.ResetPassword(r.Context(), userOf(r), memberID(r), magpie.NewSecret(r.PostForm.Get("password"))); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/members"), "reset")
}

// tokensPage lists one's own API tokens.
type tokensPage struct {
	Tokens  []tokenRow
	Name    string
	Created string // the new token, only in the answer to its creation
	Problem problem
}

type tokenRow struct {
	access.APIToken
	Made, Used timestamp
	Expiry     string
	Expired    bool
	RevokeURL  templ.SafeURL
}

// tokenLives are the lifetimes that a user may choose, in days.
var tokenLives = []int{30, 90, 365}

func (s *server) serveTokens(w http.ResponseWriter, r *http.Request) error {
	return s.answerTokens(w, r, http.StatusOK, tokensPage{})
}

func (s *server) answerTokens(w http.ResponseWriter, r *http.Request, status int, page tokensPage) error {
	rows, err := s.pages.tokens(r.Context(), userOf(r))
	if err != nil {
		return err
	}
	page.Tokens = rows
	return s.render(w, r, status, tokensView(s.frame(r, "API tokens", sectionSettings), page))
}

func (p Pages) tokens(ctx context.Context, user magpie.User) (rows []tokenRow, err error) {
	tokens, err := p.opts.Access.Tokens(ctx, user)
	now := p.now()
	for _, t := range tokens {
		row := tokenRow{APIToken: t, Made: at(t.CreatedAt, now), Used: at(t.UsedAt, now), Expiry: "never", RevokeURL: idURL("/settings/tokens", t.ID, "revoke")}
		if !t.ExpiresAt.IsZero() {
			row.Expiry, row.Expired = t.ExpiresAt.UTC().Format("2 Jan 2006"), t.ExpiresAt.Before(now)
		}
		rows = append(rows, row)
	}
	return rows, err
}

// createToken answers with the page itself and the token in it, because it can't be shown again.
func (s *server) createToken(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	page := tokensPage{Name: r.PostForm.Get("name")}
	var life time.Duration
	for _, days := range tokenLives {
		if r.PostForm.Get("days") == itoa(days) {
			life = time.Duration(days) * 24 * time.Hour
		}
	}
	if life == 0 {
		return &magpie.Error{Kind: magpie.KindInvalid, Field: "days", Message: "there is no such lifetime", Hint: "go back and choose one of the list"}
	}
	token, _, err := s.opts.Access.CreateToken(r.Context(), userOf(r), page.Name, life)
	if kind := magpie.KindOf(err); err != nil && (kind == magpie.KindInvalid || kind == magpie.KindConflict || kind == magpie.KindTooLarge) {
		page.Problem = s.problemOf(r, err)
		return s.answerTokens(w, r, statusOf[kind], page)
	}
	if err != nil {
		return err
	}
	return s.answerTokens(w, r, http.StatusOK, tokensPage{Created: string(token.Reveal())})
}

func (s *server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := s.opts.Access.RevokeToken(r.Context(), userOf(r), magpie.TokenID(r.PathValue("id"))); err != nil {
		return err
	}
	return s.done(w, r, pathURL("/settings/tokens"), "revoked")
}

func (s *server) serveAccount(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, accountView(s.frame(r, "Your account", sectionNone), problem{}))
}

func (s *server) changePassword(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	user, password := userOf(r), magpie.NewSecret(r.PostForm.Get("password"))
	err := s.opts.Access.ChangePassword(r.Context(), user, magpie.NewSecret(r.PostForm.Get("old_password")), password)
	if kind := magpie.KindOf(err); err != nil && kind != magpie.KindInternal && kind != magpie.KindUnavailable {
		p := s.problemOf(r, err)
		return s.render(w, r, statusOf[kind], accountView(s.frame(r, "Your account", sectionNone), p))
	}
	if err != nil {
		return err
	}
	// All sessions ended with the old password; this browser gets a new one.
	token, _, err := s.opts.Access.Login(r.Context(), user.Email, password, s.opts.ClientAddr(r))
	if err != nil {
		return err
	}
	s.setSession(w, token)
	return s.done(w, r, pathURL("/account"), "password")
}
