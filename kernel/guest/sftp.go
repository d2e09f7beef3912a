// The SFTP subsystem, as a subcommand of this program.

package guest

import (
	"errors"
	"io"
	"os"

	"github.com/pkg/sftp"
)

// SFTPCommand is the subcommand by which the program becomes its own SFTP server.
const SFTPCommand = "sftp"

// selfPath names this program for starting it again: by the kernel's link, which holds for every user and outlives
// any change to the path that it was started by.
const selfPath = "/proc/self/exe"

// ServeSFTP serves SFTP on the standard streams, from the current directory, with the rights of this process.
// A process of its own rather than a part of the server: its user is the session's, and so are its limits and its end.
func ServeSFTP() error {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	server, err := sftp.NewServer(standardStreams{os.Stdin, os.Stdout}, sftp.WithServerWorkingDirectory(dir))
	if err != nil {
		return err
	}
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

type standardStreams struct {
	io.Reader
	io.WriteCloser
}
