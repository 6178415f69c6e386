package access

import (
	"slices"

	"magpie"
)

// Permission is something that not everybody may do.
type Permission string

// The permissions.
const (
	ViewIncidents      Permission = "view_incidents"
	HandleIncidents    Permission = "handle_incidents" // assign, resolve, ignore, reopen, set the severity
	RevealSecrets      Permission = "reveal_secrets"
	ViewPerimeter      Permission = "view_perimeter"
	ManageIntegrations Permission = "manage_integrations" // connect, replace tokens, remove, switch, select and deselect
	StartScans         Permission = "start_scans"
	ManageUsers        Permission = "manage_users"
	ViewAudit          Permission = "view_audit"
	ManageOwnTokens    Permission = "manage_own_tokens"
	ViewSettings       Permission = "view_settings"
)

// Permissions lists all permissions.
func Permissions() []Permission {
	return []Permission{
		ViewIncidents, HandleIncidents, RevealSecrets, ViewPerimeter, ManageIntegrations, StartScans, ManageUsers, ViewAudit,
		ManageOwnTokens, ViewSettings,
	}
}

// allowed is what each role may do. A role or permission that is not in it is allowed nothing.
var allowed = map[magpie.Role][]Permission{
	magpie.RoleOwner:   Permissions(),
	magpie.RoleManager: Permissions(),
	magpie.RoleMember:  {ViewIncidents, HandleIncidents, RevealSecrets, ViewPerimeter, ManageOwnTokens, ViewSettings},
}

// Allows reports whether a role has a permission.
func Allows(role magpie.Role, p Permission) bool { return slices.Contains(allowed[role], p) }

// Require returns nil if the user has the permission, else an error of magpie.KindForbidden. A disabled user has none.
func Require(user magpie.User, p Permission) error {
	if user.ID != "" && !user.Disabled && Allows(user.Role, p) {
		return nil
	}
	return &magpie.Error{Kind: magpie.KindForbidden, Message: "you are not allowed to do this", Hint: "ask the Owner or a Manager"}
}
