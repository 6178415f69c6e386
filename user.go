package magpie

import "time"

// Role says what a user may do; access holds the one table of what each role allows.
type Role string

// The roles, strongest first.
const (
	RoleOwner   Role = "owner"   // everything; there is exactly one
	RoleManager Role = "manager" // everything but the Owner's own account
	RoleMember  Role = "member"  // sees and handles incidents, changes no settings
)

// User is a person with an account.
type User struct {
	ID        UserID
	Email     string // lower case, unique
	Name      string
	Role      Role
	Disabled  bool
	CreatedAt time.Time
}
