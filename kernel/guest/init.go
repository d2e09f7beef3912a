// Process 1 of a container: it reaps, stops and restarts.

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
	// Up to this status the server ended by its own decision: told to stop, or its files are unsound.
	statusDecided = 1
	// A server that dies this often in a row, each time within a minute, would only die again.
	maxStarts    = 6
	settledAfter = time.Minute
	restartPause = 200 * time.Millisecond
)

// RunInit is the container's process 1: it runs this program again as a child and reaps every orphan that the
// kernel hands to process 1. The server is a process of its own, so that no child's end is taken from under it.
// On TERM or INT it passes TERM to every process of the container and waits for them.
// A server that died (of the limit of memory or of processes, say) is started again: the tenant's work in the
// container is worth more than its connections. It returns the exit status for the container.
func RunInit(args []string) (int, error) {
	// Two channels: a burst of children must not crowd out the order to stop.
	stop, children := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	signal.Notify(children, unix.SIGCHLD)
	server, err := startServer(args)
	if err != nil {
		return 1, err
	}
	stopping, status, starts, started := false, 0, 1, time.Now()
	var deadline, again <-chan time.Time
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
		case <-again:
			again = nil
			if !stopping {
				if server, err = startServer(args); err != nil {
					again = time.After(restartPause) // the container's limit of processes, say
				} else {
					starts, started = starts+1, time.Now()
				}
			}
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
			if time.Since(started) > settledAfter {
				starts = 0
			}
			switch {
			case stopping:
			case status <= statusDecided || starts >= maxStarts:
				return status, nil
			default:
				again = time.After(restartPause)
			}
		}
	}
}

func startServer(args []string) (pid int, err error) {
	cmd := exec.Command(selfPath, args...)
	cmd.Args[0] = "shale-guest"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release() // reaped with everybody else
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
