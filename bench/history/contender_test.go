package main

import (
	"errors"
	"os/exec"
	"testing"
)

func TestMissingProgramsAreTold(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, c := range peers() {
		if _, err := c.command(target{}, ""); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: got %v, want %v", c.name, err, exec.ErrNotFound)
		}
	}
}
