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
	ID     int64    `json:"id"`
	Name   string   `json:"name"`
	URL    string   `json:"url"`
	Events []string `json:"events"`
	Active bool     `json:"active"`
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
	return list[Webhook](ctx, c, repoPath(key, slug, "/webhooks"), nil)
}

// CreateWebhook installs a webhook and returns it. It does not look for an existing one; EnsureWebhook does.
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
	var w Webhook
	_, err = c.call(ctx, method, path, nil, body, &w)
	return w, err
}

// DeleteWebhook removes a webhook. One that is already gone is no error.
func (c *Client) DeleteWebhook(ctx context.Context, key, slug string, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, hookPath(key, slug, id), nil, nil, nil)
	if magpie.KindOf(err) == magpie.KindNotFound {
		return nil
	}
	return err
}

// EnsureWebhook makes sure that the repository has exactly one webhook as in spec, and returns it. One that is there is
// replaced, since whether its secret is still ours can't be read; copies of it are removed. It may run twice.
func (c *Client) EnsureWebhook(ctx context.Context, key, slug string, spec HookSpec) (Webhook, error) {
	ours, err := c.ourWebhooks(ctx, key, slug, spec)
	if err != nil {
		return Webhook{}, err
	}
	if len(ours) == 0 {
		return c.CreateWebhook(ctx, key, slug, spec)
	}
	for _, w := range ours[1:] {
		if err := c.DeleteWebhook(ctx, key, slug, w.ID); err != nil {
			return Webhook{}, err
		}
	}
	return c.UpdateWebhook(ctx, key, slug, ours[0].ID, spec)
}

// RemoveWebhook removes the webhooks that are as in spec, which needs no secret for that, and returns how many there were.
func (c *Client) RemoveWebhook(ctx context.Context, key, slug string, spec HookSpec) (int, error) {
	ours, err := c.ourWebhooks(ctx, key, slug, spec)
	if err != nil {
		return 0, err
	}
	for i, w := range ours {
		if err := c.DeleteWebhook(ctx, key, slug, w.ID); err != nil {
			return i, err
		}
	}
	return len(ours), nil
}

func (c *Client) ourWebhooks(ctx context.Context, key, slug string, spec HookSpec) ([]Webhook, error) {
	var ours []Webhook
	for w, err := range c.Webhooks(ctx, key, slug) {
		if err != nil {
			return nil, err
		}
		if spec.Ours(w) {
			ours = append(ours, w)
		}
	}
	return ours, nil
}

func hookPath(key, slug string, id int64) string {
	return repoPath(key, slug, "/webhooks/"+strconv.FormatInt(id, 10))
}
