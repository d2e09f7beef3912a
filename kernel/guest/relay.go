// Copying between a channel and a socket with each half closed by itself.

package guest

import (
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// How long a peer may take to accept the last bytes of a channel that its client has closed.
const lastBytesTimeout = 30 * time.Second

// A stream is a connection whose sending side can be closed alone, as TCP's and Unix sockets' can.
type stream interface {
	net.Conn
	CloseWrite() error
}

// relay copies both ways between a channel and a stream, closes each direction by itself when its source ends, and
// returns when both are closed.
func relay(channel ssh.Channel, requests <-chan *ssh.Request, peer stream) {
	defer channel.Close()
	defer peer.Close()
	go func() {
		ssh.DiscardRequests(requests)
		// The channel is closed, not only half: nobody reads any more, and what was sent gets a bounded time to leave.
		_ = peer.SetReadDeadline(time.Now())
		_ = peer.SetWriteDeadline(time.Now().Add(lastBytesTimeout))
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := io.Copy(peer, channel); err != nil {
			peer.Close()
			return
		}
		_ = peer.CloseWrite()
	}()
	if _, err := io.Copy(channel, peer); err != nil {
		// Broken rather than ended: the client must not take it for the end of the data.
		channel.Close()
	} else {
		_ = channel.CloseWrite()
	}
	<-sent
}
