package perimeter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// Probe is what can be known about a Bitbucket and a token before they are connected.
type Probe struct {
	BaseURL     string // in its one form
	Version     string
	TokenUser   string
	SysAdmin    string   // "yes", or "unknown" where the instance does not tell; a plain no is refused
	Projects    int      // that the token can see, personal ones not counted
	Repos       int      // that the token can see
	Archived    int      // of these, archived, which need no webhook
	ReposAdmin  int      // of Repos, that it can put webhooks on
	NoAdmin     []string // up to ten repositories that it can't
	Installable []magpie.Project

	TokenExpires      time.Time // zero: never, or not known
	TokenNeverExpires bool      // Bitbucket says that it does not expire

	admin map[int64]bool // Bitbucket's ids of the repositories counted in ReposAdmin
}

// expiry returns when the token expires: as Bitbucket says, or else as a person does.
func (p *Probe) expiry(said time.Time) time.Time {
	if p.TokenNeverExpires || !p.TokenExpires.IsZero() {
		return p.TokenExpires
	}
	return said
}

// maxNoAdmin is how many repositories without permission are named.
const maxNoAdmin = 10

func asPublic(err error) *magpie.Error {
	e, _ := errors.AsType[*magpie.Error](err)
	return e
}

// Check finds out whether a Bitbucket can be connected in a mode, asking it but storing nothing. Each way in which it
// can't is its own *magpie.Error for the field "url" or "token".
func (s *Service) Check(ctx context.Context, mode magpie.Mode, rawURL string, token magpie.Secret) (Probe, error) {
	if mode != magpie.ModeInstance && mode != magpie.ModeProject {
		return Probe{}, &magpie.Error{
			Kind: magpie.KindInvalid, Field: "mode", Message: fmt.Sprintf("%q is not a way to integrate", mode),
			Hint: "choose instance or project",
		}
	}
	base, err := bitbucket.ParseBaseURL(rawURL)
	if err != nil {
		return Probe{}, err
	}
	token = magpie.NewSecret(strings.TrimSpace(string(token.Reveal())))
	if err := checkTokenText(token); err != nil {
		return Probe{}, err
	}
	c := bitbucket.New(s.opts.HTTP, base, token, nil)
	ctx = bitbucket.Urgent(ctx) // a person waits for it
	instance, err := c.Probe(ctx)
	if err != nil {
		return Probe{}, err
	}
	c.KeepPace(s.pace(base, instance.Username))
	p := Probe{BaseURL: base, Version: instance.Version, TokenUser: instance.Username}
	if mode == magpie.ModeInstance {
		if err := p.checkSysAdmin(ctx, c); err != nil {
			return Probe{}, err
		}
	}
	if err := p.survey(ctx, c); err != nil {
		return Probe{}, err
	}
	if err := p.sufficient(mode); err != nil {
		return p, err
	}
	expires, known := s.tokenExpiry(ctx, c)
	p.TokenExpires, p.TokenNeverExpires = expires, known && expires.IsZero()
	return p, nil
}

// Recheck does what Check does for a connected integration, with the token that is stored. It changes nothing.
func (s *Service) Recheck(ctx context.Context, id magpie.IntegrationID) (Probe, error) {
	i, err := s.integration(ctx, id)
	if err != nil {
		return Probe{}, err
	}
	sealed, err := store.Query(ctx, s.opts.DB, func(tx *store.Tx) ([]byte, error) { return tx.IntegrationToken(ctx, id) })
	if err != nil {
		return Probe{}, err
	}
	token, err := s.opts.Keys.Open(seal.Credentials, tokenPlace(id), sealed)
	if err != nil {
		return Probe{}, err
	}
	return s.Check(ctx, i.Mode, i.BaseURL, token)
}

// checkTokenText refuses what can't be a token before it is sent anywhere.
func checkTokenText(token magpie.Secret) error {
	message := ""
	switch text := token.Reveal(); {
	case len(text) == 0:
		message = "the access token is missing"
	case len(text) > 1000, slices.ContainsFunc(text, func(b byte) bool { return b <= ' ' || b > '~' }):
		message = "this is not an access token: it holds blanks or other characters that none has"
	default:
		return nil
	}
	return &magpie.Error{
		Kind: magpie.KindInvalid, Field: "token", Message: message,
		Hint: "create an HTTP access token in Bitbucket with Project read and Repository admin permission and without expiry, and enter it here",
	}
}

