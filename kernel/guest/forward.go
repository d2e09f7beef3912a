// Port and socket forwarding, in both directions.

package guest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

const dialTimeout = 15 * time.Second

// tcpForward is the payload of tcpip-forward and its cancellation (RFC 4254, 7.1).
type tcpForward struct {
	Address string
	Port    uint32
}

// tcpChannel is the payload of direct-tcpip and forwarded-tcpip (RFC 4254, 7.2).
type tcpChannel struct {
	Address       string
	Port          uint32
	OriginAddress string
	OriginPort    uint32
}

// socketForward and socketChannel are OpenSSH's for Unix sockets (its PROTOCOL file, 2.4).
type (
	socketForward struct{ Path string }
	socketChannel struct {
		Path      string
		Reserved  string
		Reserved2 uint32
	}
	forwardedSocket struct{ Path, Reserved string }
)

func (c *connection) forwardToTCP(newChannel ssh.NewChannel) {
	var target tcpChannel
	if err := ssh.Unmarshal(newChannel.ExtraData(), &target); err != nil || target.Port > 65535 {
		_ = newChannel.Reject(ssh.ConnectionFailed, "the address is not readable")
		return
	}
	c.dial(newChannel, "tcp", net.JoinHostPort(target.Address, strconv.Itoa(int(target.Port))))
}

func (c *connection) forwardToSocket(newChannel ssh.NewChannel) {
	var target socketChannel
	if err := ssh.Unmarshal(newChannel.ExtraData(), &target); err != nil || !c.user.isServer() {
		_ = newChannel.Reject(ssh.Prohibited, "Unix sockets are for the user that the server runs as")
		return
	}
	c.dial(newChannel, "unix", target.Path)
}

func (c *connection) dial(newChannel ssh.NewChannel, network, address string) {
	peer, err := net.DialTimeout(network, address, dialTimeout)
	if err != nil {
		_ = newChannel.Reject(ssh.ConnectionFailed, reason(err).Error())
		return
	}
	channel, requests, err := newChannel.Accept()
	if err != nil {
		peer.Close()
		return
	}
	relay(channel, requests, peer.(stream))
}

// listenTCP opens a port that leads to the client. As sshd without GatewayPorts it listens on the loopback only,
// whatever address was asked for: what the client's machine serves is not for the container's neighbours.
// The port is returned when the client left its choice to us.
func (c *connection) listenTCP(payload []byte) (port uint32, ok bool) {
	var asked tcpForward
	if err := ssh.Unmarshal(payload, &asked); err != nil || asked.Port > 65535 {
		return 0, false
	}
	if asked.Port != 0 && asked.Port < 1024 && c.user.uid != 0 {
		return 0, false
	}
	loopbacks := []string{"127.0.0.1", "::1"}
	if asked.Address == "127.0.0.1" || asked.Address == "::1" {
		loopbacks = []string{asked.Address}
	}
	bound := asked.Port
	for _, address := range loopbacks {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(int(bound))))
		if errors.Is(err, unix.EADDRINUSE) && !ok {
			return 0, false // not half a success on the other loopback
		}
		if err != nil {
			continue // a container without IPv6 has one loopback
		}
		taken := uint32(listener.Addr().(*net.TCPAddr).Port)
		if !c.listeners.add(tcpKey(asked.Address, taken), listener, c.server.limits.Listeners) {
			listener.Close()
			break
		}
		bound, ok = taken, true
		go serveListener(listener, func(peer stream) {
			origin := peer.RemoteAddr().(*net.TCPAddr)
			c.open("forwarded-tcpip", ssh.Marshal(tcpChannel{asked.Address, taken, origin.IP.String(), uint32(origin.Port)}), peer)
		})
	}
	if asked.Port == 0 {
		port = bound
	}
	return port, ok
}

func (c *connection) cancelTCP(payload []byte) bool {
	var asked tcpForward
	return ssh.Unmarshal(payload, &asked) == nil && c.listeners.close(tcpKey(asked.Address, asked.Port))
}

func (c *connection) listenSocket(payload []byte) bool {
	var asked socketForward
	if err := ssh.Unmarshal(payload, &asked); err != nil || asked.Path == "" || !c.user.isServer() {
		return false
	}
	listener, err := net.Listen("unix", asked.Path)
	if err != nil {
		return false
	}
	if os.Chmod(asked.Path, 0o600) != nil || !c.listeners.add("unix "+asked.Path, listener, c.server.limits.Listeners) {
		listener.Close()
		return false
	}
	go serveListener(listener, func(peer stream) {
		c.open("forwarded-streamlocal@openssh.com", ssh.Marshal(forwardedSocket{Path: asked.Path}), peer)
	})
	return true
}

func (c *connection) cancelSocket(payload []byte) bool {
	var asked socketForward
	return ssh.Unmarshal(payload, &asked) == nil && c.listeners.close("unix "+asked.Path)
}

func serveListener(listener net.Listener, serve func(stream)) {
	for {
		peer, err := listener.Accept()
		if err != nil {
			return
		}
		go serve(peer.(stream))
	}
}

func tcpKey(address string, port uint32) string { return fmt.Sprintf("tcp %s %d", address, port) }

// remoteListeners are the ports and sockets that one connection opened here. The zero value is empty.
type remoteListeners struct {
	mu     sync.Mutex
	open   map[string][]net.Listener
	count  int
	closed bool
}

func (r *remoteListeners) add(key string, listener net.Listener, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.count >= limit {
		return false
	}
	if r.open == nil {
		r.open = map[string][]net.Listener{}
	}
	r.open[key] = append(r.open[key], listener)
	r.count++
	return true
}

func (r *remoteListeners) close(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	listeners := r.open[key]
	for _, listener := range listeners {
		listener.Close()
	}
	r.count -= len(listeners)
	delete(r.open, key)
	return len(listeners) > 0
}

func (r *remoteListeners) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, listeners := range r.open {
		for _, listener := range listeners {
			listener.Close()
		}
	}
	r.open = nil
}
