package api

import (
	"time"

	"magpie"
	"magpie/internal/perimeter"
	"magpie/internal/store"
)

type coverageSumsView struct {
	Monitored      int64      `json:"monitored" doc:"Repositories."`
	Current        int64      `json:"current" doc:"Readable, compared at least once, and nothing is known that was not scanned."`
	NeverCompared  int64      `json:"never_compared" doc:"Their refs were never compared with what was scanned."`
	Unreadable     int64      `json:"unreadable"`
	Waiting        int64      `json:"waiting" doc:"Pushes that were announced and not yet dealt with."`
	OldestWaiting  *time.Time `json:"oldest_waiting,omitempty" doc:"When the oldest of these came."`
	OldestCompared *time.Time `json:"oldest_compared,omitempty" doc:"The longest that a repository was not compared."`
}

func viewCoverageSums(c store.CoverageSums) coverageSumsView {
	return coverageSumsView{
		Monitored: c.Monitored, Current: c.Current, NeverCompared: c.NeverCompared, Unreadable: c.Unreadable, Waiting: c.Waiting,
		OldestWaiting: when(c.OldestWaiting), OldestCompared: when(c.OldestCompared),
	}
}

type coverageRepoView struct {
	RepositoryID  magpie.RepoID        `json:"repository_id"`
	IntegrationID magpie.IntegrationID `json:"integration_id"`
	ProjectID     magpie.ProjectID     `json:"project_id"`
	InstanceURL   string               `json:"instance_url"`
	FullName      string               `json:"full_name" example:"PRJ/service"`
	DefaultBranch string               `json:"default_branch,omitempty" example:"refs/heads/main"`
	State         magpie.RepoState     `json:"state" enum:"available,archived,unavailable,deleted"`
	StateReason   string               `json:"state_reason,omitempty"`
	Hook          magpie.HookState     `json:"hook" enum:"none,pending,installed,failed"`
	HookReason    string               `json:"hook_reason,omitempty"`
	History       magpie.HistoryState  `json:"history" enum:"none,pending,done,failed"`
	Current       bool                 `json:"current" doc:"Readable, compared at least once, and nothing is known that was not scanned."`
	Refs          int64                `json:"refs"`
	RefsScanned   int64                `json:"refs_scanned"`
	Waiting       int64                `json:"waiting" doc:"Pushes that were announced and not yet dealt with."`
	WaitingSince  *time.Time           `json:"waiting_since,omitempty" doc:"When the oldest of these came."`
	ComparedAt    *time.Time           `json:"compared_at,omitempty" doc:"When all refs were last found to be scanned, or were scanned."`
	LastPushAt    *time.Time           `json:"last_push_at,omitempty"`
	LastScanAt    *time.Time           `json:"last_scan_at,omitempty"`
}

func viewCoverageRepo(r store.CoverageRepo) coverageRepoView {
	return coverageRepoView{
		RepositoryID: r.ID, IntegrationID: r.IntegrationID, ProjectID: r.ProjectID, InstanceURL: r.BaseURL, FullName: r.FullName(),
		DefaultBranch: r.DefaultBranch, State: r.State, StateReason: r.StateReason, Hook: r.Hook, HookReason: r.HookReason, History: r.History,
		Current: r.Current, Refs: r.Refs, RefsScanned: r.RefsScanned, Waiting: r.Waiting, WaitingSince: when(r.WaitingSince),
		ComparedAt: when(r.ComparedAt), LastPushAt: when(r.LastPushAt), LastScanAt: when(r.LastScanAt),
	}
}

type refView struct {
	Ref       string      `json:"ref" example:"refs/heads/main"`
	Commit    magpie.Hash `json:"commit" doc:"The commit or tag object up to which the ref is known."`
	ScannedAt *time.Time  `json:"scanned_at,omitempty" doc:"When it was scanned up to there; absent while only a history scan would."`
	Default   bool        `json:"default" doc:"Whether it is the default branch."`
}

func viewRef(r store.CoverageRef) refView {
	return refView{Ref: r.Ref, Commit: r.Hash, ScannedAt: when(r.ScannedAt), Default: r.Default}
}

type sweepView struct {
	ID        string     `json:"id"`
	Reason    string     `json:"reason" enum:"schedule,start,token,request"`
	DownSince *time.Time `json:"down_since,omitempty" doc:"When Magpie was last alive before an outage of its own."`
	BeganAt   time.Time  `json:"began_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Repos     int64      `json:"repositories" doc:"To compare."`
	Compared  int64      `json:"compared"`
	Behind    int64      `json:"behind" doc:"With something new that no event had announced and that was then scanned."`
	Failed    int64      `json:"failed"`
}

func viewSweep(v store.Sweep) sweepView {
	return sweepView{
		ID: v.ID, Reason: v.Reason, DownSince: when(v.DownSince), BeganAt: v.BeganAt, EndedAt: when(v.EndedAt),
		Repos: v.Repos, Compared: v.Compared, Behind: v.Behind, Failed: v.Failed,
	}
}

type probeView struct {
	URL               string     `json:"url" doc:"The address in its one form."`
	Version           string     `json:"version"`
	TokenUser         string     `json:"token_user" doc:"Name of the token's owner."`
	SysAdmin          string     `json:"sysadmin,omitempty" enum:"yes,unknown" doc:"Whether that is a system administrator, which not every instance tells; in the mode instance only."`
	Projects          int        `json:"projects" doc:"That the token can see, personal ones not counted."`
	Repositories      int        `json:"repositories" doc:"That the token can see."`
	Archived          int        `json:"archived" doc:"Of these, archived ones, which need no webhook."`
	Administers       int        `json:"administers" doc:"Repositories on which the token can put webhooks."`
	NotAdministered   []string   `json:"not_administered" doc:"Up to ten repositories for which the token lacks Repository admin."`
	Installable       []string   `json:"installable" doc:"Keys of the projects that can be installed in the mode project."`
	TokenExpiresAt    *time.Time `json:"token_expires_at,omitempty" doc:"Where Bitbucket tells."`
	TokenNeverExpires bool       `json:"token_never_expires" doc:"Bitbucket says that it does not expire."`
}

func viewProbe(p perimeter.Probe) probeView {
	v := probeView{
		URL: p.BaseURL, Version: p.Version, TokenUser: p.TokenUser, SysAdmin: p.SysAdmin, Projects: p.Projects, Repositories: p.Repos,
		Archived: p.Archived, Administers: p.ReposAdmin, NotAdministered: append([]string{}, p.NoAdmin...), Installable: []string{},
		TokenExpiresAt: when(p.TokenExpires), TokenNeverExpires: p.TokenNeverExpires,
	}
	for _, project := range p.Installable {
		v.Installable = append(v.Installable, project.Key)
	}
	return v
}
