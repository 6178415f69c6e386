package bitbucketsim

import (
	"net/http"
	"slices"
)

// What the REST interface tells about a webhook's past deliveries.

type statistics struct {
	Counts      counts       `json:"counts"`
	LastSuccess *invocation  `json:"lastSuccess,omitempty"`
	LastFailure *invocation  `json:"lastFailure,omitempty"`
	LastError   *invocation  `json:"lastError,omitempty"`
	all         []invocation // unexported: not on the wire
}

type counts struct {
	Errors    int    `json:"errors"`
	Failures  int    `json:"failures"`
	Successes int    `json:"successes"`
	Window    window `json:"window"`
}

type window struct {
	Start    int64 `json:"start"`
	Duration int64 `json:"duration"`
}

type invocation struct {
	ID       int64              `json:"id"`
	Event    string             `json:"event"`
	Scope    eventScope         `json:"eventScope"`
	Start    int64              `json:"start"`
	Finish   int64              `json:"finish"`
	Duration int64              `json:"duration"`
	Request  *invocationRequest `json:"request"`
	Result   *invocationResult  `json:"result"`
}

type eventScope struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type invocationRequest struct {
	URL    string `json:"url"`
	Method string `json:"method"`
}

type invocationResult struct {
	Description string `json:"description"`
	Outcome     string `json:"outcome"`
}

func (c *call) latestInvocation(h *webhook) (any, error) {
	outcomes := c.r.URL.Query()["outcome"]
	for _, o := range outcomes {
		if !slices.Contains([]string{Success, Failed, Errored}, o) {
			return nil, errInvalid("outcome", "outcome must be SUCCESS, FAILURE or ERROR")
		}
	}
	all := c.s.hooks.statistics(h.ID, c.query("event")).all
	for _, v := range slices.Backward(all) {
		if len(outcomes) == 0 || slices.Contains(outcomes, v.Result.Outcome) {
			return v, nil
		}
	}
	return noContent, nil
}

func (c *call) webhookStatistics(h *webhook) (any, error) {
	if st := c.s.hooks.statistics(h.ID, c.query("event")); len(st.all) > 0 {
		return st, nil
	}
	return reply{status: http.StatusNoContent}, nil
}

// statistics sums up the newest deliveries of a webhook that were tried.
func (e *engine) statistics(hookID int, event string) *statistics {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := &statistics{}
	for _, v := range e.history[hookID] {
		if event != "" && v.Event != event {
			continue
		}
		switch v.Result.Outcome {
		case Success:
			st.Counts.Successes++
			st.LastSuccess = &v
		case Failed:
			st.Counts.Failures++
			st.LastFailure = &v
		case Errored:
			st.Counts.Errors++
			st.LastError = &v
		}
		st.all = append(st.all, v)
	}
	if len(st.all) > 0 {
		first, last := st.all[0], st.all[len(st.all)-1]
		st.Counts.Window = window{first.Start, last.Finish - first.Start}
	}
	return st
}
