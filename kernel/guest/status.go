// How a session's program ended, told to the client.

package guest

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// sendStatus tells the client how its program ended: exit-status or exit-signal (RFC 4254, 6.10).
func (s *session) sendStatus(status syscall.WaitStatus) {
	if status.Signaled() {
		_, _ = s.channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name     string
			Core     bool
			Message  string
			Language string
		}{Name: signalName(status.Signal()), Core: status.CoreDump()}))
		return
	}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status.ExitStatus())}))
}

// reason is the system's word for a failed call, without the names around it.
func reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
