package app

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	"magpie"
	"magpie/internal/bitbucketsim"
	"magpie/internal/store"
)

// node is a commit of a sequence's pool. All commits of a pool are in the repository from the beginning, reachable from
// no ref; pushes move refs among them.
type node struct {
	hash    string
	parents []int               // indexes in the pool; none: the base commit
	tree    map[string]fileText // the files of the pool as of this commit
	brings  string              // the file in which it brings a secret; empty if it brings none
	trap    bool                // named by forged events only, so it must never be looked at
	reaches uint64              // itself and its ancestors, as bits
}

// fileText is a file with a secret in its second line.
type fileText struct {
	secret int // index of the node that made it up
	lines  int // harmless ones after it
}

// target is an object that a ref can point at: a commit, or a tag object that leads to one.
type target struct {
	hash string
	node int
}

// sequence is one random run of pushes and of what becomes of their events, on a repository of its own.
type sequence struct {
	w       *world
	index   uint64
	rnd     *rand.Rand
	repo    watched
	steps   int // how many it does, unless cut short
	base    string
	secrets []string
	nodes   []node
	targets []target // commits first
	refs    map[string]int
	held    []letter // on the wire
	arrived []letter // delivered at least once, for replays
	trace   []string

	may  uint64 // commits that a ref ever reached: nothing else may be found
	must uint64 // of these, what an accepted event named or a sweep saw: all of it must be found
	err  error
}

const poolSize = 12

// newSequence makes a repository with a pool of commits. What it does follows from seed and index alone.
func newSequence(w *world, seed, index uint64) (*sequence, error) {
	q := &sequence{w: w, index: index, rnd: rand.New(rand.NewPCG(seed, index)), refs: map[string]int{}}
	q.steps = 8 + q.rnd.IntN(12)
	sim := w.sims[0]
	if n := q.rnd.IntN(5); n > 2 {
		sim = w.sims[n-2]
	}
	var err error
	if q.repo, err = w.addRepo(sim); err != nil {
		return nil, err
	}
	if err := q.write(); err != nil {
		return nil, err
	}
	return q, w.watch(&q.repo)
}

// write makes the pool.
func (q *sequence) write() error {
	push := bitbucketsim.Push{Repo: q.repo.remote.ID, Quiet: true, Commits: []bitbucketsim.Commit{{Message: "Base", Files: map[string]string{"README.md": "Nothing to see.\n"}}}}
	clear := map[string]string{}
	for i := range poolSize {
		c := q.commit(i)
		c.Branch = fmt.Sprintf("pool-%d", i)
		clear["refs/heads/"+c.Branch] = ""
		push.Commits = append(push.Commits, c)
	}
	for n := range 2 {
		at := q.rnd.IntN(poolSize - 1)
		name := fmt.Sprintf("pool-%d", n)
		clear["refs/tags/"+name] = ""
		push.Tags = append(push.Tags, bitbucketsim.Tag{Name: name, Target: fmt.Sprintf(":%d", at+2), Message: "A tag"})
		q.targets = append(q.targets, target{node: at})
	}
	done, err := q.repo.sim.Push(push)
	if err != nil {
		return err
	}
	q.base = done.Commits[0]
	commits := make([]target, 0, poolSize)
	for i := range q.nodes {
		q.nodes[i].hash = done.Commits[i+1]
		if !q.nodes[i].trap {
			commits = append(commits, target{q.nodes[i].hash, i})
		}
	}
	for _, c := range done.Changes {
		var n int
		if _, err := fmt.Sscanf(c.Ref, "refs/tags/pool-%d", &n); err == nil {
			q.targets[n].hash = c.To
		}
	}
	q.targets = append(commits, q.targets...)
	_, err = q.repo.sim.MoveRefs(q.repo.remote.ID, "", clear)
	return err
}

