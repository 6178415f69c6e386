package apply

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"magpie"
)

// change is one difference between the file and the server.
type change struct {
	sign byte   // '+' begins to watch something, '~' changes how, '-' stops
	text string // for people, without a final period
	at   string // where the file says so; empty if it doesn't
	do   func(ctx context.Context) error
}

// pairs finds for each integration of the file the one of the server, and those that are in no file. missing ones are empty.
func pairs(f *File, all []integrationState) (found []integrationState, extra []integrationState, problems []error) {
	used := map[string]bool{}
	for _, want := range f.Integrations {
		var same []integrationState
		for _, i := range all {
			if !i.Removing && i.URL == want.URL && i.Mode == want.Mode && (want.User == "" || want.User == i.TokenUser) {
				same = append(same, i)
			}
		}
		switch {
		case len(same) > 1:
			problems = append(problems, f.problem(want.at, "url", fmt.Sprintf("%d integrations of the server have this address", len(same)),
				"tell which one is meant by user, the name of its token's owner"))
			for _, i := range same {
				used[i.ID] = true
			}
			found = append(found, integrationState{})
		case len(same) == 1 && used[same[0].ID]:
			problems = append(problems, f.problem(want.at, "url", "this means the same integration of the server as another table", "tell them apart by user"))
			found = append(found, integrationState{})
		case len(same) == 1:
			used[same[0].ID] = true
			found = append(found, same[0])
		default:
			found = append(found, integrationState{})
		}
	}
	for _, i := range all {
		if !used[i.ID] && !i.Removing {
			extra = append(extra, i)
		}
	}
	return found, extra, problems
}

// guarded reports whether a new connection must not monitor everything at once, since the file says that some of it is not
// to be.
func (i Integration) guarded() bool {
	return i.Mode == string(magpie.ModeInstance) && slices.ContainsFunc(i.Projects, Project.restricts)
}

