package bitbucketsim

import (
	"bytes"
	"net/http"
	"path"
	"strconv"
	"strings"
)

type pathView struct {
	Components []string `json:"components"`
	Parent     string   `json:"parent"`
	Name       string   `json:"name"`
	Extension  string   `json:"extension,omitempty"`
	ToString   string   `json:"toString"`
}

func makePath(p string) pathView {
	v := pathView{Components: []string{}, ToString: p}
	if p == "" {
		return v
	}
	v.Components, v.Name = strings.Split(p, "/"), path.Base(p)
	if dir := path.Dir(p); dir != "." {
		v.Parent = dir
	}
	v.Extension = strings.TrimPrefix(path.Ext(p), ".")
	return v
}

type lineView struct {
	Text string `json:"text"`
}

type linesView struct {
	Lines         []lineView `json:"lines"`
	Start         int        `json:"start"`
	Size          int        `json:"size"`
	IsLastPage    bool       `json:"isLastPage"`
	Limit         int        `json:"limit"`
	NextPageStart *int       `json:"nextPageStart"`
}

type childView struct {
	Path      pathView `json:"path"`
	ContentID string   `json:"contentId,omitempty"`
	Node      string   `json:"node,omitempty"`
	Type      string   `json:"type"`
	Size      *int     `json:"size,omitempty"`
}

// at resolves the revision and checks that the path exists there; kind is blob or tree.
func (c *call) at() (r *repo, rev, file, kind string, err error) {
	if r, err = c.repo(read); err != nil {
		return
	}
	file = strings.Trim(c.r.PathValue("path"), "/")
	if rev, err = c.revision(r, "at"); err != nil {
		return
	}
	out, gitErr := c.s.git(c.r.Context(), r.ID, nil, "cat-file", "-t", rev+":"+file)
	if gitErr != nil {
		err = errNoPath(file, c.query("at"))
	}
	return r, rev, file, strings.TrimSpace(string(out)), err
}

func (c *call) rawFile() (any, error) {
	r, rev, file, kind, err := c.at()
	if err != nil {
		return nil, err
	}
	if kind != "blob" {
		return nil, errNoPath(file, c.query("at"))
	}
	data, err := c.s.git(c.r.Context(), r.ID, nil, "cat-file", "blob", rev+":"+file)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return raw{"application/octet-stream", data}, nil
	}
	return raw{"text/plain;charset=UTF-8", data}, nil
}

func (c *call) browse() (any, error) {
	r, rev, file, kind, err := c.at()
	if err != nil {
		return nil, err
	}
	if c.query("type") == "true" {
		return map[string]string{"type": map[string]string{"blob": "FILE", "tree": "DIRECTORY"}[kind]}, nil
	}
	if kind == "tree" {
		return c.directory(r, rev, file)
	}
	return c.lines(r, rev, file)
}

func (c *call) lines(r *repo, rev, file string) (any, error) {
	start, limit, err := c.window(500)
	if err != nil {
		return nil, err
	}
	data, err := c.s.git(c.r.Context(), r.ID, nil, "cat-file", "blob", rev+":"+file)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return map[string]any{"binary": true, "path": makePath(file)}, nil
	}
	var all []string
	if len(data) > 0 {
		all = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	from, to := min(start, len(all)), min(start+limit, len(all))
	v := linesView{Lines: []lineView{}, Start: start, Size: to - from, IsLastPage: to == len(all), Limit: limit}
	for _, text := range all[from:to] {
		v.Lines = append(v.Lines, lineView{text})
	}
	if !v.IsLastPage {
		v.NextPageStart = &to
	}
	return v, nil
}

func (c *call) directory(r *repo, rev, dir string) (any, error) {
	start, limit, err := c.window(500)
	if err != nil {
		return nil, err
	}
	out, err := c.s.git(c.r.Context(), r.ID, nil, "ls-tree", "-z", "-l", rev+":"+dir)
	if err != nil {
		return nil, err
	}
	children := []childView{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if meta, name, ok := strings.Cut(entry, "\t"); ok {
			children = append(children, makeChild(strings.Fields(meta), name))
		}
	}
	rows := children[min(start, len(children)):min(start+limit+1, len(children))]
	return map[string]any{
		"path": makePath(dir), "revision": orElse(c.query("at"), r.DefaultBranch), "children": streamed(start, limit, rows),
	}, nil
}

// makeChild reads a line of ls-tree: mode, type, id, size.
func makeChild(meta []string, name string) childView {
	v := childView{Path: makePath(name), ContentID: meta[2], Type: "FILE"}
	switch meta[1] {
	case "tree":
		v.Type, v.Node = "DIRECTORY", meta[2]
	case "commit":
		v.Type = "SUBMODULE"
	}
	if size, err := strconv.Atoi(meta[3]); err == nil {
		v.Size = &size
	}
	return v
}

func (c *call) files() (any, error) {
	r, rev, dir, kind, err := c.at()
	if err != nil {
		return nil, err
	}
	if kind != "tree" {
		return nil, errPlain(http.StatusBadRequest, "The path is not a directory")
	}
	start, limit, err := c.window(defaultLimit)
	if err != nil {
		return nil, err
	}
	out, err := c.s.git(c.r.Context(), r.ID, nil, "ls-tree", "-z", "-r", "--name-only", rev+":"+dir)
	if err != nil {
		return nil, err
	}
	var names []string
	if len(out) > 0 {
		names = strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	return streamed(start, limit, names[min(start, len(names)):min(start+limit+1, len(names))]), nil
}
