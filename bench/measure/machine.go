package measure

import (
	"os"
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
