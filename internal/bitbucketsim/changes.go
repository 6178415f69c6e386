package bitbucketsim

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

type fileChange struct {
	ContentID     string    `json:"contentId"`
	FromContentID string    `json:"fromContentId"`
	Path          pathView  `json:"path"`
	SrcPath       *pathView `json:"srcPath,omitempty"`
	Executable    bool      `json:"executable"`
	Unchanged     int       `json:"percentUnchanged"`
	Type          string    `json:"type"`
	NodeType      string    `json:"nodeType"`
}

type changesView struct {
	FromHash   *string        `json:"fromHash"`
	ToHash     string         `json:"toHash"`
	Properties map[string]any `json:"properties"`
	streamedPage
}

// emptyTree is what a commit without parents is compared with.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

func (s *Server) routeChanges(mux *http.ServeMux) {
	const at = "GET /projects/{key}/repos/{slug}"
	s.api(mux, at+"/commits/{id}/changes", (*call).commitChanges)
	s.api(mux, at+"/compare/changes", (*call).compareChanges)
}

// commitChanges compares a commit with its first parent, or with the one the query names.
func (c *call) commitChanges() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	id, err := c.commitID(r, c.r.PathValue("id"), false)
	if err != nil {
		return nil, err
	}
	since := ""
	if text := c.query("since"); text != "" {
		if since, err = c.commitID(r, text, true); err != nil {
			return nil, err
		}
	} else if found, err := c.s.log(c.r.Context(), r.ID, 0, 1, id); err == nil && len(found[0].parents) > 0 {
		since = found[0].parents[0]
	}
	return c.changes(r.ID, since, id)
}

// compareChanges shows what "from" has over "to": from is the newer side.
func (c *call) compareChanges() (any, error) {
	r, err := c.repo(read)
	if err != nil {
		return nil, err
	}
	from, err := c.revision(r, "from")
	if err != nil {
		return nil, err
	}
	to, err := c.revision(r, "to")
	if err != nil {
		return nil, err
	}
	return c.changes(r.ID, c.s.mergeBase(c.r.Context(), r.ID, to, from), from)
}

// pullChanges shows what a pull request does to files, since its source left the target.
func (c *call) pullChanges() (any, error) {
	_, p, err := c.pull(read)
	if err != nil {
		return nil, err
	}
	return c.changes(p.Repo, c.s.pullBaseOf(c.r.Context(), p), p.From.Hash)
}

// pullBase answers 204 when the two sides have nothing in common.
func (c *call) pullBase() (any, error) {
	r, p, err := c.pull(read)
	if err != nil {
		return nil, err
	}
	base := c.s.pullBaseOf(c.r.Context(), p)
	if base == "" {
		return noContent, nil
	}
	found, err := c.s.log(c.r.Context(), r.ID, 0, 1, base)
	if err != nil {
		return nil, err
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	return c.s.commitView(found[0], c.s.restTime), nil
}

func (s *Server) pullBaseOf(ctx context.Context, p *pull) string {
	to := p.To.Hash
	if p.Merged != "" {
		to = p.Merged + "^1"
	}
	return s.mergeBase(ctx, p.Repo, to, p.From.Hash)
}

// mergeBase returns the common ancestor of two commits, or "".
func (s *Server) mergeBase(ctx context.Context, id int, a, b string) string {
	out, err := s.git(ctx, id, nil, "merge-base", a, b)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// changes is a streamed page of the files that differ; from may be "".
func (c *call) changes(id int, from, to string) (any, error) {
	start, limit, err := c.window(defaultLimit)
	if err != nil {
		return nil, err
	}
	v := changesView{ToHash: to, Properties: map[string]any{"changeScope": "ALL"}}
	if from != "" {
		v.FromHash = &from
	}
	out, err := c.s.git(c.r.Context(), id, nil, "diff-tree", "-r", "-z", "-M", "--raw", "--no-abbrev", orElse(from, emptyTree), to)
	if err != nil {
		return nil, err
	}
	all := parseRaw(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"))
	v.streamedPage = streamed(start, limit, all[min(start, len(all)):min(start+limit+1, len(all))])
	return v, nil
}

// parseRaw reads diff-tree: ":oldmode newmode oldid newid status", then one path, or two for renames.
func parseRaw(fields []string) []fileChange {
	var all []fileChange
	for len(fields) >= 2 {
		f := strings.Fields(strings.TrimPrefix(fields[0], ":"))
		if len(f) != 5 {
			break
		}
		x := fileChange{ContentID: f[3], FromContentID: f[2], Executable: f[1] == "100755", Unchanged: -1, NodeType: "FILE", Path: makePath(fields[1])}
		if f[1] == "160000" || f[1] == "000000" && f[0] == "160000" {
			x.NodeType = "SUBMODULE"
		}
		used := 2
		switch f[4][0] {
		case 'A':
			x.Type = "ADD"
		case 'D':
			x.Type = "DELETE"
		case 'R':
			x.Type = "MOVE"
			src := makePath(fields[1])
			x.SrcPath, x.Path, used = &src, makePath(fields[2]), 3
			x.Unchanged, _ = strconv.Atoi(f[4][1:])
		default:
			x.Type = "MODIFY"
		}
		all, fields = append(all, x), fields[used:]
	}
	return all
}
