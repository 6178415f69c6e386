package incident

import (
	"magpie"
)

// action is something that happens to an incident.
type action string

const (
	assign   action = "assign"
	unassign action = "unassign"
	resolve  action = "resolve"
	ignore   action = "ignore"
	reopen   action = "reopen"
	appear   action = "appear" // a new occurrence was found
	repeat   action = "repeat" // one was found in another repository, whose commit is known
)

// open stands for the state of an open incident: assigned if somebody is, else triggered.
const open magpie.IncidentStatus = "open"

// transitions is the life of an incident: by state and action the state that follows. What is not in it is not allowed.
var transitions = map[magpie.IncidentStatus]map[action]magpie.IncidentStatus{
	magpie.IncidentTriggered: {
		assign: magpie.IncidentAssigned, resolve: magpie.IncidentResolved, ignore: magpie.IncidentIgnored, appear: magpie.IncidentTriggered,
	},
	magpie.IncidentAssigned: {
		assign: magpie.IncidentAssigned, unassign: magpie.IncidentTriggered,
		resolve: magpie.IncidentResolved, ignore: magpie.IncidentIgnored, appear: magpie.IncidentAssigned,
	},
	magpie.IncidentResolved: {reopen: open, appear: open, repeat: magpie.IncidentResolved}, // resolved and yet there again: a regression
	magpie.IncidentIgnored:  {reopen: open, appear: magpie.IncidentIgnored},
}

// next returns the state that follows, or a KindConflict.
func next(v magpie.Incident, a action) (magpie.IncidentStatus, error) {
	to, ok := transitions[v.Status][a]
	switch {
	case !ok:
		return "", &magpie.Error{
			Kind:    magpie.KindConflict,
			Message: "this can't be done with an incident that is " + string(v.Status),
			Hint:    "reload the page; somebody may have changed it meanwhile",
		}
	case to == open && v.AssigneeID != "":
		return magpie.IncidentAssigned, nil
	case to == open:
		return magpie.IncidentTriggered, nil
	}
	return to, nil
}
