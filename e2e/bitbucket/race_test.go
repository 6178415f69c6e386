//go:build race

package bitbucket

func init() { buildFlags = append(buildFlags, "-race") }
