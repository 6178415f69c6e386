package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"magpie/internal/store/storetest"
)

// TestDeliveriesSurviveKills is the quick form of `make bench-deliveries`: 50 pushes a second while the server is killed
// three times. Nothing that it acknowledged may be lost; how long anything takes is not judged.
func TestDeliveriesSurviveKills(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for many seconds")
	}
	program := filepath.Join(t.TempDir(), "deliveries")
	if out, err := exec.Command("go", "build", "-o", program, "../bench/deliveries").CombinedOutput(); err != nil {
		t.Fatalf("building the load program: %v\n%s", err, out)
	}
	for name, database := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "" }, "postgres": storetest.EmptyPostgres,
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-magpie", filepath.Join(binDir, "magpie"), "-repos", "15", "-rate", "50", "-for", "6s", "-kills", "3", "-drain", "3m"}
			out, err := exec.CommandContext(t.Context(), program, append(args, "-database", database(t))...).CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
			if !bytes.Contains(out, []byte("acknowledged and lost, or not dealt with: 0 of")) {
				t.Error("the program did not compare")
			}
		})
	}
}
