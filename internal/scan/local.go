package scan

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"magpie"
	"magpie/internal/git/pack"
)

// alwaysComplete is up to how many objects that name others a repository is looked through for missing ones although
// nothing hints at any. That takes a fifth of a second.
const alwaysComplete = 5_000

// ExamineRepository is Examine for a repository on disk. What the repository names but does not hold, by intention or by
// damage, is in the result as skipped.
func ExamineRepository(ctx context.Context, repository *pack.Repository, e Examination) (Result, error) {
	if e.Progress == nil {
		e.Progress = new(Meter)
	}
	e.Progress.enter(magpie.PhaseIndexing)
	absent := repository.Absent()
	e.Complete = len(absent.Shallow) == 0 && !absent.Partial
	refs, refsErr := repository.Refs()
	for _, ref := range refs {
		if ref.Name == "HEAD" {
			e.Default = ref.Target
		} else if ref.Hash != "" {
			e.Refs = append(e.Refs, magpie.Tip{Ref: ref.Name, Hash: ref.Hash})
		}
	}
	e.OwnAt = cmp.Or(e.OwnAt, tipOf(e.Default, e.Refs))
	result, err := Examine(ctx, repository, e)
	if err != nil {
		return result, err
	}
	for _, why := range absent.Unread {
		result.skip(why)
	}
	if refsErr != nil {
		result.skip(refsErr.Error())
	}
	for _, ref := range refs {
		if ref.Broken != "" {
			result.skip(fmt.Sprintf("ref %s: %s", ref.Name, ref.Broken))
		}
	}
	if len(absent.Shallow) > 0 {
		result.skip("it is a shallow clone: what lies before " + hashes("commit", absent.Shallow) + " is absent")
	}
	opts := pack.MissingOptions{Workers: e.Workers, AtMost: alwaysComplete, Progress: e.Progress.checked}
	if result.SkippedCount > 0 || absent.Partial {
		opts.AtMost = 0
	}
	missing, err := repository.Missing(ctx, opts)
	if err != nil {
		return result, err
	}
	result.skipMissing(missing, absent.Partial)
	e.Progress.Skipped.Store(result.SkippedCount)
	return result, nil
}

// tipOf returns where a ref stands; empty if it is none of refs.
func tipOf(name string, refs []magpie.Tip) magpie.Hash {
	for _, ref := range refs {
		if ref.Ref == name {
			return ref.Hash
		}
	}
	return ""
}

// bundleTip returns what comes closest to the default branch's tip in a bundle: HEAD, or the only branch.
func bundleTip(refs []pack.Ref) (tip magpie.Hash) {
	branches := 0
	for _, ref := range refs {
		if ref.Name == "HEAD" {
			return ref.Hash
		}
		if strings.HasPrefix(ref.Name, "refs/heads/") {
			tip = ref.Hash
			branches++
		}
	}
	if branches != 1 {
		return ""
	}
	return tip
}

// skipMissing counts the objects that are not there and names the first of them.
func (r *Result) skipMissing(m pack.Missing, partial bool) {
	var kinds []string
	for _, k := range []struct {
		n    int64
		kind string
	}{{m.Blobs, "blob"}, {m.Trees, "tree"}, {m.Commits, "commit"}, {m.Others, "other object"}} {
		switch {
		case k.n == 1:
			kinds = append(kinds, "1 "+k.kind)
		case k.n > 1:
			kinds = append(kinds, fmt.Sprintf("%d %ss", k.n, k.kind))
		}
	}
	if m.Total() == 0 {
		return
	}
	var names []string
	for _, o := range m.First[:min(len(m.First), 3)] {
		names = append(names, o.String())
	}
	why := strings.Join(kinds, ", ") + " absent, such as " + strings.Join(names, "; ")
	if partial {
		why = "it is a partial clone: " + why
	}
	r.skip(why)
	r.SkippedCount += m.Total() - 1
}

// ExamineBundle is Examine for the bundle at path. What is not in the bundle, although what is in it builds on it, is in the
// result as skipped.
func ExamineBundle(ctx context.Context, path string, e Examination) (Result, error) {
	if e.Progress == nil {
		e.Progress = new(Meter)
	}
	bundle, err := pack.OpenBundle(ctx, path, pack.Limits{}, e.Progress.indexed)
	if err != nil {
		return Result{}, err
	}
	defer bundle.Close()
	e.OwnAt = cmp.Or(e.OwnAt, bundleTip(bundle.Refs()))
	if len(bundle.Prerequisites()) == 0 {
		for _, ref := range bundle.Refs() {
			if ref.Name != "HEAD" {
				e.Refs = append(e.Refs, magpie.Tip{Ref: ref.Name, Hash: ref.Hash})
			}
		}
	}
	result, err := Examine(ctx, bundle, e)
	if err != nil {
		return result, err
	}
	if commits := bundle.Prerequisites(); len(commits) > 0 {
		result.skip("the bundle builds on " + hashes("commit", commits) + ", which is not in it: what lies before was not looked at")
	}
	if filter := bundle.Filter(); filter != "" {
		result.skip(fmt.Sprintf("the bundle leaves out objects on purpose (%q)", filter))
	}
	e.Progress.Skipped.Store(result.SkippedCount)
	return result, nil
}

// hashes names the first few of several objects.
func hashes(thing string, all []magpie.Hash) string {
	const named = 3
	var names []string
	for _, hash := range all[:min(len(all), named)] {
		names = append(names, string(hash))
	}
	text := strings.Join(names, ", ")
	if more := len(all) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(all) != 1 {
		thing += "s"
	}
	return thing + " " + text
}