// commit makes up the next commit of the pool.
func (q *sequence) commit(i int) bitbucketsim.Commit {
	v := node{tree: map[string]fileText{}, reaches: 1 << i, trap: i == poolSize-1}
	q.secrets = append(q.secrets, madeUpToken(q.rnd))
	c := bitbucketsim.Commit{Parents: []string{":1"}, Message: fmt.Sprintf("Change %d", i), Files: map[string]string{}}
	if i > 0 && q.rnd.IntN(4) > 0 {
		v.parents = []int{max(0, i-1-q.rnd.IntN(3))}
		if other := q.rnd.IntN(i); q.rnd.IntN(5) == 0 && other != v.parents[0] {
			v.parents = append(v.parents, other)
		}
		c.Parents = nil
	}
	for k := len(v.parents) - 1; k >= 0; k-- { // the first parent's version of a file wins
		p := v.parents[k]
		c.Parents = append([]string{fmt.Sprintf(":%d", p+2)}, c.Parents...)
		v.reaches |= q.nodes[p].reaches
		maps.Copy(v.tree, q.nodes[p].tree)
	}
	q.change(i, &v, &c)
	if len(v.parents) > 1 { // the simulator takes over the first parent's tree only
		for name, f := range v.tree {
			c.Files[name] = q.text(name, f)
		}
	}
	q.nodes = append(q.nodes, v)
	return c
}

// change makes up what a commit does: mostly it brings a secret in a file of its own.
func (q *sequence) change(i int, v *node, c *bitbucketsim.Commit) {
	name, secret := fmt.Sprintf("conf/%d.env", i), i
	old := slices.Sorted(maps.Keys(v.tree))
	switch n := q.rnd.IntN(10); {
	case n == 0 && !v.trap: // nothing of interest
		c.Files[fmt.Sprintf("doc/%d.md", i)] = fmt.Sprintf("Change %d\n", i)
		return
	case n == 1 && !v.trap && len(v.parents) == 1 && len(old) > 0:
		gone := old[q.rnd.IntN(len(old))]
		c.Delete = []string{gone}
		delete(v.tree, gone)
		return
	case n == 2 && !v.trap && len(old) > 0: // a change beside a secret
		touched := old[q.rnd.IntN(len(old))]
		f := v.tree[touched]
		f.lines += i + 1
		v.tree[touched] = f
		c.Files[touched] = q.text(touched, f)
		return
	case n == 3 && !v.trap && i > 0: // a secret that stands elsewhere too
		secret = q.rnd.IntN(i)
	}
	v.tree[name], v.brings = fileText{secret: secret}, name
	c.Files[name] = q.text(name, v.tree[name])
}

func (q *sequence) text(name string, f fileText) string {
	return "# settings in " + name + "\ntoken = " + q.secrets[f.secret] + "\n" + strings.Repeat("# more\n", f.lines)
}

const alphabet62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// madeUpToken makes a token in GitHub's form: thirty random characters and their checksum.
func madeUpToken(r *rand.Rand) string {
	var text []byte
	for range 30 {
		text = append(text, alphabet62[r.IntN(62)])
	}
	sum := crc32.ChecksumIEEE(text)
	var tail [6]byte
	for i := len(tail) - 1; i >= 0; i-- {
		tail[i] = alphabet62[sum%62]
		sum /= 62
	}
	return "gh" + "p_" + string(text) + string(tail[:])
}

func (q *sequence) say(format string, args ...any) {
	q.trace = append(q.trace, fmt.Sprintf(format, args...))
}

// step does one random thing. Everything it chooses depends on the choices before alone, so a sequence cut short does
// the same as the whole one up to there.
func (q *sequence) step() error {
	n := q.rnd.IntN(100)
	at := 0
	if len(q.held) > 0 {
		at = q.rnd.IntN(len(q.held))
	}
	switch {
	case n < 42 || n < 75 && len(q.held) == 0 || n < 97 && len(q.arrived) == 0:
		return q.push()
	case n < 62:
		return q.arrive(at, 1)
	case n < 67:
		return q.arrive(at, 2)
	case n < 71:
		q.say("event %s is dropped", q.held[at].header.Get("X-Request-Id"))
		q.held = slices.Delete(q.held, at, at+1)
		return nil
	case n < 75:
		return q.deliverAll()
	case n < 82:
		return q.replay()
	case n < 90:
		return q.forge()
	case n < 93:
		return q.bomb()
	case n < 97:
		return q.garbage()
	}
	q.say("look")
	return q.w.write(func(tx *store.Tx) error { return q.w.app.Scans.Look(q.w.ctx, tx, q.repo.id, "") })
}

var refNames = []string{"refs/heads/main", "refs/heads/a", "refs/heads/b/c", "refs/heads/release", "refs/tags/v1", "refs/tags/v2"}

