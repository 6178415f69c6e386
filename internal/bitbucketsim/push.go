package bitbucketsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Push is a set of commits and ref changes that arrive together and fire one event, as one `git push` does.
type Push struct {
	Repo    int      // repository id
	By      string   // slug of the pusher; default the first user
	Commits []Commit // written in order
	Tags    []Tag
	Refs    map[string]string // full ref name → target, as in Commit.Parents; "" deletes the ref
	Quiet   bool              // fire no webhook and log no activity, for histories that were always there
}

// Commit is one commit to write onto a branch.
type Commit struct {
	Branch  string            // short name; default the repository's default branch
	Parents []string          // object id, full ref, branch, or ":1" for the first commit of this push; default the branch's tip
	Root    bool              // no parents at all; the branch starts anew
	Author  string            // name; default the pusher's
	Email   string            // default the pusher's
	Date    time.Time         // of author and committer; default the server's clock
	Message string            // default "change"
	Files   map[string]string // path → content written
	Modes   map[string]string // path → mode, where it is not 100644 (100755, 120000)
	Delete  []string          // paths removed
}

// Tag is a tag to create or move.
type Tag struct {
	Name    string // short name
	Target  string // as in Commit.Parents
	Message string // makes an annotated tag; empty makes a lightweight one
	Date    time.Time
}

// Change is one ref moved by a push; the zero hash stands for no object.
type Change struct {
	Ref  string // full name
	From string
	To   string
	Type string // ADD, UPDATE or DELETE
}

// Pushed is what a push did.
type Pushed struct {
	Commits []string // ids of Push.Commits, in their order
	Changes []Change
}

// Push writes commits and refs into a repository and fires the event that a real push fires. Branches may be moved
// anywhere: nothing refuses a forced update.
func (s *Server) Push(p Push) (Pushed, error) {
	r := s.snapshot(p.Repo)
	s.mu.RLock()
	by := s.pusher(p.By)
	s.mu.RUnlock()
	if r == nil || by == nil {
		return Pushed{}, fmt.Errorf("pushing to repository %d as %q: no such repository or user", p.Repo, p.By)
	}
	r.git.Lock()
	defer r.git.Unlock()
	before, err := s.refs(r.ID)
	if err != nil {
		return Pushed{}, err
	}
	w := importWriter{now: s.now(), by: by, repo: r, refs: maps.Clone(before)}
	if err := w.push(p); err != nil {
		return Pushed{}, fmt.Errorf("pushing to repository %d: %w", r.ID, err)
	}
	ids, err := s.fastImport(s.gitDir(r.ID), &w.out, len(p.Commits))
	if err != nil {
		return Pushed{}, err
	}
	after, err := s.refs(r.ID)
	if err != nil {
		return Pushed{}, err
	}
	changes := diffRefs(before, after)
	if !p.Quiet {
		err = s.refsChanged(r, by, changes)
	}
	return Pushed{ids, changes}, err
}

// pusher finds a user by slug; s.mu must be held.
func (s *Server) pusher(slug string) *user {
	if slug == "" && len(s.st.Users) > 0 {
		return s.st.Users[0]
	}
	return s.index.userBySlug[slug]
}

// observed runs a real push and fires the event for what it changed.
func (s *Server) observed(r *repo, by *user, push func() error) error {
	r.git.Lock()
	defer r.git.Unlock()
	before, err := s.refs(r.ID)
	if err != nil {
		return err
	}
	if err := push(); err != nil {
		return err
	}
	after, err := s.refs(r.ID)
	if err != nil {
		return err
	}
	return s.refsChanged(r, by, diffRefs(before, after))
}

// diffRefs lists the changed branches and tags in order of name; other refs fire no events.
func diffRefs(before, after map[string]string) []Change {
	names := maps.Clone(before)
	maps.Copy(names, after)
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		from, to := before[name], after[name]
		if from == to || !strings.HasPrefix(name, "refs/heads/") && !strings.HasPrefix(name, "refs/tags/") {
			continue
		}
		c := Change{Ref: name, From: from, To: to, Type: "UPDATE"}
		if from == "" {
			c.From, c.Type = zeroHash, "ADD"
		}
		if to == "" {
			c.To, c.Type = zeroHash, "DELETE"
		}
		changes = append(changes, c)
	}
	return changes
}

// fastImport feeds git fast-import and returns the ids of the marked commits.
func (s *Server) fastImport(dir string, in *bytes.Buffer, commits int) ([]string, error) {
	marks, err := os.CreateTemp(s.dir, "marks-")
	if err != nil {
		return nil, fmt.Errorf("making a marks file: %w", err)
	}
	defer os.Remove(marks.Name())
	defer marks.Close()
	if _, err := s.gitIn(context.Background(), dir, in, "fast-import", "--quiet", "--force", "--done", "--date-format=raw", "--export-marks="+marks.Name()); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(marks.Name())
	if err != nil {
		return nil, fmt.Errorf("reading marks: %w", err)
	}
	ids := make([]string, commits)
	for line := range strings.Lines(string(data)) {
		var n int
		var hash string
		if _, err := fmt.Sscanf(line, ":%d %s", &n, &hash); err == nil && n >= 1 && n <= commits {
			ids[n-1] = hash
		}
	}
	return ids, nil
}

