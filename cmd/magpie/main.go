// Command magpie is the whole product: the server, the scanner for the command line, and what an operator needs beside
// them.
//
// There is one file per subcommand. Each command is a struct whose fields are its flags and arguments, with a method
// Run(*process) error; what it returns is printed here and becomes the exit status by the one table in exit.go. Commands
// read and write only the streams that process holds, so that tests can run them without a new process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"magpie"
)

// cli is all commands, in the order in which the help shows them.
type cli struct {
	Scan    scanCommand    `cmd:"" help:"Find secrets in repositories, folders, files or standard input."`
	Rules   rulesCmd       `cmd:"" help:"List and explain the detectors, and check detectors of your own."`
	Serve   serveCommand   `cmd:"" help:"Run the server: web app, API, webhook receiver and all background work."`
	Apply   applyCommand   `cmd:"" help:"Make a server watch what a file says, so that you can keep it in Git."`
	Demo    demoCommand    `cmd:"" help:"Show the whole product at work on a simulated Bitbucket, with caught mail."`
	User    userCommand    `cmd:"" help:"Add a user, reset a password or make an API token; the server must be stopped."`
	Doctor  doctorCommand  `cmd:"" help:"Check settings, data, mail server and Bitbucket, and say what to fix."`
	Backup  backupCommand  `cmd:"" help:"Copy the SQLite database, also while the server runs."`
	Restore restoreCommand `cmd:"" help:"Put a backup in place of the database; the server must be stopped."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// process is what a command may touch of the process it runs in.
type process struct {
	ctx     context.Context // ends with SIGINT or SIGTERM
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal a second one kills, in case something does not end.
	context.AfterFunc(ctx, stop)
	p := &process{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}
	os.Exit(run(p, os.Args[1:]))
}

// run runs one command and returns the exit status.
func run(p *process, args []string) int {
	parser, status := newParser(p, &cli{})
	parsed, err := parser.Parse(args)
	if *status >= 0 { // --help has been answered
		return *status
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "magpie: %v\nTry magpie --help.\n", err)
		return exitUsage
	}
	err = parsed.Run(p)
	printError(p.stderr, err)
	return exitStatus(err)
}

// newParser returns the parser and where it leaves the exit status that --help asked for, -1 if it did not.
func newParser(p *process, c *cli) (*kong.Kong, *int) {
	status := -1
	parser, err := kong.New(c,
		kong.Name("magpie"),
		kong.Description("A self-hosted secrets monitor for Bitbucket Server and Data Center."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { status = code }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic(err) // a mistake in the struct tags, which every test would meet
	}
	return parser, &status
}

// printError says what went wrong and, where known, what to do. Errors joined together get lines of their own.
func printError(w io.Writer, err error) {
	if err == nil || errors.Is(err, errSecretsFound) || errors.Is(err, errWouldChange) {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			printError(w, e)
		}
		return
	}
	text := err.Error()
	e, ok := errors.AsType[*magpie.Error](err)
	if ok && e.Field != "" && e == err {
		text = e.Field + ": " + text
	}
	fmt.Fprintf(w, "magpie: %s\n", printable(text))
	if ok && e.Hint != "" {
		fmt.Fprintf(w, "        %s\n", printable(e.Hint))
	}
}

// printable is magpie.Printable for a text that may have several lines: errors tell what servers say.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = magpie.Printable(line)
	}
	return strings.Join(lines, "\n")
}
