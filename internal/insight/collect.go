package insight

import (
	"context"
	"fmt"
	"slices"

	"magpie"
	"magpie/internal/bitbucket"
	"magpie/internal/store"
)

// maxFiles is how many files one report fetches; in further ones a known secret is taken to stand where it was found.
const maxFiles = 100

// standing is a known secret at a line of a file at the tip of a pull request.
type standing struct {
	store.InsightSecret
	Path string
	Line int
}

// survey is what is known about the secrets that the pull requests of one target bring.
type survey struct {
	found     []standing
	truncated bool // there are more changed files than Bitbucket lists
	unread    int  // changed files with known secrets that could not be looked at
}

// collector makes the survey of one target.
type collector struct {
	s       *Service
	client  *bitbucket.Client
	target  target
	sources []magpie.RepoID // repositories whose occurrences by path count
	fetched int
	survey  survey
}

// collect looks at what the pull requests of a target change.
func (s *Service) collect(ctx context.Context, v view, t target) (survey, error) {
	c := &collector{s: s, client: v.client, target: t, sources: []magpie.RepoID{v.repo.ID}}
	if t.repo.ID != v.repo.ID {
		c.sources = append(c.sources, t.repo.ID)
	}
	for _, p := range t.pulls {
		if err := c.pullRequest(ctx, p); err != nil {
			return survey{}, fmt.Errorf("looking at pull request %d of %s: %w", p.ID, t.repo.FullName(), err)
		}
	}
	return c.survey, nil
}

func (c *collector) pullRequest(ctx context.Context, p bitbucket.PullRequest) error {
	changes, err := c.client.PullRequestChanges(ctx, c.target.repo.ProjectKey, c.target.repo.Slug, p.ID)
	if err != nil {
		return err
	}
	c.survey.truncated = c.survey.truncated || changes.Truncated
	// A file that was only moved, or made executable, brings nothing.
	changes.Files = slices.DeleteFunc(changes.Files, func(f bitbucket.FileChange) bool { return f.Blob == f.Before })
	known, err := c.known(ctx, changes.Files)
	if err != nil {
		return err
	}
	base := &baseCommit{named: changes.Base, pull: p.ID, known: known}
	for _, f := range changes.Files {
		candidates := known.of(f)
		if len(candidates) == 0 {
			continue
		}
		if err := c.file(ctx, p, base, f, candidates); err != nil {
			return err
		}
	}
	return nil
}

// knowledge is the occurrences that may have to do with changed files.
type knowledge struct {
	byBlob map[magpie.Hash][]store.InsightSecret
	byFile map[string][]store.InsightSecret
}

// of returns the occurrences that may stand in a changed file.
func (k knowledge) of(f bitbucket.FileChange) []store.InsightSecret {
	all := slices.Concat(k.byBlob[f.Blob], k.byFile[f.Path])
	if f.Source != "" && f.Source != f.Path {
		all = append(all, k.byFile[f.Source]...)
	}
	return all
}

// stood reports whether an incident's secret is known to stand in a blob.
func (k knowledge) stood(blob magpie.Hash, id magpie.IncidentID) bool {
	return slices.ContainsFunc(k.byBlob[blob], func(v store.InsightSecret) bool { return v.IncidentID == id })
}

func (c *collector) known(ctx context.Context, files []bitbucket.FileChange) (knowledge, error) {
	var blobs []magpie.Hash
	var paths []string
	for _, f := range files {
		blobs, paths = append(blobs, f.Blob), append(paths, f.Path)
		if f.Before != "" {
			blobs = append(blobs, f.Before)
		}
		if f.Source != "" && f.Source != f.Path {
			paths = append(paths, f.Source)
		}
	}
	k := knowledge{byBlob: map[magpie.Hash][]store.InsightSecret{}, byFile: map[string][]store.InsightSecret{}}
	err := c.s.opts.DB.Read(ctx, func(tx *store.Tx) error {
		found, err := tx.SecretsInBlobs(ctx, distinct(blobs))
		if err != nil {
			return err
		}
		for _, v := range found {
			k.byBlob[v.Blob] = append(k.byBlob[v.Blob], v)
		}
		if found, err = tx.SecretsInFiles(ctx, c.sources, distinct(paths)); err != nil {
			return err
		}
		for _, v := range found {
			k.byFile[v.File] = append(k.byFile[v.File], v)
		}
		return nil
	})
	return k, err
}

// file decides which of the candidates a changed file brings.
func (c *collector) file(ctx context.Context, p bitbucket.PullRequest, base *baseCommit, f bitbucket.FileChange, candidates []store.InsightSecret) error {
	there, err := c.atTip(ctx, p, f, candidates)
	if err != nil || len(there) == 0 {
		return err
	}
	if f.Before != "" {
		if there, err = c.withoutBase(ctx, base, f, there); err != nil {
			return err
		}
	}
	for _, v := range there {
		if !slices.ContainsFunc(c.survey.found, func(o standing) bool {
			return o.IncidentID == v.IncidentID && o.Path == v.Path && o.Line == v.Line
		}) {
			c.survey.found = append(c.survey.found, v)
		}
	}
	return nil
}

// atTip returns where the candidates stand in a file at the tip.
func (c *collector) atTip(ctx context.Context, p bitbucket.PullRequest, f bitbucket.FileChange, candidates []store.InsightSecret) ([]standing, error) {
	recorded := make([]standing, 0, len(candidates))
	exact := true
	for _, v := range candidates {
		recorded = append(recorded, standing{InsightSecret: v, Path: f.Path, Line: v.Line})
		exact = exact && v.Blob == f.Blob
	}
	if exact { // all that is known of the file is known of just this content
		return recorded, nil
	}
	data, ok, err := c.fetch(ctx, f.Path, f.Blob, place{p.From.ProjectKey, p.From.Slug, p.From.Commit},
		place{c.target.repo.ProjectKey, c.target.repo.Slug, p.From.Commit})
	if err != nil {
		return nil, err
	}
	if !ok {
		c.survey.unread++
		return latest(recorded), nil
	}
	lines := c.s.scan(f.Path, data)
	var there []standing
	for _, v := range latest(recorded) {
		for _, line := range lines[v.Fingerprint] {
			v.Line = line
			there = append(there, v)
		}
	}
	return there, nil
}

// latest keeps the occurrence of each incident that was found last.
func latest(all []standing) []standing {
	at := map[magpie.IncidentID]int{}
	var kept []standing
	for _, v := range all {
		i, ok := at[v.IncidentID]
		switch {
		case !ok:
			at[v.IncidentID] = len(kept)
			kept = append(kept, v)
		case v.ID > kept[i].ID:
			kept[i] = v
		}
	}
	return kept
}

// withoutBase drops what stood in the file before the pull request.
func (c *collector) withoutBase(ctx context.Context, base *baseCommit, f bitbucket.FileChange, there []standing) ([]standing, error) {
	before := f.Path
	if f.Source != "" {
		before = f.Source
	}
	there = slices.DeleteFunc(there, func(v standing) bool { return base.known.stood(f.Before, v.IncidentID) })
	if len(there) == 0 {
		return nil, nil
	}
	data, ok, err := c.fetchBase(ctx, base, before, f.Before)
	if err != nil {
		return nil, err
	}
	if !ok {
		c.survey.unread++
		return there, nil
	}
	stood := c.s.scan(before, data)
	return slices.DeleteFunc(there, func(v standing) bool { return len(stood[v.Fingerprint]) > 0 }), nil
}
