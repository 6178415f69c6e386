package perimeter

import (
	"context"
	"fmt"
	"slices"
	"time"

	"magpie"
	"magpie/internal/store"
)

// chooseBatch is how many repositories are selected in one transaction.
const chooseBatch = 500

// setMonitored stores whether a repository is watched and, if that changes anything, adds the job that settles its hook.
// What is under way for one that is watched no more is dropped; its tips stay, so that what was missed is found when it is
// selected again.
func setMonitored(ctx context.Context, tx *store.Tx, id magpie.RepoID, monitored bool) error {
	changed, err := tx.SetRepoMonitored(ctx, id, monitored)
	if err != nil || !changed {
		return err
	}
	if !monitored {
		if err := tx.DropQueued(ctx, id, "the repository is no longer monitored", time.Now()); err != nil {
			return err
		}
	}
	return enqueueSettle(ctx, tx, id)
}

// SetSwitches changes whether the histories of repositories that are added later are scanned, and whether repositories that
// appear later are monitored. A nil switch stays as it is.
func (s *Service) SetSwitches(ctx context.Context, actor magpie.User, id magpie.IntegrationID, autoscan, autoMonitor *bool) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := liveIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		if autoscan != nil {
			i.Autoscan = *autoscan
		}
		if autoMonitor != nil {
			i.AutoMonitor = *autoMonitor
		}
		if err := tx.SetIntegrationSwitches(ctx, id, i.Autoscan, i.AutoMonitor); err != nil {
			return err
		}
		return tx.Audit(ctx, actor, "integration.changed", i.BaseURL,
			fmt.Sprintf("scan histories automatically: %t; monitor new repositories: %t", i.Autoscan, i.AutoMonitor))
	})
}

// ProjectSettings is what a user may change about one project. What is nil stays as it is.
type ProjectSettings struct {
	AutoMonitor *magpie.ProjectDefault // whether repositories that appear in it later are monitored
	Insights    *bool                  // whether leaks are reported on the commits of open pull requests
}

// SetProject changes the settings of one project. They count for what happens from now on.
func (s *Service) SetProject(ctx context.Context, actor magpie.User, id magpie.ProjectID, in ProjectSettings) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		p, err := tx.Project(ctx, id)
		if magpie.KindOf(err) == magpie.KindNotFound {
			return magpie.Errorf(magpie.KindNotFound, "there is no such project")
		}
		if err != nil {
			return err
		}
		i, err := liveIntegration(ctx, tx, p.IntegrationID)
		if err != nil {
			return err
		}
		if in.AutoMonitor != nil {
			p.AutoMonitor = *in.AutoMonitor
		}
		if in.Insights != nil {
			p.Insights = *in.Insights
		}
		switch p.AutoMonitor {
		case magpie.ProjectAsIntegration, magpie.ProjectMonitorNew, magpie.ProjectIgnoreNew:
		default:
			return &magpie.Error{
				Kind: magpie.KindInvalid, Field: "auto_monitor", Message: fmt.Sprintf("%q is no default for new repositories", p.AutoMonitor),
				Hint: "it is on, off, or empty for that of the integration",
			}
		}
		if err := tx.SetProjectSettings(ctx, id, p.AutoMonitor, p.Insights); err != nil {
			return err
		}
		monitor := "as the integration says"
		if p.AutoMonitor != magpie.ProjectAsIntegration {
			monitor = string(p.AutoMonitor)
		}
		return tx.Audit(ctx, actor, "project.changed", p.Key, fmt.Sprintf("at %s; monitor new repositories: %s; report to Code Insights: %t", i.BaseURL, monitor, p.Insights))
	})
}

// InstallProject begins or ends the monitoring of a project in ModeProject: all its repositories, and those that appear in
// it later.
func (s *Service) InstallProject(ctx context.Context, actor magpie.User, id magpie.IntegrationID, project magpie.ProjectID, installed bool) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := liveIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		p, err := tx.Project(ctx, project)
		if magpie.KindOf(err) == magpie.KindNotFound || err == nil && p.IntegrationID != id {
			return magpie.Errorf(magpie.KindNotFound, "there is no such project in this integration")
		}
		if err != nil {
			return err
		}
		if err := mayInstall(ctx, tx, i, p, installed); err != nil {
			return err
		}
		changed, err := tx.SetProjectInstalled(ctx, project, installed)
		if err != nil || !changed {
			return err
		}
		repos, err := tx.ProjectRepoIDs(ctx, project)
		if err != nil {
			return err
		}
		for _, repo := range repos {
			if err := setMonitored(ctx, tx, repo, installed); err != nil {
				return err
			}
		}
		action := "project.uninstalled"
		if installed {
			action = "project.installed"
		}
		if err := tx.Audit(ctx, actor, action, p.Key, i.BaseURL); err != nil {
			return err
		}
		return s.wantSync(ctx, tx, id)
	})
}

