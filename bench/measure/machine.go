package measure

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// VersionArgs is how a peer is asked for its version.
func VersionArgs(peer string) []string {
	if slices.Contains([]string{"gitleaks", "betterleaks", "titus"}, peer) {
		return []string{"version"}
	}
	return []string{"--version"}
}

// Processor names the processor where Linux tells.
func Processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return ", " + Shorten(strings.TrimSpace(value))
		}
	}
	return ""
}

// versionLine is the first line with a number in it; some print a picture first.
var versionLine = regexp.MustCompile(`(?m)^.*\d.*$`)

// Version returns a program's version: what Go noted when it was installed as a module, or what the program says when it is
// run as p says.
func Version(ctx context.Context, p Process) string {
	built := ""
	if info, err := buildinfo.ReadFile(p.Args[0]); err == nil && info.Main.Version != "(devel)" {
		built = info.Main.Version
	}
	cmd := exec.CommandContext(ctx, p.Args[0], p.Args[1:]...)
	cmd.Env, cmd.Dir = p.Env, p.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return cmp.Or(built, "of unknown version")
	}
	return cmp.Or(built, Shorten(versionLine.FindString(string(out))), "of unknown version")
}
