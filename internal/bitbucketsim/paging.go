package bitbucketsim

import (
	"net/http"
	"slices"
	"strconv"
)

const (
	defaultLimit = 25
	maxLimit     = 1000
)

// page is an ordinary page: a last page has no nextPageStart at all.
type page struct {
	Size          int  `json:"size"`
	Limit         int  `json:"limit"`
	IsLastPage    bool `json:"isLastPage"`
	Values        any  `json:"values"`
	Start         int  `json:"start"`
	NextPageStart *int `json:"nextPageStart,omitempty"`
}

// streamedPage is a page the server writes while it reads: other order of keys, and nextPageStart null at the end.
type streamedPage struct {
	Values        any  `json:"values"`
	Size          int  `json:"size"`
	IsLastPage    bool `json:"isLastPage"`
	Start         int  `json:"start"`
	Limit         int  `json:"limit"`
	NextPageStart *int `json:"nextPageStart"`
}

// window reads start and limit; limits above the maximum are clamped silently.
func (c *call) window(def int) (start, limit int, err error) {
	if start, err = c.number("start", 0); err != nil {
		return 0, 0, err
	}
	if limit, err = c.number("limit", def); err != nil {
		return 0, 0, err
	}
	if limit == 0 {
		limit = def
	}
	return start, min(limit, int(c.s.faults.maxLimit(maxLimit))), nil
}

// next is where the next page starts, or is said to.
func (c *call) next(start, next int) *int {
	if get(&c.s.faults, &c.s.faults.stuck) {
		next = start
	}
	return &next
}

func (c *call) number(name string, def int) (int, error) {
	text := c.query(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, errPlain(http.StatusBadRequest, name+" must be a number that is not negative")
	}
	return n, nil
}

// filtered pages over rows that a caller may see in part. The cursor counts all rows, seen or not, and one row that
// nobody sees comes second, so nextPageStart is never to be taken for start+size.
func filtered[T, V any](c *call, rows []T, visible func(T) bool, view func(T) V) (any, error) {
	start, limit, err := c.window(defaultLimit)
	if err != nil {
		return nil, err
	}
	const hidden = 1
	at := func(cursor int) (row T, ok bool) {
		switch {
		case cursor == hidden:
			return row, false
		case cursor > hidden:
			cursor--
		}
		return rows[cursor], visible(rows[cursor])
	}
	end := len(rows)
	if end > 0 {
		end++
	}
	values, cursor, scanned := []V{}, start, 0
	for ; cursor < end && len(values) < limit; cursor++ {
		if c.s.faults.sparsePages() && scanned == limit {
			break
		}
		scanned++
		if row, ok := at(cursor); ok {
			values = append(values, view(row))
		}
	}
	if !c.s.faults.sparsePages() {
		for cursor < end { // the next page starts at a row that can be seen
			if _, ok := at(cursor); ok {
				break
			}
			cursor++
		}
	}
	p := page{Size: len(values), Limit: limit, IsLastPage: cursor >= end, Values: values, Start: start}
	if !p.IsLastPage {
		p.NextPageStart = c.next(start, cursor)
	}
	return p, nil
}

// plain pages over rows that the caller may see all of.
func plain[T, V any](c *call, rows []T, view func(T) V) (any, error) {
	start, limit, err := c.window(defaultLimit)
	if err != nil {
		return nil, err
	}
	from, to := min(start, len(rows)), min(start+limit, len(rows))
	values := make([]V, 0, to-from)
	for _, row := range rows[from:to] {
		values = append(values, view(row))
	}
	p := page{Size: len(values), Limit: limit, IsLastPage: to == len(rows), Values: values, Start: start}
	if !p.IsLastPage {
		p.NextPageStart = c.next(start, to)
	}
	return p, nil
}

// newest pages backwards over rows that match, without reading more of them than the page needs.
func newest[T, V any](c *call, rows []T, match func(T) bool, view func(T) V) (any, error) {
	start, limit, err := c.window(defaultLimit)
	if err != nil {
		return nil, err
	}
	p := page{Limit: limit, Start: start, IsLastPage: true}
	values, seen := []V{}, 0
	for _, row := range slices.Backward(rows) {
		if !match(row) {
			continue
		}
		if seen++; seen > start+limit {
			p.IsLastPage, p.NextPageStart = false, c.next(start, start+limit)
			break
		}
		if seen > start {
			values = append(values, view(row))
		}
	}
	p.Values, p.Size = values, len(values)
	return p, nil
}

// streamed makes a page of rows read from start on, of which one more than limit was asked for.
func streamed[V any](start, limit int, rows []V) streamedPage {
	p := streamedPage{Start: start, Limit: limit, IsLastPage: len(rows) <= limit}
	if !p.IsLastPage {
		rows = rows[:limit]
		next := start + limit
		p.NextPageStart = &next
	}
	if rows == nil {
		rows = []V{}
	}
	p.Values, p.Size = rows, len(rows)
	return p
}
