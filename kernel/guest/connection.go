// One logged-in client: its channels and its requests that concern them all.

package guest

import (
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A connection is one client that has logged in, with everything that it opened.
type connection struct {
	server    *Server
	ssh       *ssh.ServerConn
	user      account
	slots     chan struct{} // one for each open channel, of either side
	listeners remoteListeners
}

// serveConnection logs a client in and serves it until it leaves.
func (s *Server) serveConnection(socket net.Conn, loggedIn func() bool) {
	defer socket.Close()
	_ = socket.SetDeadline(time.Now().Add(s.limits.HandshakeTimeout))
	serverConn, channels, requests, err := ssh.NewServerConn(socket, s.config)
	if err != nil {
		return
	}
	defer serverConn.Close()
	user, err := findAccount(serverConn.User())
	if err != nil || !loggedIn() {
		return
	}
	_ = socket.SetDeadline(time.Time{})
	conn := &connection{server: s, ssh: serverConn, user: user, slots: make(chan struct{}, s.limits.Channels)}
	var running sync.WaitGroup
	defer running.Wait()
	defer conn.listeners.closeAll()
	for channels != nil || requests != nil {
		select {
		case channel, open := <-channels:
			if !open {
				channels = nil
				continue
			}
			conn.accept(channel, &running)
		case request, open := <-requests:
			if !open {
				requests = nil
				continue
			}
			conn.global(request)
		}
	}
}

// accept takes a new channel, or says why not. It never waits: the connection's other traffic is behind it.
func (c *connection) accept(channel ssh.NewChannel, running *sync.WaitGroup) {
	var serve func(ssh.NewChannel)
	switch channel.ChannelType() {
	case "session":
		serve = c.serveSession
	case "direct-tcpip":
		serve = c.forwardToTCP
	case "direct-streamlocal@openssh.com":
		serve = c.forwardToSocket
	default:
		_ = channel.Reject(ssh.UnknownChannelType, "not supported: "+clip(channel.ChannelType(), 64))
		return
	}
	if !c.takeSlot() {
		_ = channel.Reject(ssh.ResourceShortage, "too many channels on one connection")
		return
	}
	running.Go(func() {
		defer c.freeSlot()
		serve(channel)
	})
}

func (c *connection) serveSession(newChannel ssh.NewChannel) {
	channel, requests, err := newChannel.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	session := &session{
		conn: c, channel: channel,
		env: loginEnvironment(c.server.environment, c.server.files.Environment, c.user, c.ssh),
	}
	session.serve(requests)
}

// global answers a request that concerns the whole connection. What is unknown is refused, which is the reply that
// a client's keepalive waits for.
func (c *connection) global(request *ssh.Request) {
	switch request.Type {
	case "tcpip-forward":
		port, ok := c.listenTCP(request.Payload)
		var reply []byte
		if ok && port != 0 {
			reply = ssh.Marshal(struct{ Port uint32 }{port})
		}
		if request.WantReply {
			_ = request.Reply(ok, reply)
		}
	case "cancel-tcpip-forward":
		answer(request, c.cancelTCP(request.Payload))
	case "streamlocal-forward@openssh.com":
		answer(request, c.listenSocket(request.Payload))
	case "cancel-streamlocal-forward@openssh.com":
		answer(request, c.cancelSocket(request.Payload))
	default:
		answer(request, false)
	}
}

// open opens a channel towards the client for a stream that came in here, and relays until both end.
func (c *connection) open(kind string, payload []byte, peer stream) {
	defer peer.Close()
	if !c.takeSlot() {
		return
	}
	defer c.freeSlot()
	channel, requests, err := c.ssh.OpenChannel(kind, payload)
	if err != nil {
		return
	}
	relay(channel, requests, peer)
}

func (c *connection) takeSlot() bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *connection) freeSlot() { <-c.slots }

func answer(request *ssh.Request, ok bool) {
	if request.WantReply {
		_ = request.Reply(ok, nil)
	}
}

func clip(text string, limit int) string {
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}
