package ui

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"magpie"
	"magpie/internal/store"
)

// repoRow is a repository of the perimeter.
type repoRow struct {
	store.PerimeterRepo
	Hook    badge
	History badge
	Reason  string
	Remedy  string
	Push    timestamp
	Scan    timestamp
	Compare timestamp
	Browse  templ.SafeURL
	Running *scanRow // the scan of its history, if one runs or waits
}

func newRepoRow(r store.PerimeterRepo, i magpie.Integration, now time.Time) repoRow {
	row := repoRow{
		PerimeterRepo: r, Hook: hookBadge(r.Repo), History: historyBadge(r.Repo), Push: at(r.LastPushAt, now),
		Scan: at(r.LastScanAt, now), Compare: at(r.ComparedAt, now), Browse: foreignURL(r.BrowseURL),
	}
	row.Reason, row.Remedy = trouble(r.Repo, i)
	return row
}

// canScan reports whether a history scan can be started now.
func (row repoRow) canScan() bool {
	return row.Monitored && row.PerimeterRepo.History != magpie.HistoryPending &&
		(row.State == magpie.RepoAvailable || row.State == magpie.RepoArchived)
}

// stateBadge names a state of the repository that a person should know of; there is none for one that is as it should be.
func (row repoRow) stateBadge() (badge, bool) {
	switch row.State {
	case magpie.RepoArchived:
		return badge{Label: "Archived", Tone: "idle", Icon: "folder"}, true
	case magpie.RepoUnavailable:
		return badge{Label: "Unreadable", Tone: "bad", Icon: "slash"}, true
	case magpie.RepoDeleted:
		return badge{Label: "Deleted", Tone: "idle", Icon: "trash"}, true
	default:
		return badge{}, false
	}
}

// trouble says why a repository can't be watched, and what to do about it. What concerns all repositories of an integration,
// such as a dead token, its own row says once.
func trouble(r magpie.Repo, i magpie.Integration) (reason, remedy string) {
	switch {
	case r.State == magpie.RepoDeleted:
		return "", "It is gone at Bitbucket. Its incidents stay. One that is created anew under its name is another repository."
	case r.State == magpie.RepoUnavailable:
		return sentence(r.StateReason), unavailableRemedy(r.StateReason, i)
	case r.Monitored && r.Hook == magpie.HookFailed:
		return sentence(r.HookReason), hookRemedy(r.HookReason, i)
	case r.Monitored && r.History == magpie.HistoryFailed:
		return "The history scan gave up", "The page of scans says why; start it again from here."
	case r.State == magpie.RepoArchived:
		return "", "Archived at Bitbucket: nobody can push; its history can be scanned."
	}
	return "", ""
}

// unavailableRemedy says what to do about a repository that can't be read, as far as Bitbucket's words tell it.
func unavailableRemedy(reason string, i magpie.Integration) string {
	const again = " It is looked at again with every sync; nothing is lost meanwhile."
	switch text := strings.ToLower(reason); {
	case strings.Contains(text, "initialis"), strings.Contains(text, "initializ"):
		return "Bitbucket is still creating it. If that lasts, its administrator can create it anew." + again
	case strings.Contains(text, "http"):
		return "A Bitbucket administrator can switch on HTTP(S) hosting under Administration, Server settings." + again
	case strings.Contains(text, "offline"):
		return "A Bitbucket administrator has to bring its storage back." + again
	case strings.Contains(text, "reach"), strings.Contains(text, "permission"):
		return "Give " + i.TokenUser + " Admin on the repository or its project, or stop monitoring it." + again
	default:
		return "It is looked at again with every sync; nothing is lost meanwhile."
	}
}

// hookRemedy says what to do about a webhook that could not be installed.
func hookRemedy(reason string, i magpie.Integration) string {
	const again = " It is tried again by itself, after a day at the latest, and at once with Sync now. Until then pushes are found by the regular sweep."
	switch text := strings.ToLower(reason); {
	case strings.Contains(text, "permission"), strings.Contains(text, "administer"), strings.Contains(text, "403"), strings.Contains(text, "forbid"):
		return "Give " + i.TokenUser + " Admin on the repository or its project." + again
	default:
		return strings.TrimSpace(again)
	}
}

