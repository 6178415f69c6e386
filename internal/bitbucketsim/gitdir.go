package bitbucketsim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const zeroHash = "0000000000000000000000000000000000000000"

func (s *Server) gitDir(id int) string {
	return filepath.Join(s.dir, "repositories", strconv.Itoa(id)+".git")
}

func (s *Server) templateDir() string { return filepath.Join(s.dir, "template.git") }

// makeTemplate lets git make one bare repository; all others start with its files.
func (s *Server) makeTemplate() error {
	if _, err := os.Stat(filepath.Join(s.templateDir(), "HEAD")); err == nil {
		return nil
	}
	cmd := exec.Command("git", "init", "--bare", "--quiet", "--template=", "--initial-branch="+s.opt.DefaultBranch, s.templateDir())
	cmd.Env = s.gitEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a bare repository: %w: %s", err, out)
	}
	return nil
}

// makeGitDir writes a bare repository without running git. Its first files are shared with the template: git replaces
// files and never writes into them.
func (s *Server) makeGitDir(dir string) error {
	for _, sub := range []string{"", "objects", "objects/info", "refs"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return fmt.Errorf("making a repository: %w", err)
		}
	}
	for _, name := range []string{"HEAD", "config"} {
		if err := os.Link(filepath.Join(s.templateDir(), name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("making a repository: %w", err)
		}
	}
	return nil
}

// gitEnv is the environment of every git process: no configuration but the server's.
func (s *Server) gitEnv(extra ...string) []string {
	config := append(get(&s.faults, &s.faults.dialect).config(s.ver.partialClone()), [][2]string{
		{"safe.directory", "*"},
		{"http.receivepack", "true"},
		{"gc.auto", "0"},
		{"receive.autogc", "false"},
		{"core.fsync", "none"},
	}...)
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(config)),
	}
	for i, kv := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return append(env, extra...)
}

// git runs git in a repository and returns what it prints.
func (s *Server) git(ctx context.Context, id int, stdin io.Reader, args ...string) ([]byte, error) {
	return s.gitIn(ctx, s.gitDir(id), stdin, args...)
}

// gitWith runs git in a repository with more in its environment.
func (s *Server) gitWith(ctx context.Context, id int, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = s.gitDir(id), s.gitEnv(append(env, "GIT_DIR=.")...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git in repository %d: %w", id, err)
	}
	return out, nil
}

func (s *Server) gitIn(ctx context.Context, dir string, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, s.gitEnv("GIT_DIR=."), stdin
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s in repository %s: %w: %s", args[0], filepath.Base(dir), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// refs reads all refs of a repository: packed ones, and the loose ones over them. It does not need the lock, but sees
// refs of a running push one by one.
func (s *Server) refs(id int) (map[string]string, error) {
	dir := s.gitDir(id)
	found := map[string]string{}
	if err := packedRefs(filepath.Join(dir, "packed-refs"), found); err != nil {
		return nil, fmt.Errorf("reading the refs of repository %d: %w", id, err)
	}
	err := filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		return looseRef(dir, path, found)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the refs of repository %d: %w", id, err)
	}
	return found, nil
}

func looseRef(dir, path string, found map[string]string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	name, relErr := filepath.Rel(dir, path)
	if hash := strings.TrimSpace(string(data)); len(hash) >= 40 {
		found[filepath.ToSlash(name)] = hash
	}
	return errors.Join(err, relErr)
}

func packedRefs(path string, found map[string]string) error {
	return peeledRefs(path, found, map[string]string{})
}

// peeledRefs reads packed refs, and what the annotated tags among them lead to.
func peeledRefs(path string, found, peeled map[string]string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	last := ""
	for lines.Scan() {
		if to, ok := strings.CutPrefix(lines.Text(), "^"); ok {
			peeled[last] = to
			continue
		}
		if hash, name, ok := strings.Cut(lines.Text(), " "); ok && !strings.HasPrefix(hash, "#") {
			found[name], last = hash, name
		}
	}
	return lines.Err()
}

// Refs returns the refs of a repository: full name → object id.
func (s *Server) Refs(id int) (map[string]string, error) { return s.refs(id) }
