// Pseudo-terminals.

package guest

import (
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// ptyRequest is the payload of "pty-req" (RFC 4254, 6.2).
type ptyRequest struct {
	Term                         string
	Columns, Rows, Width, Height uint32
	Modes                        string
}

// windowChange is the payload of "window-change" (RFC 4254, 6.7).
type windowChange struct{ Columns, Rows, Width, Height uint32 }

// A terminal is one pseudo-terminal pair. The process gets the slave, the session copies the master.
type terminal struct {
	master, slave *os.File
	name          string
}

// openTerminal makes a pair that belongs to the user, with the size and modes that the client asked for.
func openTerminal(request ptyRequest, user account) (*terminal, error) {
	master, err := openTTY("/dev/ptmx", unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	term := &terminal{master: master}
	if err := term.openSlave(user); err != nil {
		term.close()
		return nil, err
	}
	err = control(term.slave, func(fd int) error {
		modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		applyModes(modes, request.Modes)
		return unix.IoctlSetTermios(fd, unix.TCSETS, modes)
	})
	if err == nil {
		err = term.resize(windowChange{request.Columns, request.Rows, request.Width, request.Height})
	}
	if err != nil {
		term.close()
		return nil, err
	}
	return term, nil
}

func (t *terminal) openSlave(user account) error {
	err := control(t.master, func(fd int) error {
		number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		if err != nil {
			return err
		}
		t.name = fmt.Sprintf("/dev/pts/%d", number)
		return unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	})
	if err != nil {
		return err
	}
	// The process inherits this end: it stays in blocking mode, as programs expect of a terminal.
	if t.slave, err = openTTY(t.name, 0); err != nil {
		return err
	}
	if !user.isServer() {
		return t.slave.Chown(int(user.uid), -1)
	}
	return nil
}

func (t *terminal) resize(size windowChange) error {
	return control(t.master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{
			Row: clamp16(size.Rows), Col: clamp16(size.Columns), Xpixel: clamp16(size.Width), Ypixel: clamp16(size.Height),
		})
	})
}

// drain reads what the terminal still holds after its process ended, without waiting for a background process that
// keeps the slave open. The kernel flushes its queue before it answers that nothing is left.
func (t *terminal) drain(write func([]byte) error) {
	buffer := make([]byte, 32<<10)
	for total := 0; total < 1<<20; {
		count := 0
		_ = control(t.master, func(fd int) error {
			var err error
			count, err = unix.Read(fd, buffer)
			return err
		})
		if count <= 0 || write(buffer[:count]) != nil {
			return
		}
		total += count
	}
}

func (t *terminal) close() {
	t.master.Close()
	if t.slave != nil {
		t.slave.Close()
	}
}

func parsePtyRequest(payload []byte) (ptyRequest, error) {
	var request ptyRequest
	err := ssh.Unmarshal(payload, &request)
	return request, err
}

func openTTY(path string, mode int) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|mode, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// control runs an ioctl without taking the file out of the poller, as Fd() would.
func control(file *os.File, call func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	if err := raw.Control(func(fd uintptr) { callErr = call(int(fd)) }); err != nil {
		return err
	}
	return callErr
}

func clamp16(value uint32) uint16 { return uint16(min(value, 1<<16-1)) }
