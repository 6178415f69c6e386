package bitbucket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"

	"magpie"
)

// HookEvents are the events that our webhooks subscribe to: pushes, and renames and moves.
var HookEvents = []string{EventRefsChanged, EventModified}

const maxHookSecret = 255 // Bitbucket's limit

// Webhook is a webhook as the server lists it. Its secret is never read back.
type Webhook struct {
	ID     int64
	Name   string
	URL    string
	Events []string
	Active bool
}

type wireWebhook struct {
	ID     number     `json:"id"`
	Name   text       `json:"name"`
	URL    text       `json:"url"`
	Events many[text] `json:"events"`
	Active truth      `json:"active"`
}

func (w wireWebhook) webhook() Webhook {
	hook := Webhook{ID: int64(w.ID), Name: string(w.Name), URL: string(w.URL), Active: bool(w.Active)}
	for _, e := range w.Events {
		hook.Events = append(hook.Events, string(e))
	}
	return hook
}

// HookSpec is a webhook as it shall be. Name and URL together say which one is ours.
type HookSpec struct {
	Name   string
	URL    string // where events go; braces have a meaning to Bitbucket and are refused
	Secret magpie.Secret
}

// Ours reports whether w is the webhook that s describes: exactly its name and address, nothing looser, so that no other
// team's webhook is ever touched.
func (s HookSpec) Ours(w Webhook) bool { return w.Name == s.Name && w.URL == s.URL }

// wireHook is the body of POST and PUT. A PUT replaces everything, so both always send everything, secret included.
type wireHook struct {
	Name          string     `json:"name"`
	URL           string     `json:"url"`
	Events        []string   `json:"events"`
	Active        bool       `json:"active"`
	Verify        bool       `json:"sslVerificationRequired"`
	Configuration hookConfig `json:"configuration"`
}

type hookConfig struct {
	Secret string `json:"secret"` // revealed only to be sent to the server that signs with it
}

func (s HookSpec) wire() (wireHook, error) {
	if n := s.Secret.Len(); n == 0 || n > maxHookSecret {
		return wireHook{}, fmt.Errorf("a webhook secret of %d bytes: must be 1 to %d", n, maxHookSecret)
	}
	for _, r := range s.URL {
		if r == '{' || r == '}' {
			return wireHook{}, errors.New("a webhook address with braces, which Bitbucket would replace")
		}
	}
	return wireHook{
		Name: s.Name, URL: s.URL, Events: HookEvents, Active: true, Verify: true,
		Configuration: hookConfig{Secret: string(s.Secret.Reveal())},
	}, nil
}

// Webhooks yields all webhooks of a repository, other people's too.
func (c *Client) Webhooks(ctx context.Context, key, slug string) iter.Seq2[Webhook, error] {
	return convert(list[wireWebhook](ctx, c, repoPath(key, slug, "/webhooks"), nil), wireWebhook.webhook)
}

// CreateWebhook installs a webhook and returns it. It does not look for an existing one.
func (c *Client) CreateWebhook(ctx context.Context, key, slug string, spec HookSpec) (Webhook, error) {
	return c.writeWebhook(ctx, http.MethodPost, repoPath(key, slug, "/webhooks"), spec)
}

// UpdateWebhook replaces a webhook as a whole.
func (c *Client) UpdateWebhook(ctx context.Context, key, slug string, id int64, spec HookSpec) (Webhook, error) {
	return c.writeWebhook(ctx, http.MethodPut, hookPath(key, slug, id), spec)
}

func (c *Client) writeWebhook(ctx context.Context, method, path string, spec HookSpec) (Webhook, error) {
	body, err := spec.wire()
	if err != nil {
		return Webhook{}, err
	}
	var w wireWebhook
	_, err = c.call(ctx, method, path, nil, body, &w)
	return w.webhook(), err
}

// DeleteWebhook removes a webhook. One that is already gone is no error.
func (c *Client) DeleteWebhook(ctx context.Context, key, slug string, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, hookPath(key, slug, id), nil, nil, nil)
	if magpie.KindOf(err) == magpie.KindNotFound {
		return nil
	}
	return err
}

func hookPath(key, slug string, id int64) string {
	return repoPath(key, slug, "/webhooks/"+strconv.FormatInt(id, 10))
}
