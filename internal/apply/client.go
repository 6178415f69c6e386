package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"magpie"
)

// Client speaks to a Magpie server.
type Client struct {
	Base  string        // such as https://magpie.example.com, without a trailing slash
	Token magpie.Secret // API token of a user who may manage integrations
	HTTP  *http.Client
}

// maxAnswer is more than any page of a list takes.
const maxAnswer = 16 << 20

type integrationState struct {
	ID           string     `json:"id"`
	Mode         string     `json:"mode"`
	URL          string     `json:"url"`
	TokenUser    string     `json:"token_user"`
	State        string     `json:"state"`
	StateReason  string     `json:"state_reason"`
	TokenExpires *time.Time `json:"token_expires_at"`
	Autoscan     bool       `json:"autoscan"`
	AutoMonitor  bool       `json:"auto_monitor"`
	SyncedAt     *time.Time `json:"synced_at"`
	SyncError    string     `json:"sync_error"`
	Syncing      bool       `json:"syncing"`
	Removing     bool       `json:"removing"`
}

type projectState struct {
	ID          string `json:"id"`
	Key         string `json:"key"`
	Installed   bool   `json:"installed"`
	AutoMonitor string `json:"auto_monitor"`
	Insights    bool   `json:"insights"`
}

type repoState struct {
	ID        string `json:"id"`
	ProjectID string `json:"project_id"`
	FullName  string `json:"full_name"`
	Monitored bool   `json:"monitored"`
}

type probeState struct {
	Version      string `json:"version"`
	TokenUser    string `json:"token_user"`
	Repositories int    `json:"repositories"`
	Administers  int    `json:"administers"`
}

// call sends a request and reads the answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("writing the request %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Base+"/api/v1"+path, body)
	if err != nil {
		return fmt.Errorf("making the request %s %s: %w", method, path, err)
	}
	r.Header.Set("Authorization", "Bearer "+string(c.Token.Reveal()))
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return &magpie.Error{Kind: magpie.KindUnavailable, Message: "the Magpie server at " + c.Base + " can't be reached", Hint: "see --server and --ca-file", Err: err}
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	if response.StatusCode >= 300 {
		return refusal(response.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return &magpie.Error{Kind: magpie.KindUnavailable, Message: c.Base + " does not answer as a Magpie server does", Err: err}
	}
	return nil
}

// refusal turns a problem document into an error.
func refusal(status int, raw []byte) error {
	var doc struct {
		Detail string `json:"detail"`
		Errors []struct {
			Location string `json:"location"`
		} `json:"errors"`
	}
	e := &magpie.Error{Kind: magpie.KindInvalid}
	if json.Unmarshal(raw, &doc) != nil || doc.Detail == "" {
		e.Kind, e.Message = magpie.KindUnavailable, fmt.Sprintf("the server answers with status %d and no reason", status)
		return e
	}
	e.Message = magpie.Printable(doc.Detail)
	if len(doc.Errors) > 0 {
		e.Field = doc.Errors[0].Location
	}
	switch {
	case status == http.StatusUnauthorized:
		e.Kind, e.Message, e.Hint = magpie.KindUnauthorized, "the server does not accept the API token", "make one under Settings and name its file with --token-file"
	case status == http.StatusForbidden:
		e.Kind = magpie.KindForbidden
	case status == http.StatusNotFound:
		e.Kind = magpie.KindNotFound
	case status >= 500, status == http.StatusTooManyRequests:
		e.Kind = magpie.KindUnavailable
	}
	return e
}

// maxPages is more than any list has.
const maxPages = 10_000

// list reads all pages of a list.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	var all []T
	for range maxPages {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
	return nil, magpie.Errorf(magpie.KindUnavailable, "%s sends a list that does not end", c.Base)
}

func (c *Client) integrations(ctx context.Context) ([]integrationState, error) {
	return list[integrationState](ctx, c, "/integrations", url.Values{})
}

func (c *Client) projects(ctx context.Context, integration string) ([]projectState, error) {
	return list[projectState](ctx, c, "/projects", url.Values{"integration": {integration}})
}

// repos returns the repositories that exist at Bitbucket.
func (c *Client) repos(ctx context.Context, integration string) ([]repoState, error) {
	return list[repoState](ctx, c, "/repositories", url.Values{"integration": {integration}, "limit": {"100"}})
}
