package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"iter"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"magpie/internal/bitbucketsim"
)

// bitbucket is the simulated one, and what was put into it.
type bitbucket struct {
	sim   *bitbucketsim.Server
	token bitbucketsim.Token
	rnd   *rand.Rand
	repos []*repository
	byID  map[int]*repository
}

// repository has a chain of commits among which pushes move branches, forwards and back.
type repository struct {
	id      int
	commits []string       // from the oldest on
	at      map[string]int // commit → place in commits
	secret  []bool         // whether a commit brings one
	refs    map[string]int
}

const (
	chain       = 24 // commits of a repository
	secretEvery = 8  // one in so many of them brings a secret
	project     = "LOAD"
)

var branches = []string{"refs/heads/main", "refs/heads/feature/one", "refs/heads/feature/two"}

func newBitbucket(o options, dir string) (*bitbucket, error) {
	// The events of 8.8 carry no commits, so sending them costs no git process, which the server's scans need more.
	sim, err := bitbucketsim.New(bitbucketsim.Options{
		Version: "8.8.0", DataDir: filepath.Join(dir, "bitbucket"), WebhookThreads: o.threads, WebhookConnections: o.connections,
		DeliveryLog: int(o.rate*o.length.Seconds())*2 + 1000,
	})
	if err != nil {
		return nil, err
	}
	b := &bitbucket{sim: sim, rnd: rand.New(rand.NewPCG(o.seed, 2)), byID: map[int]*repository{}}
	if _, err := sim.CreateUser(bitbucketsim.User{Name: "bot", Permission: "SYS_ADMIN"}); err != nil {
		return nil, err
	}
	if b.token, err = sim.CreateToken(bitbucketsim.TokenSpec{User: "bot", Permissions: []string{"PROJECT_READ", "REPO_ADMIN"}}); err != nil {
		return nil, err
	}
	if _, err := sim.CreateProject(project, "Load"); err != nil {
		return nil, err
	}
	for n := range o.repos {
		if err := b.add(n); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// add makes a repository whose commits but the first no ref reaches yet.
func (b *bitbucket) add(n int) error {
	made, err := b.sim.CreateRepo(project, fmt.Sprintf("repo-%04d", n))
	if err != nil {
		return err
	}
	r := &repository{id: made.ID, at: map[string]int{}, refs: map[string]int{branches[0]: 0}}
	push := bitbucketsim.Push{Repo: made.ID, Quiet: true}
	for i := range chain {
		text, secret := fmt.Sprintf("line %d of repository %d\n", i, n), i > 0 && b.rnd.IntN(secretEvery) == 0
		if secret {
			text += "token = " + b.madeUpToken() + "\n"
		}
		r.secret = append(r.secret, secret)
		push.Commits = append(push.Commits, bitbucketsim.Commit{Files: map[string]string{fmt.Sprintf("conf/%d.env", i): text}})
	}
	done, err := b.sim.Push(push)
	if err != nil {
		return err
	}
	r.commits = done.Commits
	for i, hash := range r.commits {
		r.at[hash] = i
	}
	b.repos, b.byID[r.id] = append(b.repos, r), r
	_, err = b.sim.MoveRefs(r.id, "", map[string]string{branches[0]: r.commits[0]})
	return err
}

const alphabet62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// madeUpToken makes a token in GitHub's form: thirty random characters and their checksum.
func (b *bitbucket) madeUpToken() string {
	var text []byte
	for range 30 {
		text = append(text, alphabet62[b.rnd.IntN(62)])
	}
	sum := crc32.ChecksumIEEE(text)
	var tail [6]byte
	for i := len(tail) - 1; i >= 0; i-- {
		tail[i] = alphabet62[sum%62]
		sum /= 62
	}
	return "gh" + "p_" + string(text) + string(tail[:])
}

// push moves a random branch of a random repository to another commit: mostly a new one, sometimes an old one.
func (b *bitbucket) push() error {
	r := b.repos[b.rnd.IntN(len(b.repos))]
	ref := branches[b.rnd.IntN(len(branches))]
	next := b.rnd.IntN(chain)
	if now, ok := r.refs[ref]; ok && now == next {
		next = (next + 1) % chain
	}
	r.refs[ref] = next
	_, err := b.sim.MoveRefs(r.id, "", map[string]string{ref: r.commits[next]})
	return err
}

// delivered waits until Bitbucket has nothing left to send.
func (b *bitbucket) delivered(ctx context.Context) error { return b.sim.WaitDelivered(ctx) }

// named returns up to which commit of its repository's chain an event leads.
func (b *bitbucket) named(d bitbucketsim.Delivery) (*repository, int, error) {
	var event struct {
		Changes []struct {
			ToHash string `json:"toHash"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(d.Body, &event); err != nil {
		return nil, 0, fmt.Errorf("reading an event that was sent: %w", err)
	}
	r, top := b.byID[d.Repo], 0
	for _, c := range event.Changes {
		if !strings.HasPrefix(c.ToHash, "0000000") {
			top = max(top, r.at[c.ToHash])
		}
	}
	return r, top, nil
}

func keys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
