package demo

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"magpie"
	"magpie/internal/bitbucketsim"
)

// Secret is one planted secret and everywhere it was put.
type Secret struct {
	Rule   string // id of the detector that has to find it
	Value  magpie.Secret
	Places []Place
	Live   bool // pushed while being watched, not part of a history

	wrap string // as in kind
}

// Place is where a secret entered a repository.
type Place struct {
	Repo   string // "KEY/slug"
	File   string
	Commit string
	Line   int
}

// World is a running simulated Bitbucket with repositories in it. It is safe for concurrent use.
type World struct {
	Sim   *bitbucketsim.Server
	Token magpie.Secret // an HTTP access token that may administer everything

	mu      sync.Mutex
	rnd     *rand.Rand
	repos   map[string]bitbucketsim.Repo // by "KEY/slug"
	names   []string                     // the keys of repos, in order of creation
	sources map[string][]*sourceFile     // by "KEY/slug"
	secrets []*Secret
	named   map[string]*Secret // those that occur in more than one place
	live    int                // pushes so far
	commits int
}

// New starts a Bitbucket and fills it. The histories and secrets follow from seed, but for the private keys.
func New(opts bitbucketsim.Options, seed uint64) (*World, error) {
	opts.Seed = seed
	sim, err := bitbucketsim.New(opts)
	if err != nil {
		return nil, fmt.Errorf("starting the simulated Bitbucket: %w", err)
	}
	w := &World{
		Sim: sim, rnd: rand.New(rand.NewPCG(seed, 7)), repos: map[string]bitbucketsim.Repo{},
		sources: map[string][]*sourceFile{}, named: map[string]*Secret{},
	}
	if err := w.fill(); err != nil {
		_ = sim.Close()
		return nil, fmt.Errorf("filling the simulated Bitbucket: %w", err)
	}
	return w, nil
}

// Close stops the Bitbucket.
func (w *World) Close() error { return w.Sim.Close() }

// Repos returns the full names of all repositories.
func (w *World) Repos() []string { return slices.Clone(w.names) }

// Commits returns how many commits were made.
func (w *World) Commits() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commits
}

// Secrets returns what has been planted so far.
func (w *World) Secrets() []Secret {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Secret, len(w.secrets))
	for i, s := range w.secrets {
		all[i] = *s
		all[i].Places = slices.Clone(s.Places)
	}
	return all
}

// people are the developers. The first administers the instance.
var people = []string{"Alex", "Kim", "Robin", "Sam", "Jo"}

func (w *World) fill() error {
	for i, name := range people {
		permission := ""
		if i == 0 {
			permission = "SYS_ADMIN"
		}
		if _, err := w.Sim.CreateUser(bitbucketsim.User{Name: strings.ToLower(name), DisplayName: name, Permission: permission}); err != nil {
			return err
		}
	}
	for _, p := range projects {
		var err error
		key := p.key
		if owner, personal := strings.CutPrefix(key, "~"); personal {
			_, err = w.Sim.CreatePersonalProject(strings.ToLower(owner))
		} else {
			_, err = w.Sim.CreateProject(key, p.name)
		}
		if err != nil {
			return err
		}
		for _, r := range p.repos {
			if err := w.addRepo(key, r); err != nil {
				return err
			}
		}
	}
	token, err := w.Sim.CreateToken(bitbucketsim.TokenSpec{Name: "magpie", User: strings.ToLower(people[0]), Permissions: []string{"PROJECT_ADMIN", "REPO_ADMIN"}})
	if err != nil {
		return err
	}
	w.Token = magpie.NewSecret(token.Text)
	return nil
}

func (w *World) addRepo(key string, spec repoSpec) error {
	repo, err := w.Sim.CreateRepo(key, spec.name)
	if err != nil {
		return err
	}
	full := key + "/" + repo.Slug
	w.repos[full] = repo
	w.names = append(w.names, full)
	h := newHistory(w, full, spec)
	push := h.write()
	push.Repo = repo.ID
	done, err := w.Sim.Push(push)
	if err != nil {
		return fmt.Errorf("writing the history of %s: %w", full, err)
	}
	w.commits += len(push.Commits)
	w.sources[full] = h.sources
	for _, p := range h.planted {
		p.place.Commit = done.Commits[p.commit]
		p.secret.Places = append(p.secret.Places, p.place)
	}
	return nil
}

