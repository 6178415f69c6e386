package bitbucketsim

import (
	"fmt"
	"strconv"
	"strings"
)

// version is a Bitbucket version as major, minor, patch.
type version struct{ major, minor, patch int }

func parseVersion(text string) (version, error) {
	parts := strings.Split(text, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return version{}, fmt.Errorf("version %q: want major.minor.patch", text)
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 0 {
			return version{}, fmt.Errorf("version %q: want major.minor.patch", text)
		}
		n[i] = v
	}
	return version{n[0], n[1], n[2]}, nil
}

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch) }

// build is the build number the real server derives from its version, such as "7011002" for 7.11.2.
func (v version) build() string { return strconv.Itoa(v.major*1e6 + v.minor*1e3 + v.patch) }

// The features that came or changed with a version.
func (v version) insights() bool        { return v.atLeast(5, 15) }
func (v version) partialClone() bool    { return v.atLeast(7, 7) }
func (v version) archived() bool        { return v.atLeast(8, 0) }
func (v version) projectWebhooks() bool { return v.atLeast(8, 9) }
func (v version) defaultBranch() bool   { return v.atLeast(8, 0) }
func (v version) webhookScope() bool    { return v.atLeast(8, 9) }
func (v version) payloadLinks() bool    { return v.atLeast(8, 0) }
func (v version) payloadCommits() bool  { return v.atLeast(8, 9) }
func (v version) authRequired() bool    { return v.atLeast(9, 0) }
func (v version) maskedSecret() bool    { return v.atLeast(9, 0) }
func (v version) isoTimes() bool        { return v.atLeast(10, 0) }