// push moves one ref or two: new ones, forwards, anywhere, away.
func (q *sequence) push() error {
	to := map[string]string{}
	for range 1 + q.rnd.IntN(2) {
		ref := refNames[q.rnd.IntN(len(refNames))]
		next := q.rnd.IntN(len(q.targets))
		if strings.HasPrefix(ref, "refs/heads/") {
			next = q.rnd.IntN(poolSize - 1)
		}
		now, exists := q.refs[ref]
		switch n := q.rnd.IntN(10); {
		case exists && n < 3 && ref != "refs/heads/main":
			delete(q.refs, ref)
			to[ref] = ""
			continue
		case exists && n < 7:
			next = q.descendant(now, next)
		}
		q.refs[ref] = next
		to[ref] = q.targets[next].hash
		q.may |= q.nodes[q.targets[next].node].reaches
	}
	changes, err := q.repo.sim.MoveRefs(q.repo.remote.ID, "", to)
	if err != nil || len(changes) == 0 {
		return err
	}
	l, err := q.w.wire.next(q.w.ctx, q.repo.hook)
	if err != nil {
		return err
	}
	l.changes = changes
	q.held = append(q.held, l)
	for _, c := range changes {
		q.say("push %s: %s %s %.7s → %.7s", l.header.Get("X-Request-Id"), c.Type, c.Ref, c.From, c.To)
	}
	return nil
}

// descendant returns a target that a branch can be fast-forwarded to, or the other one if there is none.
func (q *sequence) descendant(of, other int) int {
	want := q.nodes[q.targets[of].node].reaches
	for i := range poolSize - 1 {
		at := (other + i) % (poolSize - 1)
		if t := q.targets[at]; at != of && q.nodes[t.node].reaches&want == want {
			return at
		}
	}
	return other
}

// arrive delivers a held letter, several times at once if it is doubled.
func (q *sequence) arrive(at, copies int) error {
	l := q.held[at]
	q.held = slices.Delete(q.held, at, at+1)
	q.say("event %s arrives, %d times", l.header.Get("X-Request-Id"), copies)
	status := make([]int, copies)
	var wait sync.WaitGroup
	for i := range copies {
		wait.Go(func() { status[i] = q.w.deliver(l) })
	}
	wait.Wait()
	q.arrived = append(q.arrived, l)
	for _, s := range status {
		if err := q.answered(l, s); err != nil {
			return err
		}
	}
	return nil
}

// answered notes what Magpie promised by its answer. Bitbucket sends what was refused no second time.
func (q *sequence) answered(l letter, status int) error {
	switch status {
	case http.StatusOK:
		for _, c := range l.changes {
			q.must |= q.reached(c.To) | q.reached(c.From)
		}
	case 0, http.StatusServiceUnavailable:
		q.say("it was not taken: %d", status)
	default:
		return fmt.Errorf("an event was answered with %d, want 200 or, while Magpie is down, 503", status)
	}
	return nil
}

func (q *sequence) reached(hash string) uint64 {
	for _, t := range q.targets {
		if t.hash == hash {
			return q.nodes[t.node].reaches
		}
	}
	return 0
}

// deliverAll delivers all that is held, in any order.
func (q *sequence) deliverAll() error {
	for len(q.held) > 0 {
		if err := q.arrive(q.rnd.IntN(len(q.held)), 1); err != nil {
			return err
		}
	}
	return nil
}

// replay delivers an old event again, as it was or under a new id, which the signature does not cover.
func (q *sequence) replay() error {
	l := q.arrived[q.rnd.IntN(len(q.arrived))]
	l.header = l.header.Clone()
	if q.rnd.IntN(2) == 0 {
		l.header.Set("X-Request-Id", fmt.Sprintf("replay-%d", q.rnd.Uint32()))
	}
	q.say("event is replayed as %s", l.header.Get("X-Request-Id"))
	return q.answered(l, q.w.deliver(l))
}