// secret makes up a secret of a kind. Equal names, unless empty, give the same secret.
func (w *World) secret(kindName, name string, live bool) *Secret {
	if s := w.named[name]; name != "" && s != nil {
		return s
	}
	k, ok := kinds[kindName]
	if !ok {
		panic("demo: no kind of secret is called " + kindName)
	}
	s := &Secret{Rule: k.Rule, Live: live, wrap: k.wrap}
	// What an incident shows of a secret has to tell it from the others.
	for tries := 0; s.Value.Len() == 0 || w.masked(s.Value.Masked()); tries++ {
		if tries == 100 { // private keys all begin and end alike, so there can be one
			panic("demo: secrets of kind " + kindName + " can't be told apart when masked")
		}
		s.Value = magpie.NewSecret(k.make(w.rnd))
	}
	w.secrets = append(w.secrets, s)
	if name != "" {
		w.named[name] = s
	}
	return s
}

func (w *World) masked(text string) bool {
	return slices.ContainsFunc(w.secrets, func(s *Secret) bool { return s.Value.Masked() == text })
}

// insert puts a secret into a text at its mark and returns the line it starts on.
func insert(body string, s *Secret) (text string, line int) {
	if s.wrap != "" {
		body = strings.Replace(body, mark, s.wrap, 1)
	}
	before, _, found := strings.Cut(body, mark)
	if !found {
		panic("demo: a text to hold a secret has no mark")
	}
	return strings.Replace(body, mark, string(s.Value.Reveal()), 1), 1 + strings.Count(before, "\n")
}

// mark stands for the secret in the texts of leaks.
const mark = "{{secret}}"

// history writes the past of one repository.
type history struct {
	w       *World
	repo    string
	spec    repoSpec
	sources []*sourceFile
	push    bitbucketsim.Push
	planted []plantedAt
	clock   time.Time
	step    time.Duration
}

type plantedAt struct {
	secret *Secret
	place  Place
	commit int // index in the push
}

func newHistory(w *World, full string, spec repoSpec) *history {
	h := &history{w: w, repo: full, spec: spec}
	for _, module := range spec.modules {
		h.sources = append(h.sources, newSource(spec.lang, spec.folder, module))
	}
	days := 200 + w.rnd.IntN(300)
	h.clock = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days)
	h.step = time.Duration(days) * 24 * time.Hour / time.Duration(spec.commits+20)
	h.push.Quiet = true
	return h
}

// write returns the whole past as one push, in the order of its commits on the main branch.
func (h *history) write() bitbucketsim.Push {
	h.commit(bitbucketsim.Commit{Message: "Start " + h.spec.name, Files: decoys(h.w.rnd, h.spec.name)})
	for n := 1; n < h.spec.commits; n++ {
		for _, l := range h.spec.leaks {
			h.leak(n, l)
		}
		switch {
		case n%11 == 7:
			h.merged(n)
		case n%13 == 12:
			h.tag(fmt.Sprintf("v0.%d", n/13), n%2 == 0)
		}
		h.change("")
	}
	return h.push
}

// commit adds a commit and returns its mark.
func (h *history) commit(c bitbucketsim.Commit) string {
	h.clock = h.clock.Add(h.step/2 + time.Duration(h.w.rnd.Int64N(int64(h.step))))
	c.Date = h.clock
	if c.Author == "" {
		c.Author = pick(h.w.rnd, people)
	}
	c.Email = strings.ToLower(c.Author) + "@example.com"
	h.push.Commits = append(h.push.Commits, c)
	return fmt.Sprintf(":%d", len(h.push.Commits))
}

// change is an ordinary commit.
func (h *history) change(branch string) string {
	f := pick(h.w.rnd, h.sources)
	message := f.change(h.w.rnd)
	return h.commit(bitbucketsim.Commit{Branch: branch, Message: message, Files: map[string]string{f.path: f.text()}})
}

// merged does some work on a branch and merges it. The work is in a file of its own, so the merge has no conflict.
func (h *history) merged(n int) {
	branch := fmt.Sprintf("feature/%s-%d", pick(h.w.rnd, nouns), n)
	f := newSource(h.spec.lang, h.spec.folder, fmt.Sprintf("%s%d", pick(h.w.rnd, nouns), n))
	author := pick(h.w.rnd, people)
	parent := []string{"main"}
	for range 2 + h.w.rnd.IntN(2) {
		message := f.change(h.w.rnd)
		h.commit(bitbucketsim.Commit{Branch: branch, Parents: parent, Author: author, Message: message, Files: map[string]string{f.path: f.text()}})
		parent = nil
	}
	h.commit(bitbucketsim.Commit{
		Parents: []string{"main", branch}, Message: "Merge branch '" + branch + "'", Files: map[string]string{f.path: f.text()},
	})
	if n%2 == 0 {
		h.refs()["refs/heads/"+branch] = ""
	}
	h.sources = append(h.sources, f)
}

