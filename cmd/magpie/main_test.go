package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"magpie"
	"magpie/internal/config"
)

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errSecretsFound, 1},
		{fmt.Errorf("with more words: %w", errSecretsFound), 1},
		{magpie.Errorf(magpie.KindInvalid, "wrong"), 2},
		{magpie.Errorf(magpie.KindNotFound, "no such user"), 2},
		{config.Problems{{Kind: magpie.KindInvalid, Field: "x"}}, 2},
		{magpie.Errorf(magpie.KindConflict, "locked"), 3},
		{magpie.Errorf(magpie.KindUnavailable, "no answer"), 3},
		{errors.New("anything"), 3},
		{errUnhealthy, 3},
		{context.Canceled, 3},
	} {
		if got := exitStatus(tc.err); got != tc.want {
			t.Errorf("exitStatus(%v) = %d, want %d", tc.err, got, tc.want)
		}
	}
}

// TestPrintError wants every problem on lines of its own, with its setting and its hint, and nothing for found secrets.
func TestPrintError(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printError(&out, errors.Join(
		config.Problems{{Field: "MAGPIE_LISTEN", Message: "it is wrong", Hint: "write it right"}, {Field: "MAGPIE_X", Message: "so is it"}},
		errors.New("closing"),
	))
	want := "magpie: MAGPIE_LISTEN: it is wrong\n        write it right\nmagpie: MAGPIE_X: so is it\nmagpie: closing\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	out.Reset()
	printError(&out, errSecretsFound)
	if out.Len() > 0 {
		t.Errorf("printed %q about found secrets, want nothing", out.String())
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args   string
		status int
		out    string // part of standard output
		errs   string // part of standard error
	}{
		{"--help", 0, "Commands:", ""},
		{"serve --help", 0, "--config", ""},
		{"version", 0, "magpie ", ""},
		{"", 2, "", "Try magpie --help"},
		{"fly", 2, "", "unexpected argument fly"},
		{"user add", 2, "", "email"},
		{"serve --config /nonexistent.toml", 2, "", "/nonexistent.toml"},
	} {
		var out, errs bytes.Buffer
		p := &process{ctx: context.Background(), stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
		if got := run(p, strings.Fields(tc.args)); got != tc.status || !strings.Contains(out.String(), tc.out) || !strings.Contains(errs.String(), tc.errs) {
			t.Errorf("magpie %s: status %d, printed %q and %q; want %d, %q, %q", tc.args, got, out.String(), errs.String(), tc.status, tc.out, tc.errs)
		}
	}
}
