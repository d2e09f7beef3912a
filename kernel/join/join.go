// Package join is the gateway's forced command (protocol, section 7): it joins an SSH session to a lease's meter socket.
package join

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Run copies stdin to the socket and the socket to stdout, each until its own end, and returns when the other side has
// closed the socket.
func Run(socket string) error {
	connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return errors.New("this lease is not metered here: it ended or the provider restarts; try again")
	case err != nil:
		return fmt.Errorf("this lease's meter cannot be reached (%w): tell the provider", err)
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, os.Stdin)
		_ = connection.CloseWrite()
	}()
	// A reset is how a Unix socket says that it was closed before it had read everything: closed all the same.
	if _, err := io.Copy(os.Stdout, connection); err != nil && !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("the meter's stream broke: %w", err)
	}
	os.Stdout.Close()
	return waitClosed(connection)
}

// waitClosed returns when both directions of the socket are closed. The end of what the other side sends is only one
// of them: what the client still has to say goes on until it ends, or until nobody is there to hear it.
func waitClosed(connection *net.UnixConn) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	var pollErr error
	err = raw.Control(func(fd uintptr) {
		for {
			// POLLHUP, which needs no asking, is raised when both directions are shut.
			_, pollErr = unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, -1)
			if !errors.Is(pollErr, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, pollErr)
}