// importWriter writes a push as a fast-import stream. refs holds the targets as they will be.
type importWriter struct {
	out  bytes.Buffer
	now  time.Time
	by   *user
	repo *repo
	refs map[string]string
}

func (w *importWriter) push(p Push) error {
	for i := range p.Commits {
		if err := w.commit(i+1, &p.Commits[i]); err != nil {
			return err
		}
	}
	for _, t := range p.Tags {
		if err := w.tag(t); err != nil {
			return err
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(p.Refs)) {
		if err := w.reset(ref, p.Refs[ref]); err != nil {
			return err
		}
	}
	w.out.WriteString("done\n")
	return nil
}

// resolve turns a target into what fast-import takes: an object id or a mark.
func (w *importWriter) resolve(target string) (string, error) {
	if strings.HasPrefix(target, ":") || len(target) == 40 && strings.Trim(target, "0123456789abcdef") == "" {
		return target, nil
	}
	for _, name := range []string{target, "refs/heads/" + target, "refs/tags/" + target} {
		if hash := w.refs[name]; hash != "" {
			return hash, nil
		}
	}
	return "", fmt.Errorf("no object, ref or commit of this push is called %q", target)
}

func (w *importWriter) commit(mark int, c *Commit) error {
	ref := w.repo.DefaultBranch
	if c.Branch != "" {
		ref = "refs/heads/" + c.Branch
	}
	parents := c.Parents
	if tip := w.refs[ref]; len(parents) == 0 && tip != "" {
		parents = []string{tip}
	}
	if c.Root {
		parents = nil
	}
	if len(parents) == 0 {
		fmt.Fprintf(&w.out, "reset %s\n\n", ref)
	}
	fmt.Fprintf(&w.out, "commit %s\nmark :%d\n", ref, mark)
	who := w.signature(c)
	fmt.Fprintf(&w.out, "author %s\ncommitter %s\n", who, who)
	w.data(orElse(c.Message, "change"))
	for i, parent := range parents {
		target, err := w.resolve(parent)
		if err != nil {
			return err
		}
		fmt.Fprintf(&w.out, "%s %s\n", [2]string{"from", "merge"}[min(i, 1)], target)
	}
	w.files(c)
	w.refs[ref] = fmt.Sprintf(":%d", mark)
	return nil
}

func (w *importWriter) files(c *Commit) {
	for _, path := range c.Delete {
		fmt.Fprintf(&w.out, "D %s\n", quotePath(path))
	}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		fmt.Fprintf(&w.out, "M %s inline %s\n", orElse(c.Modes[path], "100644"), quotePath(path))
		w.data(c.Files[path])
	}
	w.out.WriteByte('\n')
}

func (w *importWriter) signature(c *Commit) string {
	date := c.Date
	if date.IsZero() {
		date = w.now
	}
	return signature(orElse(c.Author, w.by.DisplayName), orElse(c.Email, w.by.Email), date)
}

func signature(name, email string, date time.Time) string {
	return fmt.Sprintf("%s <%s> %d %s", name, email, date.Unix(), date.Format("-0700"))
}

func (w *importWriter) data(text string) {
	fmt.Fprintf(&w.out, "data %d\n%s\n", len(text), text)
}

func (w *importWriter) tag(t Tag) error {
	if t.Message == "" {
		return w.reset("refs/tags/"+t.Name, t.Target)
	}
	target, err := w.resolve(t.Target)
	if err != nil {
		return err
	}
	if t.Date.IsZero() {
		t.Date = w.now
	}
	fmt.Fprintf(&w.out, "tag %s\nfrom %s\ntagger %s\n", t.Name, target, signature(w.by.DisplayName, w.by.Email, t.Date))
	w.data(t.Message)
	return nil
}

func (w *importWriter) reset(ref, target string) error {
	if !strings.HasPrefix(ref, "refs/") {
		return errors.New("ref " + ref + " is not a full name")
	}
	hash := zeroHash
	if target != "" {
		var err error
		if hash, err = w.resolve(target); err != nil {
			return err
		}
	}
	fmt.Fprintf(&w.out, "reset %s\nfrom %s\n\n", ref, hash)
	w.refs[ref] = strings.TrimPrefix(hash, zeroHash)
	return nil
}

// quotePath quotes a path where fast-import would misread it.
func quotePath(path string) string {
	if !strings.ContainsAny(path, "\"\n\\") {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
