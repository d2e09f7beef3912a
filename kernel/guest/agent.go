// Agent forwarding: a socket in the container that leads to the client's SSH agent.

package guest

import (
	"net"
	"os"
	"path/filepath"
)

// An agentSocket leads programs of one session to the SSH agent on the client's machine.
type agentSocket struct {
	path     string
	listener net.Listener
}

// openAgentSocket listens in a directory of the user's own, so that no other user of the container reaches the agent.
func openAgentSocket(c *connection) (*agentSocket, error) {
	dir, err := os.MkdirTemp("/tmp", "shale-agent-")
	if err != nil {
		return nil, err
	}
	socket := &agentSocket{path: filepath.Join(dir, "agent")}
	if socket.listener, err = net.Listen("unix", socket.path); err != nil {
		os.Remove(dir)
		return nil, err
	}
	// The socket first: once the directory is the user's, the name could lead elsewhere.
	if !c.user.isServer() {
		for _, path := range []string{socket.path, dir} {
			if err := os.Lchown(path, int(c.user.uid), int(c.user.gid)); err != nil {
				socket.close()
				return nil, err
			}
		}
	}
	go serveListener(socket.listener, func(peer stream) { c.open("auth-agent@openssh.com", nil, peer) })
	return socket, nil
}

func (a *agentSocket) close() {
	a.listener.Close() // removes the socket too
	os.Remove(filepath.Dir(a.path))
}
