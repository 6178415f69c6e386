package incident

import (
	"testing"

	"magpie"
)

func TestEveryStateAndAction(t *testing.T) {
	const (
		triggered = magpie.IncidentTriggered
		assigned  = magpie.IncidentAssigned
		resolved  = magpie.IncidentResolved
		ignored   = magpie.IncidentIgnored
		no        = magpie.IncidentStatus("")
	)
	states := []magpie.IncidentStatus{triggered, assigned, resolved, ignored}
	tests := []struct {
		action action
		want   [4]magpie.IncidentStatus // from each of the states, with nobody assigned
		given  [4]magpie.IncidentStatus // and with somebody
	}{
		{assign, [4]magpie.IncidentStatus{assigned, assigned, no, no}, [4]magpie.IncidentStatus{assigned, assigned, no, no}},
		{unassign, [4]magpie.IncidentStatus{no, triggered, no, no}, [4]magpie.IncidentStatus{no, triggered, no, no}},
		{resolve, [4]magpie.IncidentStatus{resolved, resolved, no, no}, [4]magpie.IncidentStatus{resolved, resolved, no, no}},
		{ignore, [4]magpie.IncidentStatus{ignored, ignored, no, no}, [4]magpie.IncidentStatus{ignored, ignored, no, no}},
		{reopen, [4]magpie.IncidentStatus{no, no, triggered, triggered}, [4]magpie.IncidentStatus{no, no, assigned, assigned}},
		{appear, [4]magpie.IncidentStatus{triggered, assigned, triggered, ignored}, [4]magpie.IncidentStatus{triggered, assigned, assigned, ignored}},
		{repeat, [4]magpie.IncidentStatus{no, no, resolved, no}, [4]magpie.IncidentStatus{no, no, resolved, no}},
		{"explode", [4]magpie.IncidentStatus{}, [4]magpie.IncidentStatus{}},
	}
	for _, tt := range tests {
		for i, from := range states {
			for assignee, want := range map[magpie.UserID]magpie.IncidentStatus{"": tt.want[i], "u": tt.given[i]} {
				got, err := next(magpie.Incident{Status: from, AssigneeID: assignee}, tt.action)
				if got != want || (err == nil) != (want != no) || err != nil && magpie.KindOf(err) != magpie.KindConflict {
					t.Errorf("%s of an incident that is %s (assignee %q) = %q, %v, want %q", tt.action, from, assignee, got, err, want)
				}
			}
		}
	}
	if len(transitions) != len(states) {
		t.Errorf("the table has %d states, the test %d", len(transitions), len(states))
	}
}
