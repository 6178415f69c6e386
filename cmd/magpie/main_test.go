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
	printError(&out, &magpie.Error{Kind: magpie.KindInvalid, Message: "no \x1b[2J\u202e", Hint: "try\n\x9b"})
	if got, want := out.String(), "magpie: no \uFFFD[2J\uFFFD\n        try\n\uFFFD\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
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

// TestDoctorLines wants foreign names to stay on the line in which they are told, and to steer no terminal.
func TestDoctorLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	x := &examination{process: &process{stdout: &out}}
	x.report("Bitbucket", nil, "token of \x1b[8mrobin\nok       all")
	x.report("Bitbucket", magpie.Errorf(magpie.KindForbidden, "not PRJ/\x1b]0;x\aone"), "")
	want := "ok       Bitbucket: token of \uFFFD[8mrobin\uFFFDok       all\nBROKEN   Bitbucket: not PRJ/\uFFFD]0;x\uFFFDone\n"
	if got := out.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// TestApplyServer wants addresses to which a token must not be sent, or that hold one, to be refused without repeating them.
func TestApplyServer(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"http://magpie.example.com", "ftp://127.0.0.1", "magpie.example.com", "https://", "https://robin:" + "hush@magpie.example.com", "http://" + "hush@127.0.0.1:8080",
		"https://magpie.example.com?t=" + "hush", "https://magpie.example.com/%zz" + "hush",
	} {
		c := applyCommand{Server: address}
		if _, err := c.client(&process{environ: []string{apiTokenEnv + "=made-up"}}); magpie.KindOf(err) != magpie.KindInvalid || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want it refused", address, err)
		}
	}
}
