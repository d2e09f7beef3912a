package guest

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// How long the container's processes get to end after TERM before the container goes.
	initGrace = 8 * time.Second
	// A server that is killed this often in a row, each time within a minute, would only be killed again.
	maxRestarts  = 5
	settledAfter = time.Minute
)

// RunInit is the container's process 1: it runs this program again as a child and reaps every orphan that the
// kernel hands to process 1. The server is a process of its own, so that no child's end is taken from under it.
// On TERM or INT it passes TERM to every process of the container and waits for them.
// A server that a signal killed (by the memory limit, say) is started again: the tenant's work in the container
// is worth more than its connections. It returns the exit status for the container.
func RunInit(args []string) (int, error) {
	// Two channels: a burst of children must not crowd out the order to stop.
	stop, children := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	signal.Notify(children, unix.SIGCHLD)
	server, started, err := startServer(args)
	if err != nil {
		return 1, err
	}
	stopping, status, restarts := false, 0, 0
	var deadline <-chan time.Time
	for {
		select {
		case <-children:
		case <-stop:
			if !stopping {
				stopping, deadline = true, time.After(initGrace)
				_ = unix.Kill(-1, unix.SIGTERM) // everybody but process 1 itself
			}
		case <-deadline:
			return status, nil
		}
		for {
			pid, ended, err := reap()
			if stopping && errors.Is(err, unix.ECHILD) {
				return status, nil
			}
			if pid <= 0 {
				break
			}
			if pid != server {
				continue // an orphan
			}
			status, server = exitStatus(ended), 0
			if stopping {
				continue
			}
			if time.Since(started) > settledAfter {
				restarts = 0
			}
			if restarts++; !ended.Signaled() || restarts > maxRestarts {
				return status, nil
			}
			if server, started, err = startServer(args); err != nil {
				return 1, err
			}
		}
	}
}

func startServer(args []string) (pid int, started time.Time, err error) {
	cmd := exec.Command(selfPath, args...)
	cmd.Args[0] = "shale-guest"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, time.Time{}, err
	}
	pid = cmd.Process.Pid
	return pid, time.Now(), cmd.Process.Release() // reaped with everybody else
}

// reap collects one ended process, whoever started it; pid is 0 when none has ended and err ECHILD when none is left.
func reap() (pid int, status unix.WaitStatus, err error) {
	for {
		pid, err = unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return pid, status, err
		}
	}
}

func exitStatus(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