func (h *history) tag(name string, annotated bool) {
	t := bitbucketsim.Tag{Name: name, Target: "main", Date: h.clock}
	if annotated {
		t.Message = "Release " + name
	}
	h.push.Tags = append(h.push.Tags, t)
}

func (h *history) refs() map[string]string {
	if h.push.Refs == nil {
		h.push.Refs = map[string]string{}
	}
	return h.push.Refs
}

// leak plants or removes a secret if the time has come.
func (h *history) leak(n int, l leak) {
	switch n {
	case l.at:
		s := h.w.secret(l.kind, l.name, false)
		body, line := insert(l.body, s)
		c := bitbucketsim.Commit{Branch: l.branch, Message: l.message, Files: map[string]string{l.file: body}}
		if l.tag != "" {
			c.Branch = "release/" + l.tag
		}
		if c.Branch != "" {
			c.Parents = []string{"main"}
		}
		mark := h.commit(c)
		if l.tag != "" { // only the tag leads there
			h.push.Tags = append(h.push.Tags, bitbucketsim.Tag{Name: l.tag, Target: mark, Message: "Release " + l.tag, Date: h.clock})
			h.refs()["refs/heads/"+c.Branch] = ""
		}
		h.planted = append(h.planted, plantedAt{s, Place{Repo: h.repo, File: l.file, Line: line}, len(h.push.Commits) - 1})
	case l.until:
		before, after, _ := strings.Cut(l.body, mark)
		c := bitbucketsim.Commit{Message: "Take the key out of " + l.file, Files: map[string]string{l.file: before + "$FROM_VAULT" + after}}
		if l.deleted {
			c.Files, c.Delete = nil, []string{l.file}
		}
		h.commit(c)
	}
}

// Pushed is a push that was made while somebody watched.
type Pushed struct {
	Repo   string
	Commit string
	Secret *Secret // nil for a harmless one; a copy
	At     time.Time
}

// PushChange pushes a harmless commit to a repository.
func (w *World) PushChange(repo string) (Pushed, error) {
	w.mu.Lock()
	f := pick(w.rnd, w.sources[repo])
	message := f.change(w.rnd)
	c := bitbucketsim.Commit{Message: message, Files: map[string]string{f.path: f.text()}}
	by := pick(w.rnd, people)
	w.mu.Unlock()
	return w.send(repo, by, c, nil, 0)
}

// PushSecret pushes a commit with a secret to a branch of a repository; an empty branch is the default one. Equal names,
// unless empty, give the same secret.
func (w *World) PushSecret(repo, branch, kindName, name string) (Pushed, error) {
	w.mu.Lock()
	s := w.secret(kindName, name, true)
	w.live++
	body := pick(w.rnd, liveTexts)
	text, line := insert(body.text, s)
	if strings.Contains(string(s.Value.Reveal()), "\n") {
		text, line = string(s.Value.Reveal())+"\n", 1
	}
	file := fmt.Sprintf(body.file, w.live)
	c := bitbucketsim.Commit{Branch: branch, Message: pick(w.rnd, hasty), Files: map[string]string{file: text}}
	if branch != "" {
		c.Parents = []string{"main"}
	}
	by := pick(w.rnd, people)
	w.mu.Unlock()
	return w.send(repo, by, c, s, line)
}

// send pushes one commit. The place of its secret is known before the product can have seen it.
func (w *World) send(repo, by string, c bitbucketsim.Commit, s *Secret, line int) (Pushed, error) {
	r, ok := w.repos[repo]
	if !ok {
		return Pushed{}, fmt.Errorf("no repository %s", repo)
	}
	c.Author, c.Email = by, strings.ToLower(by)+"@example.com"
	at := time.Now()
	done, err := w.Sim.Push(bitbucketsim.Push{Repo: r.ID, By: strings.ToLower(by), Commits: []bitbucketsim.Commit{c}})
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing to %s: %w", repo, err)
	}
	p := Pushed{Repo: repo, Commit: done.Commits[0], At: at}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits++
	if s != nil {
		for file := range maps.Keys(c.Files) {
			s.Places = append(s.Places, Place{Repo: repo, File: file, Commit: p.Commit, Line: line})
		}
		copied := *s
		p.Secret = &copied
	}
	return p, nil
}

// ForcePushAway moves a branch back to where the default branch stands, as somebody does who noticed.
func (w *World) ForcePushAway(repo, branch string) error {
	r := w.repos[repo]
	if _, err := w.Sim.Push(bitbucketsim.Push{Repo: r.ID, Refs: map[string]string{"refs/heads/" + branch: "main"}}); err != nil {
		return fmt.Errorf("moving %s of %s back: %w", branch, repo, err)
	}
	return nil
}
