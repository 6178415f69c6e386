package apply

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"magpie"
)

// until looks again and again until something is so, at most as long as Options.Wait says. what ends the sentence "waited for".
func (r *run) until(ctx context.Context, what func() string, done func(ctx context.Context) (bool, error)) error {
	deadline := time.Now().Add(r.Wait)
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return &magpie.Error{
				Kind: magpie.KindUnavailable, Message: fmt.Sprintf("waited %s for %s", r.Wait, what()),
				Hint: "run the command again later, it goes on from there; --wait sets the time",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(r.Poll):
		}
	}
}

// untilSynced waits until the projects and repositories of an integration have been read.
func (r *run) untilSynced(ctx context.Context, want Integration, id string) error {
	fmt.Fprintf(r.Out, "  waiting until the projects and repositories of %s are read\n", want.URL)
	var i integrationState
	return r.until(ctx, func() string {
		what := "the first sync of " + want.URL
		if i.SyncError != "" {
			what += "; the last try ended with: " + i.SyncError
		}
		return what
	}, func(ctx context.Context) (bool, error) {
		err := r.Client.call(ctx, http.MethodGet, "/integrations/"+url.PathEscape(id), nil, &i)
		return err == nil && i.SyncedAt != nil && !i.Syncing, err
	})
}

// untilGone waits until an integration is removed, since another one of the same address can only be connected then.
func (r *run) untilGone(ctx context.Context, gone integrationState) error {
	return r.until(ctx, func() string { return "the webhooks of " + gone.URL + " to be taken away" }, func(ctx context.Context) (bool, error) {
		all, err := r.Client.integrations(ctx)
		return err == nil && !slices.ContainsFunc(all, func(i integrationState) bool { return i.ID == gone.ID }), err
	})
}
