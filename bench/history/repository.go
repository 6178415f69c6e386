package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"magpie/bench/measure"
)

// target is a repository to be scanned, and what else the programs need.
type target struct {
	dir    string // as given, absolute
	gitDir string
	bare   bool
	format string // of object ids: sha1 or sha256
	pack   string // a file with what a server sends for all refs
	url    string
	caFile string
}

// facts are a repository's sizes.
type facts struct {
	Name     string `json:"name"`
	Commits  int    `json:"commits"`
	Trees    int    `json:"trees"`
	Blobs    int    `json:"blobs"`
	Tags     int    `json:"tags"`
	Expanded int64  `json:"expanded_blob_bytes"`
	Pack     int64  `json:"pack_bytes"` // as a server sends it
}

// objects is how many there are in all.
func (f facts) objects() int { return f.Commits + f.Trees + f.Blobs + f.Tags }

// openTarget asks git what dir is.
func openTarget(ctx context.Context, dir string, env []string) (target, error) {
	t := target{}
	var err error
	if t.dir, err = filepath.Abs(dir); err != nil {
		return t, err
	}
	out, err := measure.Git(ctx, env, nil, "-C", t.dir, "rev-parse", "--absolute-git-dir", "--is-bare-repository", "--show-object-format")
	if err != nil {
		return t, err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 3 {
		return t, fmt.Errorf("git rev-parse printed %d lines where 3 were expected", len(lines))
	}
	t.gitDir, t.bare, t.format = lines[0], lines[1] == "true", lines[2]
	return t, nil
}

// describe counts a repository's objects as they are stored, replacements aside.
func describe(ctx context.Context, t target, env []string) (facts, error) {
	f := facts{Name: strings.TrimSuffix(filepath.Base(strings.TrimSuffix(t.gitDir, "/.git")), ".git")}
	cmd := exec.CommandContext(ctx, "git", "--no-replace-objects", "-C", t.dir, "cat-file", "--batch-all-objects", "--unordered",
		"--batch-check=%(objecttype) %(objectsize)")
	cmd.Env = env
	out, err := cmd.StdoutPipe()
	if err != nil {
		return f, err
	}
	if err := cmd.Start(); err != nil {
		return f, err
	}
	counted := f.count(out)
	_, drained := io.Copy(io.Discard, out)
	if err := errors.Join(counted, drained, cmd.Wait()); err != nil {
		return f, fmt.Errorf("counting the objects: %w", err)
	}
	return f, nil
}

// count reads lines of a kind and a size.
func (f *facts) count(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("git printed %q where a kind and a size were expected", lines.Text())
		}
		switch kind {
		case "commit":
			f.Commits++
		case "tree":
			f.Trees++
		case "tag":
			f.Tags++
		case "blob":
			f.Blobs++
			f.Expanded += size
		default:
			return fmt.Errorf("git printed an object of kind %q", kind)
		}
	}
	return lines.Err()
}

// makePack writes to a file what a server sends to somebody who has nothing and wants every ref, and returns its size.
// Objects that the repository lacks are left out, as the server here leaves them out.
func makePack(ctx context.Context, t target, file string, env []string) (size int64, err error) {
	tips, err := measure.Git(ctx, env, nil, "-C", t.dir, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return 0, err
	}
	out, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	cmd := exec.CommandContext(ctx, "git", "--no-replace-objects", "-C", t.dir, "pack-objects", "-q", "--revs", "--stdout",
		"--delta-base-offset", "--missing=allow-any")
	var errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, bytes.NewReader(servedTips(tips)), out, &errs
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("packing %s: %w: %s", t.dir, err, measure.LastLine(errs.String()))
	}
	info, err := out.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// servedTips keeps the ids of lines of id and ref that the server shows: all but replacements.
func servedTips(lines []byte) []byte {
	var ids []byte
	for line := range strings.Lines(string(lines)) {
		id, ref, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(ref, "refs/replace/") {
			ids = append(append(ids, id...), '\n')
		}
	}
	return ids
}

// pushed says what a push brought: the commits that want reaches and have doesn't.
type pushed struct {
	Want    string `json:"want"`
	Have    string `json:"have"`
	Commits int    `json:"commits"`
}

// errTooFewCommits is returned where a history is not longer than the push that was asked for.
var errTooFewCommits = errors.New("the history is not longer than the push")

// findPush takes the default branch, and the newest state of it, back along first parents, that lacks at least n of its
// commits: what a merge brought counts, as it does in a push.
func findPush(ctx context.Context, t target, n int, env []string) (pushed, error) {
	out, err := measure.Git(ctx, env, nil, "-C", t.dir, "rev-list", "--first-parent", "HEAD")
	if err != nil {
		return pushed{}, err
	}
	line := strings.Fields(string(out))
	behind := func(i int) (int, error) {
		out, err := measure.Git(ctx, env, nil, "-C", t.dir, "rev-list", "--count", line[i]+"..HEAD")
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(string(out)))
	}
	// The further back, the more commits are lacking.
	low, high, commits := 0, len(line), 0
	for low < high {
		middle := (low + high) / 2
		count, err := behind(middle)
		switch {
		case err != nil:
			return pushed{}, err
		case count >= n:
			high, commits = middle, count
		default:
			low = middle + 1
		}
	}
	if low == len(line) {
		return pushed{}, errTooFewCommits
	}
	return pushed{Want: line[0], Have: line[low], Commits: commits}, nil
}
