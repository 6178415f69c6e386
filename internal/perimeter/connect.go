package perimeter

import (
	"context"
	"fmt"
	"strings"
	"time"

	"magpie"
	"magpie/internal/seal"
	"magpie/internal/store"
)

// ConnectInput is what a person enters to connect a Bitbucket.
type ConnectInput struct {
	Mode         magpie.Mode
	URL          string
	Token        magpie.Secret
	TokenExpires time.Time // what the person says; zero if they don't. What Bitbucket tells goes before
	Autoscan     *bool     // scan the history of each repository that is added; nil means yes
	AutoMonitor  *bool     // monitor repositories and projects that appear later; nil means yes
}

// Connect checks a Bitbucket and a token as Check does, stores the integration and starts its first sync. In ModeProject
// nothing is monitored until a project is installed.
func (s *Service) Connect(ctx context.Context, actor magpie.User, in ConnectInput) (magpie.Integration, error) {
	probe, err := s.Check(ctx, in.Mode, in.URL, in.Token)
	if err != nil {
		return magpie.Integration{}, err
	}
	i := magpie.Integration{
		ID: store.NewID[magpie.IntegrationID](), Mode: in.Mode, BaseURL: probe.BaseURL, Version: probe.Version, TokenUser: probe.TokenUser,
		State: magpie.IntegrationActive, Autoscan: in.Autoscan == nil || *in.Autoscan, AutoMonitor: in.AutoMonitor == nil || *in.AutoMonitor, CreatedBy: actor.ID, CreatedAt: s.opts.Now(),
		TokenExpiresAt: probe.expiry(in.TokenExpires),
	}
	sealed, err := s.sealToken(i.ID, in.Token)
	if err != nil {
		return magpie.Integration{}, err
	}
	err = s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		if err := mayConnect(ctx, tx, i); err != nil {
			return err
		}
		if err := tx.InsertIntegration(ctx, i, sealed); err != nil {
			if magpie.KindOf(err) == magpie.KindConflict {
				return alreadyWhole(i.BaseURL)
			}
			return err
		}
		if err := storeInstallable(ctx, tx, i, probe.Installable, ""); err != nil {
			return err
		}
		detail := fmt.Sprintf("%s level, as %s, Bitbucket %s; administers %d of %d repositories", i.Mode, i.TokenUser, i.Version, probe.ReposAdmin, probe.Repos)
		if err := tx.Audit(ctx, actor, "integration.connected", i.BaseURL, detail); err != nil {
			return err
		}
		if err := s.announceExpiry(ctx, tx, i, s.opts.Now()); err != nil {
			return err
		}
		if err := tx.AddSchedule(ctx, syncSchedule(i.ID), s.opts.Now().Add(s.opts.SyncEvery)); err != nil {
			return err
		}
		return s.wantSync(ctx, tx, i.ID)
	})
	if err != nil {
		return magpie.Integration{}, err
	}
	return i, nil
}

func (s *Service) sealToken(id magpie.IntegrationID, token magpie.Secret) ([]byte, error) {
	return s.opts.Keys.Seal(seal.Credentials, tokenPlace(id), magpie.NewSecret(strings.TrimSpace(string(token.Reveal()))))
}

// mayConnect refuses an integration that would watch what another one watches already.
func mayConnect(ctx context.Context, tx *store.Tx, i magpie.Integration) error {
	all, err := tx.Integrations(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		switch {
		case other.Removing || other.BaseURL != i.BaseURL:
		case other.Mode == magpie.ModeInstance:
			return alreadyWhole(i.BaseURL)
		case i.Mode == magpie.ModeInstance:
			return &magpie.Error{
				Kind: magpie.KindConflict, Field: "url", Message: "certain projects of " + i.BaseURL + " are monitored already",
				Hint: "remove that integration first; its incidents stay",
			}
		}
	}
	return nil
}

func alreadyWhole(base string) error {
	return &magpie.Error{
		Kind: magpie.KindConflict, Field: "url", Message: base + " is already monitored as a whole",
		Hint: "all its projects are watched; to use another token, replace the token of that integration",
	}
}

// storeInstallable stores the projects that can be chosen in ModeProject.
func storeInstallable(ctx context.Context, tx *store.Tx, i magpie.Integration, projects []magpie.Project, syncID string) error {
	if i.Mode != magpie.ModeProject {
		return nil
	}
	for _, p := range projects {
		p.IntegrationID = i.ID
		if _, err := tx.PutProject(ctx, p, syncID); err != nil {
			return err
		}
	}
	return nil
}

// integration returns an integration that is not being removed.
func (s *Service) integration(ctx context.Context, id magpie.IntegrationID) (magpie.Integration, error) {
	return store.Query(ctx, s.opts.DB, func(tx *store.Tx) (magpie.Integration, error) { return liveIntegration(ctx, tx, id) })
}

func liveIntegration(ctx context.Context, tx *store.Tx, id magpie.IntegrationID) (magpie.Integration, error) {
	i, err := tx.Integration(ctx, id)
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
		return i, magpie.Errorf(magpie.KindNotFound, "there is no such integration")
	case err == nil && i.Removing:
		return i, magpie.Errorf(magpie.KindConflict, "the integration of %s is being removed", i.BaseURL)
	}
	return i, err
}