// planSettings compares the switches of a connected integration and when its token expires.
func (r *run) planSettings(want Integration, have integrationState) []change {
	patch := map[string]any{}
	var parts []string
	set := func(key, text string, have, want bool) {
		if have != want {
			patch[key] = want
			parts = append(parts, fmt.Sprintf("%s: %s", text, onOff(want)))
		}
	}
	set("autoscan", "scan histories", have.Autoscan, want.autoscan())
	set("auto_monitor", "monitor everything, also what is new", have.AutoMonitor, want.autoMonitor())
	if want.TokenExpires != nil && (have.TokenExpires == nil || !have.TokenExpires.Equal(*want.TokenExpires)) {
		patch["token_expires_at"] = want.TokenExpires.Format(time.RFC3339)
		parts = append(parts, "the token expires on "+want.TokenExpires.Format(time.DateOnly))
	}
	if len(parts) == 0 {
		return nil
	}
	return []change{{'~', want.URL + ": " + strings.Join(parts, "; "), want.at, func(ctx context.Context) error {
		return r.Client.call(ctx, http.MethodPatch, "/integrations/"+url.PathEscape(have.ID), patch, nil)
	}}}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// planProjects compares the projects that the file names and, where told to prune, those it does not.
func (r *run) planProjects(want Integration, have []projectState) (changes []change, problems []error) {
	byKey := map[string]projectState{}
	for _, p := range have {
		byKey[strings.ToUpper(p.Key)] = p
	}
	for _, p := range want.Projects {
		state, ok := byKey[strings.ToUpper(p.Key)]
		if !ok {
			problems = append(problems, r.File.problem(p.at, "key", "there is no project "+p.Key+" at "+want.URL+", or the token can't see it",
				"check the key, and the permissions of the token's owner"))
			continue
		}
		changes = append(changes, r.planProject(want, p, state)...)
	}
	if want.Mode != string(magpie.ModeProject) {
		return changes, problems
	}
	for _, p := range have {
		if _, ok := want.project(p.Key); ok || !p.Installed {
			continue
		}
		if !r.Prune {
			r.note("project %s of %s is monitored, though the file does not name it; --prune ends that", p.Key, want.URL)
			continue
		}
		changes = append(changes, r.install(want, want.at, p, false))
	}
	return changes, problems
}

func (r *run) planProject(want Integration, p Project, have projectState) (changes []change) {
	patch := map[string]any{}
	var parts []string
	if have.AutoMonitor != p.AutoMonitor {
		patch["auto_monitor"] = p.AutoMonitor
		parts = append(parts, "monitor what is new: "+p.AutoMonitor)
	}
	if have.Insights != p.Insights {
		patch["insights"] = p.Insights
		parts = append(parts, "Code Insights: "+onOff(p.Insights))
	}
	if len(parts) > 0 {
		changes = append(changes, change{'~', fmt.Sprintf("%s project %s: %s", want.URL, have.Key, strings.Join(parts, "; ")), p.at, func(ctx context.Context) error {
			return r.Client.call(ctx, http.MethodPatch, "/projects/"+url.PathEscape(have.ID), patch, nil)
		}})
	}
	if want.Mode == string(magpie.ModeProject) && have.Installed != p.installed() {
		changes = append(changes, r.install(want, p.at, have, p.installed()))
	}
	return changes
}

func (r *run) install(want Integration, at string, p projectState, installed bool) change {
	sign, verb := byte('+'), "monitor"
	if !installed {
		sign, verb = '-', "stop monitoring"
	}
	return change{sign, fmt.Sprintf("%s %s project %s", want.URL, verb, p.Key), at, func(ctx context.Context) error {
		return r.Client.call(ctx, http.MethodPut, "/projects/"+url.PathEscape(p.ID)+"/installed", map[string]bool{"installed": installed}, nil)
	}}
}

// wanted says whether a repository is to be monitored; said is false if the file leaves it as it is.
func wanted(i Integration, p projectState, slug string) (monitored, said bool) {
	declared, _ := i.project(p.Key)
	auto := i.autoMonitor()
	// What the file does not name keeps its own default at the server.
	if p.AutoMonitor != "inherit" {
		auto = p.AutoMonitor == "on"
	}
	switch {
	case matches(declared.Ignore, slug):
		return false, true
	case matches(declared.Monitor, slug), auto:
		return true, true
	}
	return false, false
}

// planRepos compares which repositories are monitored. In mode project only installed projects count.
func (r *run) planRepos(want Integration, projects []projectState, repos []repoState) []change {
	byID := map[string]projectState{}
	for _, p := range projects {
		if p.Installed {
			byID[p.ID] = p
		}
	}
	var begin, end []repoState
	for _, repo := range repos {
		p, ok := byID[repo.ProjectID]
		if !ok {
			continue
		}
		_, slug, _ := strings.Cut(repo.FullName, "/")
		monitored, said := wanted(want, p, slug)
		switch {
		case !said || monitored == repo.Monitored:
		case monitored:
			begin = append(begin, repo)
		default:
			end = append(end, repo)
		}
	}
	return append(r.choose(want, '-', "stop monitoring", "/repositories/deselect", end), r.choose(want, '+', "monitor", "/repositories/select", begin)...)
}

// How many repositories are changed by one request, and named in one line.
const (
	chooseAtOnce = 500
	chooseNamed  = 20
)

// choose makes a change of each project's repositories.
func (r *run) choose(want Integration, sign byte, verb, path string, repos []repoState) (changes []change) {
	slices.SortFunc(repos, func(a, b repoState) int { return cmp.Compare(a.FullName, b.FullName) })
	for batch := range slices.Chunk(repos, chooseAtOnce) {
		var ids, names []string
		for _, repo := range batch {
			ids, names = append(ids, repo.ID), append(names, repo.FullName)
		}
		text := fmt.Sprintf("%s %s %s", want.URL, verb, strings.Join(names[:min(len(names), chooseNamed)], ", "))
		if more := len(names) - chooseNamed; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		changes = append(changes, change{sign, text, want.at, func(ctx context.Context) error {
			return r.Client.call(ctx, http.MethodPost, path, map[string]any{"ids": ids}, nil)
		}})
	}
	return changes
}
