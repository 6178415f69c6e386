package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// demoServer is magpie serve as a child process. If it dies it is started again on the same data.
type demoServer struct {
	url     string
	environ []string
	logPath string
	say     func(format string, args ...any)

	mu      sync.Mutex
	command *exec.Cmd
	gone    chan struct{} // closed when the running child has ended
	wanted  bool          // it shall run: an end by itself is an accident
}

// Bounds of what the child may take.
const (
	startPatience = 30 * time.Second
	stopPatience  = 30 * time.Second
)

// start starts the child and waits until it answers.
func (s *demoServer) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = true
	return s.startLocked(ctx)
}

func (s *demoServer) startLocked(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program: %w", err)
	}
	log, err := os.OpenFile(s.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer log.Close() // the child has its own handle
	command := exec.Command(program, "serve")
	command.Env, command.Stderr = s.environ, log
	// Ctrl-C in a terminal goes to the whole group; the demo alone decides when the server stops.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("preparing the server: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	gone := make(chan struct{})
	s.command, s.gone = command, gone
	listening := make(chan struct{})
	go s.watch(ctx, command, out, listening, gone)
	select {
	case <-listening:
		return s.ready(ctx)
	case <-gone:
		return fmt.Errorf("the server ended while starting: %s", lastLine(s.logPath))
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(startPatience):
		return errors.New("the server did not start in time")
	}
}

// watch waits for the child's end and starts it again if that was an accident.
func (s *demoServer) watch(ctx context.Context, command *exec.Cmd, out io.Reader, listening, gone chan struct{}) {
	if _, err := bufio.NewReader(out).ReadString('\n'); err == nil {
		close(listening)
	}
	_, _ = io.Copy(io.Discard, out)
	err := command.Wait()
	close(gone)
	select {
	case <-listening:
	default:
		return // start reports it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted || s.command != command || ctx.Err() != nil {
		return
	}
	s.say("the server died (%v); it is started again on the same data", err)
	if err := s.startLocked(ctx); err != nil {
		s.say("the server could not be started again: %v", err)
	}
}

func (s *demoServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(r); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server to be ready: %w", ctx.Err())
		}
	}
}

// kill ends the child as a power cut would, and starts it again.
func (s *demoServer) kill(moment string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.command.Process.Kill(); err != nil {
		return fmt.Errorf("killing the server: %w", err)
	}
	<-s.gone
	s.say("killed the server %s", moment)
	started := time.Now()
	if err := s.startLocked(context.Background()); err != nil {
		return err
	}
	s.say("started it again on the same data in %s", time.Since(started).Round(time.Millisecond))
	return nil
}

// stop ends the child in order.
func (s *demoServer) stop() error {
	s.mu.Lock()
	s.wanted = false
	command, gone := s.command, s.gone
	s.mu.Unlock()
	select {
	case <-gone:
		return nil
	default:
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the server: %w", err)
	}
	select {
	case <-gone:
		if code := command.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("the server stopped with status %d: %s", code, lastLine(s.logPath))
		}
		return nil
	case <-time.After(stopPatience):
		return errors.Join(errors.New("the server did not stop in time and was killed"), command.Process.Kill())
	}
}

// lastLine returns the last line of a log, for an error.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