// forge delivers an event that names the trap, which is wrong in one way or another.
func (q *sequence) forge() error {
	l := q.arrived[q.rnd.IntN(len(q.arrived))]
	genuine := l.body
	l.header = l.header.Clone()
	l.header.Set("X-Request-Id", fmt.Sprintf("forged-%d", q.rnd.Uint32()))
	var event map[string]any
	if err := json.Unmarshal(l.body, &event); err != nil {
		return err
	}
	trap := q.nodes[poolSize-1].hash
	event["changes"] = []any{map[string]any{
		"ref": map[string]any{"id": "refs/heads/trap", "displayId": "trap", "type": "BRANCH"}, "refId": "refs/heads/trap",
		"fromHash": strings.Repeat("0", 40), "toHash": trap, "type": "ADD",
	}}
	want, way := http.StatusUnauthorized, q.rnd.IntN(6)
	if way == 5 {
		event["repository"].(map[string]any)["id"] = q.repo.remote.ID + 1
	}
	var err error
	if l.body, err = json.Marshal(event); err != nil {
		return err
	}
	switch way {
	case 0: // the genuine event's signature
		l.header.Set("X-Hub-Signature", sign(q.repo.secret, genuine))
	case 1:
		l.header.Set("X-Hub-Signature", sign("another secret", l.body))
	case 2:
		l.header.Del("X-Hub-Signature")
	case 3:
		l.hook = "hook" + strings.Repeat("0", 32)
		l.header.Set("X-Hub-Signature", sign(q.repo.secret, l.body))
	case 4:
		l.header.Set("X-Hub-Signature", "sha1="+sign(q.repo.secret, l.body)[7:])
	case 5: // well signed, about another repository
		l.header.Set("X-Hub-Signature", sign(q.repo.secret, l.body))
		want = http.StatusForbidden
	}
	q.say("an event is forged in way %d", way)
	return q.refused(q.w.deliver(l), want)
}

func (q *sequence) refused(status, want int) error {
	if status != want && status != http.StatusServiceUnavailable && status != 0 {
		return fmt.Errorf("got %d, want %d", status, want)
	}
	return nil
}

// gzipBomb is 8 MB of zeros.
var gzipBomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(make([]byte, 8<<20))
	if err != nil || w.Close() != nil {
		panic("gzip into memory failed")
	}
	return b.Bytes()
})

// bomb delivers a compressed body, well signed.
func (q *sequence) bomb() error {
	l := q.arrived[q.rnd.IntN(len(q.arrived))]
	l.header, l.body = l.header.Clone(), gzipBomb()
	l.header.Set("Content-Encoding", "gzip")
	l.header.Set("X-Hub-Signature", sign(q.repo.secret, l.body))
	q.say("a gzip bomb")
	return q.refused(q.w.deliver(l), http.StatusUnsupportedMediaType)
}

// garbage delivers what is signed and makes no sense, which is no more than a reason to look.
func (q *sequence) garbage() error {
	l := q.arrived[q.rnd.IntN(len(q.arrived))]
	l.header = l.header.Clone()
	l.header.Set("X-Request-Id", fmt.Sprintf("garbage-%d", q.rnd.Uint32()))
	want := http.StatusOK
	switch q.rnd.IntN(6) {
	case 0:
		l.body = l.body[:q.rnd.IntN(len(l.body))]
	case 1:
		l.body = []byte(strings.Repeat("[", 10_000))
	case 2:
		l.body = []byte(`{"repository":{"id":1e999},"changes":[{}]}`)
	case 3:
		l.body = []byte("\xff\xfe\x00{")
	case 4:
		l.body = bytes.Repeat([]byte("a"), 2<<20)
		want = http.StatusRequestEntityTooLarge
	case 5:
		l.body = nil
	}
	l.header.Set("X-Hub-Signature", sign(q.repo.secret, l.body))
	q.say("garbage of %d bytes", len(l.body))
	return q.refused(q.w.deliver(l), want)
}

// swept notes that Magpie has compared all refs, and nothing moved since.
func (q *sequence) swept() {
	q.say("sweep")
	for _, at := range q.refs {
		q.must |= q.nodes[q.targets[at].node].reaches
	}
}

// occurrence is where a secret has to be, or was, found.
type occurrence struct {
	secret string // masked
	file   string
	commit string
	line   int
}

// expected returns what the commits in a set bring.
func (q *sequence) expected(set uint64) map[occurrence]bool {
	all := map[occurrence]bool{}
	for i, v := range q.nodes {
		if set&(1<<i) != 0 && v.brings != "" {
			all[occurrence{magpie.NewSecret(q.secrets[v.tree[v.brings].secret]).Masked(), v.brings, v.hash, 2}] = true
		}
	}
	return all
}
