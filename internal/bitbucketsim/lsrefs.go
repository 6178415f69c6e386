package bitbucketsim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The two calls that every fetch of protocol version 2 begins with cost the real server next to nothing, and a process
// here. The capabilities are the same for all repositories, so git is asked for them once; ls-refs is answered from
// the files. What is not plain — tags that may be annotated and are not packed, symbolic refs besides HEAD, compressed
// requests — goes to git.

// adverts keeps git's own advertisement of protocol version 2.
type adverts struct {
	once sync.Once
	text []byte
	err  error
}

// maxListRequest bounds the ls-refs requests that are answered here; longer ones are git's.
const maxListRequest = 64 << 10

// listed answers the capability advertisement and ls-refs of protocol version 2, and reports whether it did.
func (s *Server) listed(w http.ResponseWriter, r *http.Request, target *repo) bool {
	d := get(&s.faults, &s.faults.dialect)
	if d.protocol(r.Header.Get("Git-Protocol")) != "version=2" {
		return false
	}
	switch rest := r.PathValue("rest"); {
	case r.Method == http.MethodGet && rest == "info/refs" && r.URL.RawQuery == "service=git-upload-pack":
		return !d.NoFilter && !d.NoShallow && s.advertised(w)
	case r.Method == http.MethodPost && rest == "git-upload-pack" && r.Header.Get("Content-Encoding") == "":
		head, err := io.ReadAll(io.LimitReader(r.Body, maxListRequest))
		if err != nil {
			return false
		}
		if req, ok := parseListRequest(head); ok && s.listRefs(w, target.ID, req) {
			return true
		}
		r.Body = rejoined{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
	}
	return false
}

// rejoined is a body of which the beginning was read and put back.
type rejoined struct {
	io.Reader
	io.Closer
}

func (s *Server) advertised(w http.ResponseWriter) bool {
	a := &s.adverts
	a.once.Do(func() {
		cmd := exec.Command("git", "upload-pack", "--stateless-rpc", "--http-backend-info-refs", s.templateDir())
		cmd.Env = s.gitEnv("GIT_PROTOCOL=version=2")
		a.text, a.err = cmd.Output()
	})
	if a.err != nil {
		return false
	}
	gitHeaders(w, "application/x-git-upload-pack-advertisement")
	w.Write(a.text)
	return true
}

// gitHeaders are the ones of http-backend.
func gitHeaders(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	h.Set("Pragma", "no-cache")
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	h.Set("Content-Type", contentType)
}

// listRequest is an ls-refs command.
type listRequest struct {
	symrefs, peel, unborn bool
	prefixes              []string
}

// parseListRequest reads an ls-refs command that fills the whole body; anything it does not know is git's to answer.
func parseListRequest(body []byte) (req listRequest, ok bool) {
	arguments := false
	for first := true; len(body) >= 4; first = false {
		n, err := strconv.ParseUint(string(body[:4]), 16, 16)
		switch {
		case err != nil || n > uint64(len(body)):
			return req, false
		case n == 0:
			return req, !first && len(body) == 4
		case n == 1:
			arguments, body = true, body[4:]
			continue
		case n < 4:
			return req, false
		}
		line := strings.TrimSuffix(string(body[4:n]), "\n")
		body = body[n:]
		if first && line != "command=ls-refs" || arguments && !req.argument(line) ||
			!first && !arguments && !strings.HasPrefix(line, "agent=") && line != "object-format=sha1" {
			return req, false
		}
	}
	return req, false
}

func (q *listRequest) argument(line string) bool {
	switch prefix, found := strings.CutPrefix(line, "ref-prefix "); {
	case found:
		q.prefixes = append(q.prefixes, prefix)
	case line == "symrefs":
		q.symrefs = true
	case line == "peel":
		q.peel = true
	case line == "unborn":
		q.unborn = true
	default:
		return false
	}
	return true
}

func (q *listRequest) wants(ref string) bool {
	return len(q.prefixes) == 0 || slices.ContainsFunc(q.prefixes, func(p string) bool { return strings.HasPrefix(ref, p) })
}

func (s *Server) listRefs(w http.ResponseWriter, id int, req listRequest) bool {
	dir := s.gitDir(id)
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	branch, symbolic := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: ")
	if err != nil || !symbolic {
		return false
	}
	refs, peeled, err := plainRefs(dir)
	if err != nil {
		return false
	}
	var out bytes.Buffer
	packet := func(line string) { fmt.Fprintf(&out, "%04x%s\n", len(line)+5, line) }
	if req.wants("HEAD") {
		mark := refs[branch]
		if mark == "" && req.unborn && req.symrefs {
			mark = "unborn"
		}
		if line := mark + " HEAD"; mark != "" {
			if req.symrefs {
				line += " symref-target:" + branch
			}
			packet(line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		if !req.wants(name) {
			continue
		}
		line := refs[name] + " " + name
		if to := peeled[name]; req.peel && to != "" {
			line += " peeled:" + to
		}
		packet(line)
	}
	out.WriteString("0000")
	gitHeaders(w, "application/x-git-upload-pack-result")
	w.Write(out.Bytes())
	return true
}

// onlyCommits reports whether a ref can't be an annotated tag.
func onlyCommits(ref string) bool {
	return strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/pull-requests/")
}

var errNotPlain = errors.New("these refs need git")

// plainRefs reads refs and what the annotated tags among them point at, or fails where only git can tell.
func plainRefs(dir string) (refs, peeled map[string]string, err error) {
	refs, peeled = map[string]string{}, map[string]string{}
	if err := peeledRefs(filepath.Join(dir, "packed-refs"), refs, peeled); err != nil {
		return nil, nil, err
	}
	err = filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		name, hash := filepath.ToSlash(rel), strings.TrimSpace(string(data))
		if err != nil || len(hash) != len(zeroHash) || strings.HasSuffix(name, ".lock") || !onlyCommits(name) && refs[name] != hash {
			return errors.Join(errNotPlain, err)
		}
		refs[name] = hash
		return nil
	})
	return refs, peeled, err
}
