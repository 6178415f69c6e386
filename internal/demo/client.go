package demo

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

// Client calls the product's API as any other program would.
type Client struct {
	Base  string // without a trailing slash
	Token magpie.Secret
	HTTP  *http.Client
}

// The parts of the API's answers that the story needs.
type (
	integration struct {
		ID       string `json:"id"`
		Coverage struct {
			Monitored      int `json:"monitored"`
			HooksInstalled int `json:"hooks_installed"`
			HistoryDone    int `json:"history_done"`
			HistoryFailed  int `json:"history_failed"`
		} `json:"coverage"`
	}
	scanned struct {
		Repository    string `json:"repository"`
		Kind          string `json:"kind"`
		State         string `json:"state"`
		BytesReceived int64  `json:"bytes_received"`
		Objects       int64  `json:"objects"`
		Error         string `json:"error"`
	}
	incident struct {
		ID          string `json:"id"`
		Number      int64  `json:"number"`
		URL         string `json:"url"`
		Rule        string `json:"rule"`
		Masked      string `json:"masked"`
		Status      string `json:"status"`
		Occurrences int    `json:"occurrences"`
		FirstFile   string `json:"first_file"`
		FirstRepo   string `json:"first_repository"`
	}
	occurrence struct {
		Repository string `json:"repository"`
		File       string `json:"file"`
		Commit     string `json:"commit"`
		LineStart  int    `json:"line_start"`
	}
)

// call sends one request. Reading is tried again while the server can't be reached, as it is when it was killed.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	for {
		err := c.once(ctx, method, path, in, out)
		var netErr *url.Error
		if method != http.MethodGet || !errors.As(err, &netErr) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Client) once(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Base+"/api/v1"+path, body)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+string(c.Token.Reveal()))
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	switch {
	case err != nil:
		return &url.Error{Op: method, URL: path, Err: err} // the server died while it answered
	case response.StatusCode >= 300:
		return fmt.Errorf("%s %s: status %d: %s", method, path, response.StatusCode, raw)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// list reads all pages of a list.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	var all []T
	if query == nil {
		query = url.Values{}
	}
	for {
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
}