// checkSysAdmin refuses a user who is surely no system administrator. No token can prove that it is, so an instance that
// does not answer the question is believed.
func (p *Probe) checkSysAdmin(ctx context.Context, c *bitbucket.Client) error {
	yes, err := c.IsSysAdmin(ctx, p.TokenUser)
	switch kind := magpie.KindOf(err); {
	case err == nil && !yes:
		return &magpie.Error{
			Kind: magpie.KindForbidden, Field: "token",
			Message: fmt.Sprintf("the token's user %s is not a system administrator (SYSADMIN) of %s", p.TokenUser, p.BaseURL),
			Hint:    "use the token of a system administrator, or monitor only certain projects",
		}
	case err == nil:
		p.SysAdmin = "yes"
	case kind == magpie.KindForbidden || kind == magpie.KindNotFound || kind == magpie.KindInvalid:
		p.SysAdmin = "unknown"
	default:
		return err
	}
	return nil
}

// survey counts what the token can see and administer.
func (p *Probe) survey(ctx context.Context, c *bitbucket.Client) error {
	for _, err := range c.Projects(ctx) {
		if err != nil {
			return err
		}
		p.Projects++
	}
	p.admin = map[int64]bool{}
	var err error
	if p.Installable, err = installable(ctx, c, p.admin); err != nil {
		return err
	}
	p.ReposAdmin = len(p.admin)
	for info, err := range c.AllRepos(ctx, bitbucket.ScopeVisible) {
		if err != nil {
			return err
		}
		p.Repos++
		if info.Repo.State == magpie.RepoArchived {
			p.Archived++
		}
		if !p.admin[info.Repo.RemoteID] && len(p.NoAdmin) < maxNoAdmin {
			p.NoAdmin = append(p.NoAdmin, info.Repo.FullName())
		}
	}
	return nil
}

// installable returns the projects that the token administers or has a repository in that it administers, by key. The second
// counts because a token with Project read, which is all we ask for, administers no project whatever its user may do.
// The ids of those repositories are added to admin.
func installable(ctx context.Context, c *bitbucket.Client, admin map[int64]bool) ([]magpie.Project, error) {
	byID := map[int64]magpie.Project{}
	for p, err := range c.AdminProjects(ctx) {
		if err != nil {
			return nil, err
		}
		byID[p.RemoteID] = p
	}
	for info, err := range c.AllRepos(ctx, bitbucket.ScopeAdmin) {
		if err != nil {
			return nil, err
		}
		admin[info.Repo.RemoteID] = true
		byID[info.Project.RemoteID] = info.Project
	}
	var all []magpie.Project
	for _, p := range byID {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b magpie.Project) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// sufficient reports whether the token can do the work at all.
func (p *Probe) sufficient(mode magpie.Mode) error {
	switch {
	case p.Projects == 0 && slices.ContainsFunc(p.NoAdmin, func(name string) bool { return !strings.HasPrefix(name, "~") }),
		p.Projects == 0 && slices.ContainsFunc(p.Installable, func(i magpie.Project) bool { return !i.Personal }):
		return missing("the access token has no Project read permission", "it sees repositories, but not the projects they are in; ")
	case p.ReposAdmin > 0, mode == magpie.ModeProject && len(p.Installable) > 0, mode == magpie.ModeInstance && p.Repos == 0 && p.SysAdmin == "yes":
		return nil
	case p.Repos == 0:
		return missing("the access token sees no project and no repository", "")
	case mode == magpie.ModeProject:
		return missing(fmt.Sprintf("the access token has no Repository admin permission in any project (it can only read %s)", p.examples()), "")
	}
	return missing(fmt.Sprintf("the access token has no Repository admin permission on any of the %d repositories that it sees, such as %s",
		p.Repos, p.examples()), "")
}

func (p *Probe) examples() string {
	more := ""
	if p.Repos > len(p.NoAdmin) {
		more = fmt.Sprintf(" and %d more", p.Repos-len(p.NoAdmin))
	}
	return strings.Join(p.NoAdmin, ", ") + more
}

func missing(message, why string) error {
	return &magpie.Error{
		Kind: magpie.KindForbidden, Field: "token", Message: message,
		Hint: why + "create a token with Project read and Repository admin permission, for a user who administers what shall be monitored",
	}
}
