package perimeter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// permissionSample is how many repositories are tried before all are asked for.
const permissionSample = 3

// lostPermission is trouble with a token that Bitbucket accepts, but that may do no more what it is there for.
type lostPermission struct {
	why   *magpie.Error
	blind bool // it sees none of what is monitored either
}

// Error implements error.
func (l *lostPermission) Error() string { return l.why.Error() }

// Unwrap makes the explanation for people be found.
func (l *lostPermission) Unwrap() error { return l.why }

func asLost(err error) (*lostPermission, bool) { return errors.AsType[*lostPermission](err) }

// lostPermission finds out whether the token still may do its work: see projects, and administer at least one of the
// repositories that are monitored. One that can't be administered any more shows at that repository; all of them at once mean
// that somebody took the permission away. It makes two requests while all is well.
func (s *Service) lostPermission(ctx context.Context, i magpie.Integration, c *bitbucket.Client) (*lostPermission, error) {
	var sample []magpie.Repo
	var projects map[int64]bool
	err := s.opts.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if sample, err = tx.MonitoredSample(ctx, i.ID, permissionSample); err != nil {
			return err
		}
		projects, err = tx.MonitoredProjects(ctx, i.ID)
		return err
	})
	if err != nil || len(sample) == 0 {
		return nil, err
	}
	switch admin, err := administers(ctx, c, sample, projects); {
	case err != nil || admin == unsaid:
		return nil, err
	case admin == no:
		return lostAdmin(ctx, c, i, sample)
	}
	sees, err := seesProjects(ctx, c, projects)
	if err != nil || sees {
		return nil, err
	}
	return &lostPermission{why: lost(i, "it has no Project read permission any more",
		"give the token's user Project read permission again, or replace the token")}, nil
}

// said is an answer of Bitbucket, if it gave any.
type said int

const (
	unsaid said = iota
	yes
	no
)

// administers finds out whether the token may see the webhooks of one of a sample, or else administers anything in one of the
// projects. Repositories of the sample that are gone from Bitbucket, or in trouble of their own, say nothing about the token.
func administers(ctx context.Context, c *bitbucket.Client, sample []magpie.Repo, projects map[int64]bool) (said, error) {
	refused := false
	for _, r := range sample {
		err := first(c.Webhooks(ctx, r.ProjectKey, r.Slug))
		if err == nil {
			return yes, nil
		}
		switch magpie.KindOf(err) {
		case magpie.KindForbidden:
			refused = true
		case magpie.KindTokenInvalid, magpie.KindNoLicence, magpie.KindRateLimited, magpie.KindInternal:
			return unsaid, err
		}
	}
	if !refused {
		return unsaid, nil
	}
	for info, err := range c.AllRepos(ctx, bitbucket.ScopeAdmin) {
		if err != nil {
			return unsaid, err
		}
		if _, monitored := projects[info.Project.RemoteID]; monitored {
			return yes, nil
		}
	}
	return no, nil
}

// first returns the error of the first step of a list, if it is one.
func first[T any](seq func(func(T, error) bool)) (err error) {
	for _, err = range seq {
		break
	}
	return err
}

// lostAdmin says what a token that administers nothing any more can do still.
func lostAdmin(ctx context.Context, c *bitbucket.Client, i magpie.Integration, sample []magpie.Repo) (*lostPermission, error) {
	for _, r := range sample {
		_, err := c.Repo(ctx, r.ProjectKey, r.Slug)
		switch magpie.KindOf(err) {
		case magpie.KindNotFound, magpie.KindForbidden:
			continue
		}
		if err != nil {
			return nil, err
		}
		return &lostPermission{why: lost(i, "it has no Repository admin permission any more on what is monitored; what it can read is scanned still",
			"give the token's user Repository admin permission again, or replace the token")}, nil
	}
	return &lostPermission{blind: true, why: lost(i, "it sees none of the monitored repositories any more",
		"give the token's user Project read and Repository admin permission again, or replace the token")}, nil
}

// seesProjects reports whether the token can list a project, which it must if any that is not personal is monitored.
func seesProjects(ctx context.Context, c *bitbucket.Client, projects map[int64]bool) (bool, error) {
	needed := false
	for _, personal := range projects {
		needed = needed || !personal
	}
	if !needed {
		return true, nil
	}
	for _, err := range c.Projects(ctx) {
		if magpie.KindOf(err) == magpie.KindForbidden {
			return false, nil
		}
		return err == nil, err
	}
	return false, nil
}

func lost(i magpie.Integration, what, hint string) *magpie.Error {
	return &magpie.Error{
		Kind: magpie.KindForbidden, Field: "token", Hint: hint,
		Message: fmt.Sprintf("the token of %s works, but %s", strings.TrimSpace(i.TokenUser), what),
	}
}

// sameToken reports whether an integration still has the token that was sealed like this.
func sameToken(ctx context.Context, tx *store.Tx, id magpie.IntegrationID, sealed []byte) (bool, error) {
	now, err := tx.IntegrationToken(ctx, id)
	return bytes.Equal(now, sealed), err
}
