package bitbucketsim

import (
	"fmt"
	"slices"
	"strings"
)

// User describes a user to create. Only Name is needed.
type User struct {
	Name        string // login name; the slug follows from it
	DisplayName string // default Name
	Email       string // default the slug at example.com
	Password    string // empty for none: only tokens work
	Permission  string // global permission: "" (licensed only), PROJECT_CREATE, ADMIN or SYS_ADMIN
}

// userSlug is the lower-cased name with reserved characters replaced.
func userSlug(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("@/\\ :", r) {
			return '_'
		}
		return r
	}, strings.ToLower(name))
}

// CreateUser creates a licensed user and returns the slug.
func (s *Server) CreateUser(u User) (slug string, err error) {
	if u.Name == "" {
		return "", fmt.Errorf("a user needs a name")
	}
	slug = userSlug(u.Name)
	setDefault(&u.DisplayName, u.Name)
	setDefault(&u.Email, slug+"@example.com")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.userBySlug[slug] != nil {
		return "", fmt.Errorf("user %s exists", slug)
	}
	s.addUser(&user{Name: u.Name, Slug: slug, DisplayName: u.DisplayName, Email: u.Email, Password: u.Password, Global: u.Permission})
	return slug, nil
}

func (s *Server) addUser(u *user) *user {
	u.ID = s.nextID()
	u.ProjectPerm, u.RepoPerm = map[int]level{}, map[int]level{}
	s.st.Users = append(s.st.Users, u)
	s.indexUser(u)
	return u
}

// editUser changes a user under the lock.
func (s *Server) editUser(slug string, edit func(*user)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.index.userBySlug[slug]
	if u == nil {
		return fmt.Errorf("no user %s", slug)
	}
	edit(u)
	return nil
}

// SetLicensed gives a user a licence or takes it away; without one every authenticated call is refused.
func (s *Server) SetLicensed(slug string, licensed bool) error {
	return s.editUser(slug, func(u *user) { u.Unlicensed = !licensed })
}

// SetTwoStep makes the server refuse all credentials of a user with a sentence about two-step verification, or not.
func (s *Server) SetTwoStep(slug string, required bool) error {
	return s.editUser(slug, func(u *user) { u.TwoStep = required })
}

// DeleteUser deletes a user with all tokens; pushes and pull requests keep the name.
func (s *Server) DeleteUser(slug string) error {
	return s.editUser(slug, func(u *user) {
		u.Deleted = true
		s.st.Tokens = slices.DeleteFunc(s.st.Tokens, func(t *token) bool { return t.UserID == u.ID })
		s.reindex()
	})
}

// RenameUser gives a user another name, and with it another slug. The key of the personal project changes too; old
// addresses below it stay known.
func (s *Server) RenameUser(slug, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, to := s.index.userBySlug[slug], userSlug(name)
	if u == nil || s.index.userBySlug[to] != nil {
		return fmt.Errorf("user %s can't become %s", slug, to)
	}
	u.Name, u.Slug = name, to
	for _, p := range s.st.Projects {
		if p.OwnerID == u.ID {
			s.st.KeyAlias[p.Key] = p.ID
			p.Key = "~" + strings.ToUpper(to)
			delete(s.st.KeyAlias, p.Key)
		}
	}
	s.reindex()
	return nil
}

// SetActive disables or enables a user.
func (s *Server) SetActive(slug string, active bool) error {
	return s.editUser(slug, func(u *user) { u.Inactive = !active })
}

// SetGlobalPermission replaces a user's global permission: "", PROJECT_CREATE, ADMIN or SYS_ADMIN.
func (s *Server) SetGlobalPermission(slug, permission string) error {
	return s.editUser(slug, func(u *user) { u.Global = permission })
}

// GrantProject gives a user a permission in a project: PROJECT_READ, PROJECT_WRITE, PROJECT_ADMIN, or "" for none.
func (s *Server) GrantProject(slug, key, permission string) error {
	lvl, err := parseLevel(permission, "PROJECT_")
	if err != nil {
		return err
	}
	s.mu.RLock()
	p := s.findProject(key)
	s.mu.RUnlock()
	if p == nil {
		return fmt.Errorf("no project %s", key)
	}
	return s.editUser(slug, func(u *user) { u.ProjectPerm[p.ID] = lvl })
}

// GrantRepo gives a user a permission on a repository: REPO_READ, REPO_WRITE, REPO_ADMIN, or "" for none.
func (s *Server) GrantRepo(slug string, repoID int, permission string) error {
	lvl, err := parseLevel(permission, "REPO_")
	if err != nil {
		return err
	}
	return s.editUser(slug, func(u *user) { u.RepoPerm[repoID] = lvl })
}

func parseLevel(permission, prefix string) (level, error) {
	switch permission {
	case "":
		return none, nil
	case prefix + "READ":
		return read, nil
	case prefix + "WRITE":
		return write, nil
	case prefix + "ADMIN":
		return admin, nil
	}
	return none, fmt.Errorf("%q is not a %s permission", permission, strings.TrimSuffix(prefix, "_"))
}

var globalPermissions = []string{"LICENSED_USER", "PROJECT_CREATE", "ADMIN", "SYS_ADMIN"}

func (u *user) has(permission string) bool {
	return slices.Index(globalPermissions, permission) <= max(0, slices.Index(globalPermissions, u.Global))
}

func (c *call) listUsers() (any, error) {
	if c.who.user == nil {
		return nil, c.s.refusal(c.who)
	}
	permission, filter := c.query("permission"), strings.ToLower(c.query("filter"))
	if permission != "" && !slices.Contains(globalPermissions, permission) {
		return nil, errInvalid("permission", permission+" is not a global permission")
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	match := func(u *user) bool {
		return !u.Service && !u.Inactive && !u.Deleted && (permission == "" || u.has(permission)) &&
			(strings.Contains(strings.ToLower(u.Name), filter) || strings.Contains(strings.ToLower(u.DisplayName), filter) ||
				strings.Contains(strings.ToLower(u.Email), filter))
	}
	return filtered(c, c.s.st.Users, match, func(u *user) *userView { return c.s.userView(u, true) })
}

func (c *call) getUser() (any, error) {
	if c.who.user == nil {
		return nil, c.s.refusal(c.who)
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	u := c.s.index.userBySlug[strings.ToLower(c.r.PathValue("user"))]
	if u == nil {
		return nil, errNoUser(c.r.PathValue("user"))
	}
	return c.s.userView(u, true), nil
}
