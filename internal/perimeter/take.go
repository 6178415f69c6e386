package perimeter

import (
	"context"
	"slices"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// take stores repositories batch by batch, each with the jobs that its news make necessary; last belongs to the last batch.
func (p *pass) take(ctx context.Context, infos []bitbucket.RepoInfo, last func(*store.Tx) error) error {
	for {
		batch := infos[:min(takeBatch, len(infos))]
		infos = infos[len(batch):]
		err := p.write(ctx, func(tx *store.Tx) error {
			if err := p.takeBatch(ctx, tx, batch); err != nil || len(infos) > 0 {
				return err
			}
			return last(tx)
		})
		if err != nil || len(infos) == 0 {
			return err
		}
	}
}

// takeBatch stores what changed; what did not is marked as seen with one statement.
func (p *pass) takeBatch(ctx context.Context, tx *store.Tx, batch []bitbucket.RepoInfo) error {
	var ids []int64
	var inside []magpie.Project
	for _, info := range batch {
		ids, inside = append(ids, info.Repo.RemoteID), append(inside, info.Project)
	}
	projects, err := p.takeProjects(ctx, tx, inside)
	if err != nil {
		return err
	}
	rows, err := tx.ReposByRemoteIDs(ctx, p.i.ID, ids)
	if err != nil {
		return err
	}
	known := map[int64]magpie.Repo{}
	for _, r := range rows {
		known[r.RemoteID] = r
	}
	var same []magpie.RepoID
	for _, info := range batch {
		r, project := info.Repo, projects[info.Project.RemoteID]
		old, ok := known[r.RemoteID]
		switch {
		case !ok:
			if err = p.takeNewRepo(ctx, tx, project, r); err == nil {
				old, err = tx.RepoByRemoteID(ctx, p.i.ID, r.RemoteID)
				known[r.RemoteID] = old // should the list hold it twice
			}
		case unchanged(old, project, r):
			same = append(same, old.ID)
		default:
			err = p.takeRepo(ctx, tx, project, old, r)
		}
		if err != nil {
			return err
		}
	}
	return tx.SetReposSeen(ctx, same, p.id)
}

// unchanged reports whether Bitbucket says of a repository what is on record.
func unchanged(old magpie.Repo, project magpie.Project, r magpie.Repo) bool {
	return old.ProjectID == project.ID && old.ProjectKey == project.Key && old.Slug == r.Slug && old.Name == r.Name &&
		old.CloneURL == r.CloneURL && old.BrowseURL == r.BrowseURL && old.State == r.State && old.StateReason == r.StateReason
}

// takeProjects stores projects, those that changed one by one, and returns them by Bitbucket's id.
func (p *pass) takeProjects(ctx context.Context, tx *store.Tx, all []magpie.Project) (map[int64]magpie.Project, error) {
	var ids []int64
	for _, project := range all {
		if !slices.Contains(ids, project.RemoteID) {
			ids = append(ids, project.RemoteID)
		}
	}
	rows, err := tx.ProjectsByRemoteIDs(ctx, p.i.ID, ids)
	if err != nil {
		return nil, err
	}
	projects := map[int64]magpie.Project{}
	for _, project := range rows {
		projects[project.RemoteID] = project
	}
	var same []magpie.ProjectID
	for _, project := range all {
		old, ok := projects[project.RemoteID]
		if ok && old.Key == project.Key && old.Name == project.Name && old.Personal == project.Personal {
			same = append(same, old.ID)
			continue
		}
		if projects[project.RemoteID], err = p.takeProject(ctx, tx, project); err != nil {
			return nil, err
		}
	}
	slices.Sort(same)
	return projects, tx.SetProjectsSeen(ctx, slices.Compact(same), p.id)
}

func (p *pass) takeProject(ctx context.Context, tx *store.Tx, project magpie.Project) (magpie.Project, error) {
	project.IntegrationID = p.i.ID
	project.Installed = p.i.Mode == magpie.ModeInstance
	return tx.PutProject(ctx, project, p.id)
}

// takeOne stores what Bitbucket says about one repository outside a list.
func (p *pass) takeOne(ctx context.Context, tx *store.Tx, info bitbucket.RepoInfo) error {
	return p.takeBatch(ctx, tx, []bitbucket.RepoInfo{info})
}

// takeRepo stores what changed about a repository, and begins or ends watching it where that follows.
func (p *pass) takeRepo(ctx context.Context, tx *store.Tx, project magpie.Project, old, r magpie.Repo) error {
	r.ID, r.IntegrationID, r.ProjectID, r.ProjectKey = old.ID, p.i.ID, project.ID, project.Key
	if err := tx.PutRepo(ctx, r, p.id); err != nil {
		return err
	}
	if p.i.Mode == magpie.ModeProject && old.ProjectID != project.ID {
		// It moved between projects of which perhaps only one was chosen.
		monitored := project.Installed && (old.Monitored || p.watchNew(project))
		if monitored != old.Monitored {
			return setMonitored(ctx, tx, r.ID, monitored)
		}
	}
	if !old.Monitored {
		return nil
	}
	return p.follow(ctx, tx, old, r)
}

// follow does what a change at Bitbucket makes necessary for a repository that is watched. After a change of name its
// webhook is looked for: while the new name was not known, another repository may have got the old one. What could be
// read before, or can again, is compared: events may have been lost, or their scans have ended under the old name. An
// archived repository keeps the webhook it has, which tells nothing until it is brought back, and then at once.
func (p *pass) follow(ctx context.Context, tx *store.Tx, old, r magpie.Repo) error {
	renamed := old.ProjectKey != r.ProjectKey || old.Slug != r.Slug
	back := old.State != magpie.RepoAvailable && r.State == magpie.RepoAvailable
	if renamed || back {
		if err := enqueueSettle(ctx, tx, r.ID); err != nil {
			return err
		}
	}
	if !back && !renamed && !(old.State == magpie.RepoAvailable && r.State == magpie.RepoArchived) {
		return nil
	}
	looked, err := tx.RepoLooked(ctx, r.ID)
	if err != nil || !looked {
		return err
	}
	return p.opts.Scans.Look(ctx, tx, r.ID, "")
}

func (p *pass) takeNewRepo(ctx context.Context, tx *store.Tx, project magpie.Project, r magpie.Repo) error {
	r.IntegrationID, r.ProjectID, r.ProjectKey = p.i.ID, project.ID, project.Key
	r.ID, r.CreatedAt = store.NewID[magpie.RepoID](), p.opts.Now()
	r.Monitored, r.Hook, r.History = project.Installed && p.watchNew(project), magpie.HookNone, magpie.HistoryNone
	if r.Monitored {
		r.Hook = magpie.HookPending
	}
	if err := tx.PutRepo(ctx, r, p.id); err != nil {
		return err
	}
	if !r.Monitored {
		return nil
	}
	return enqueueSettle(ctx, tx, r.ID)
}

// watchNew reports whether a repository that is new in a project is monitored without being asked for. All that a project
// holds when a user chooses it is; afterwards the project's own default counts, and where it has none the integration's.
func (p *pass) watchNew(project magpie.Project) bool {
	switch {
	case p.i.Mode == magpie.ModeProject && project.SyncedAt.IsZero():
		return true
	case project.AutoMonitor != magpie.ProjectAsIntegration:
		return project.AutoMonitor == magpie.ProjectMonitorNew
	}
	return p.i.AutoMonitor
}
