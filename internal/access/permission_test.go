package access_test

import (
	"slices"
	"testing"

	"magpie"
	"magpie/internal/access"
)

func TestEveryRoleAndPermission(t *testing.T) {
	want := map[access.Permission][]magpie.Role{
		access.ViewIncidents:      {magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember},
		access.HandleIncidents:    {magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember},
		access.RevealSecrets:      {magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember},
		access.ViewPerimeter:      {magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember},
		access.ManageIntegrations: {magpie.RoleOwner, magpie.RoleManager},
		access.StartScans:         {magpie.RoleOwner, magpie.RoleManager},
		access.ManageUsers:        {magpie.RoleOwner, magpie.RoleManager},
		access.ViewAudit:          {magpie.RoleOwner, magpie.RoleManager},
		access.ManageOwnTokens:    {magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember},
		access.ViewSettings:       {magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember},
		"unheard_of":              nil,
	}
	if len(want) != len(access.Permissions())+1 {
		t.Errorf("%d permissions, the test knows %d", len(access.Permissions()), len(want)-1)
	}
	for permission, roles := range want {
		for _, role := range []magpie.Role{magpie.RoleOwner, magpie.RoleManager, magpie.RoleMember, "", "admin"} {
			allowed := slices.Contains(roles, role)
			if got := access.Allows(role, permission); got != allowed {
				t.Errorf("Allows(%q, %q) = %t, want %t", role, permission, got, allowed)
			}
			user := magpie.User{ID: "u", Role: role}
			if err := access.Require(user, permission); (err == nil) != allowed || !allowed && magpie.KindOf(err) != magpie.KindForbidden {
				t.Errorf("Require(%q, %q) = %v, want allowed %t", role, permission, err, allowed)
			}
			user.Disabled = true
			if err := access.Require(user, permission); err == nil {
				t.Errorf("a disabled %q has %q", role, permission)
			}
			if err := access.Require(magpie.User{Role: role}, permission); err == nil {
				t.Errorf("nobody with the role %q has %q", role, permission)
			}
		}
	}
}