// insightsRemedy says what to do about reports that Bitbucket does not take.
func insightsRemedy(reason string, i magpie.Integration) string {
	const again = "The next push tries it again; what a report would say is on the page of incidents."
	switch text := strings.ToLower(reason); {
	case strings.Contains(text, "permission"), strings.Contains(text, "permitted"), strings.Contains(text, "allowed"), strings.Contains(text, "403"), strings.Contains(text, "forbid"):
		return "Give " + i.TokenUser + " Write on the project's repositories, and its token that permission. " + again
	default:
		return again
	}
}

func hookBadge(r magpie.Repo) badge {
	switch {
	case !r.Monitored && r.Hook == magpie.HookNone:
		return badge{Label: "Not monitored", Tone: "idle", Icon: "slash"}
	case !r.Monitored:
		return badge{Label: "Being removed", Tone: "idle", Icon: "spinner"}
	case r.Hook == magpie.HookInstalled:
		return badge{Label: "Hook installed", Tone: "good", Icon: "check"}
	case r.Hook == magpie.HookFailed:
		return badge{Label: "Hook failed", Tone: "bad", Icon: "error"}
	default:
		return badge{Label: "Hook pending", Tone: "active", Icon: "spinner"}
	}
}

// hooksBadge is the health of the webhooks of a project or an instance.
func hooksBadge(n nodeSums) badge {
	switch {
	case n.Monitored == 0:
		return badge{Label: "Not monitored", Tone: "idle", Icon: "slash"}
	case n.HookFailed > 0:
		return badge{Label: plural(n.HookFailed, "hook") + " failed", Tone: "bad", Icon: "error"}
	case n.HookPending > 0:
		return badge{Label: plural(n.HookPending, "hook") + " pending", Tone: "active", Icon: "spinner"}
	default:
		return badge{Label: plural(n.Hooked, "hook"), Tone: "good", Icon: "check", Title: "Every monitored repository has its webhook"}
	}
}

func historyBadge(r magpie.Repo) badge {
	switch r.History {
	case magpie.HistoryPending:
		return badge{Label: "Scanning", Tone: "active", Icon: "spinner"}
	case magpie.HistoryDone:
		return badge{Label: "Scanned", Tone: "good", Icon: "check"}
	case magpie.HistoryFailed:
		return badge{Label: "Failed", Tone: "bad", Icon: "error"}
	default:
		return badge{Label: "Not scanned", Tone: "idle", Icon: "dot"}
	}
}

// historiesBadge is how many of the monitored histories were scanned.
func historiesBadge(n nodeSums) badge {
	switch {
	case n.Monitored == 0:
		return badge{}
	case n.HistoryDone == n.Monitored:
		return badge{Label: "All scanned", Tone: "good", Icon: "check"}
	default:
		return badge{Label: number(n.HistoryDone) + " of " + number(n.Monitored), Tone: "idle", Icon: "dot", Title: "Histories scanned"}
	}
}

func projectIcon(p magpie.Project) string {
	if p.Personal {
		return "person"
	}
	return "folder"
}

// projectDefault says in words what happens to repositories that appear in a project later, if it is not what happens
// everywhere in its integration.
func projectDefault(p magpie.Project) string {
	switch p.AutoMonitor {
	case magpie.ProjectMonitorNew:
		return "new ones are monitored"
	case magpie.ProjectIgnoreNew:
		return "new ones are not"
	default:
		return ""
	}
}

// integrationDefault is what a project's repositories do that appear later, if the project has no will of its own.
func integrationDefault(label string, d magpie.ProjectDefault, i magpie.Integration) string {
	switch {
	case d != magpie.ProjectAsIntegration:
		return label
	case i.AutoMonitor:
		return label + ": they are monitored"
	default:
		return label + ": they are not monitored"
	}
}

// projectDefaults are the choices of a project's form. The form's value of the first is not empty, so that it differs
// from a form that is not about it.
var projectDefaults = []struct {
	Value   string
	Default magpie.ProjectDefault
	Label   string
}{
	{"integration", magpie.ProjectAsIntegration, "As the integration says"},
	{"on", magpie.ProjectMonitorNew, "Monitor them"},
	{"off", magpie.ProjectIgnoreNew, "Don't monitor them"},
}

// hookStates are the choices of the filter for webhooks.
var hookStates = []struct {
	State magpie.HookState
	Label string
}{
	{"", "Any"},
	{magpie.HookInstalled, "Installed"},
	{magpie.HookPending, "Pending"},
	{magpie.HookFailed, "Failed"},
	{magpie.HookNone, "None"},
}