func mayInstall(ctx context.Context, tx *store.Tx, i magpie.Integration, p magpie.Project, installed bool) error {
	if i.Mode != magpie.ModeProject {
		return magpie.Errorf(magpie.KindConflict, "%s is monitored as a whole; its projects need not be installed", i.BaseURL)
	}
	if !installed {
		return nil
	}
	other, err := tx.ProjectInstalledBy(ctx, p)
	if err != nil {
		return err
	}
	if other != "" {
		return &magpie.Error{
			Kind: magpie.KindConflict, Message: fmt.Sprintf("project %s is already monitored through another token", p.Key),
			Hint: "uninstall it there first",
		}
	}
	return nil
}

// SetMonitored selects or deselects repositories. A deselected one loses its webhook, its queued scans do nothing, events
// that are still under way are refused from now on, and its incidents stay. A selected one is scanned for what was missed.
func (s *Service) SetMonitored(ctx context.Context, actor magpie.User, ids []magpie.RepoID, monitored bool) error {
	action := "repository.deselected"
	if monitored {
		action = "repository.selected"
	}
	for batch := range slices.Chunk(ids, chooseBatch) {
		err := s.opts.DB.Write(ctx, func(tx *store.Tx) error {
			subject := ""
			for _, id := range batch {
				repo, err := mayMonitor(ctx, tx, id, monitored)
				if err != nil {
					return err
				}
				if err := setMonitored(ctx, tx, id, monitored); err != nil {
					return err
				}
				subject = repo.FullName()
			}
			detail := ""
			if len(batch) > 1 {
				subject, detail = fmt.Sprintf("%d repositories", len(batch)), "the last of them is "+subject
			}
			return tx.Audit(ctx, actor, action, subject, detail)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func mayMonitor(ctx context.Context, tx *store.Tx, id magpie.RepoID, monitored bool) (magpie.Repo, error) {
	repo, err := tx.Repo(ctx, id)
	if magpie.KindOf(err) == magpie.KindNotFound {
		return repo, magpie.Errorf(magpie.KindNotFound, "there is no such repository")
	}
	if err != nil {
		return repo, err
	}
	if _, err := liveIntegration(ctx, tx, repo.IntegrationID); err != nil {
		return repo, err
	}
	p, err := tx.Project(ctx, repo.ProjectID)
	if err != nil {
		return repo, err
	}
	if monitored && !p.Installed {
		return repo, &magpie.Error{
			Kind: magpie.KindConflict, Message: fmt.Sprintf("%s is in a project that is not installed", repo.FullName()),
			Hint: "install project " + p.Key + " first",
		}
	}
	return repo, nil
}

// SyncNow starts a full sync of an integration, which tries every refused webhook again.
func (s *Service) SyncNow(ctx context.Context, actor magpie.User, id magpie.IntegrationID) error {
	return s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := liveIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.Audit(ctx, actor, "integration.sync_requested", i.BaseURL, ""); err != nil {
			return err
		}
		if err := tx.ForgetHookWaits(ctx, id); err != nil {
			return err
		}
		return s.wantSync(ctx, tx, id)
	})
}

// StartHistory starts a scan of everything in a repository, however often that was done.
func (s *Service) StartHistory(ctx context.Context, actor magpie.User, id magpie.RepoID) (scan magpie.ScanID, err error) {
	err = s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		scan, err = s.startHistory(ctx, tx, actor, id)
		return err
	})
	return scan, err
}

// RepeatHistory scans the history again that a scan was to look at, which was canceled or failed. Of another scan the
// error is KindConflict.
func (s *Service) RepeatHistory(ctx context.Context, actor magpie.User, ended magpie.ScanID) (scan magpie.ScanID, err error) {
	err = s.opts.DB.Write(ctx, func(tx *store.Tx) error {
		v, err := tx.Scan(ctx, ended)
		switch {
		case err != nil:
			return err
		case v.Kind != magpie.ScanHistory:
			return &magpie.Error{Kind: magpie.KindConflict, Message: "it is the scan of a push", Hint: "the next look at the repository takes up what was pushed"}
		case v.State != magpie.ScanCanceled && v.State != magpie.ScanFailed:
			return magpie.Errorf(magpie.KindConflict, "the scan was neither canceled nor did it fail")
		}
		scan, err = s.startHistory(ctx, tx, actor, v.RepoID)
		return err
	})
	return scan, err
}

func (s *Service) startHistory(ctx context.Context, tx *store.Tx, actor magpie.User, id magpie.RepoID) (magpie.ScanID, error) {
	repo, err := tx.Repo(ctx, id)
	switch {
	case magpie.KindOf(err) == magpie.KindNotFound:
		return "", magpie.Errorf(magpie.KindNotFound, "there is no such repository")
	case err != nil:
		return "", err
	case !repo.Monitored:
		return "", &magpie.Error{Kind: magpie.KindConflict, Message: repo.FullName() + " is not monitored", Hint: "select it first"}
	case repo.State != magpie.RepoAvailable && repo.State != magpie.RepoArchived:
		return "", magpie.Errorf(magpie.KindConflict, "%s can't be read now: %s", repo.FullName(), repo.StateReason)
	}
	scan, err := s.opts.Scans.RequestHistory(ctx, tx, id)
	if err != nil {
		return "", err
	}
	return scan, tx.Audit(ctx, actor, "scan.started", repo.FullName(), "the whole history")
}
