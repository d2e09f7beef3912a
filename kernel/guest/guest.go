// Package guest is the SSH server that runs inside a leased container: one static program that needs nothing of the
// image, serves the tenant's keys only, and behaves as a person expects of sshd.
package guest

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

const (
	serverVersion = "SSH-2.0-Shale"
	maxAuthTries  = 6
	// How long sessions get to end after they were told to, before their connections close.
	sessionGrace = 5 * time.Second
)

var errStopping = errors.New("the container is stopping")

// Limits bound what peers can make the server hold.
type Limits struct {
	Connections       int // logged in
	Handshakes        int // connected, not yet logged in
	HandshakesPerPeer int // of those, from one address: a neighbour cannot fill all places
	HandshakeTimeout  time.Duration
	Channels          int // per connection
	Listeners         int // per connection
}

// DefaultLimits leave room for an editor's many channels and a parallel copy's many connections.
var DefaultLimits = Limits{
	Connections: 128, Handshakes: 128, HandshakesPerPeer: 64, HandshakeTimeout: 30 * time.Second,
	Channels: 512, Listeners: 128,
}

// A Server serves SSH on one listener.
type Server struct {
	files       Files
	environment []string
	limits      Limits
	config      *ssh.ServerConfig

	mu          sync.Mutex
	stopping    bool
	listener    net.Listener
	connections map[net.Conn]struct{} // logged in
	handshakes  map[net.Conn]string   // address of each peer not yet logged in
	processes   map[*process]struct{}
	running     sync.WaitGroup // sessions whose program has not ended
}

// New makes a server. The environment is the container's own, which sessions inherit.
func New(files Files, environment []string, limits Limits) *Server {
	s := &Server{
		files: files, environment: environment, limits: limits,
		connections: map[net.Conn]struct{}{}, handshakes: map[net.Conn]string{}, processes: map[*process]struct{}{},
	}
	s.config = &ssh.ServerConfig{
		ServerVersion:           serverVersion,
		MaxAuthTries:            maxAuthTries,
		PublicKeyAuthAlgorithms: authorizedAlgorithms,
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !files.Authorized[string(key.Marshal())] {
				return nil, errors.New("this key is not the tenant's")
			}
			if _, err := findAccount(meta.User()); err != nil {
				return nil, err
			}
			return &ssh.Permissions{}, nil
		},
	}
	s.config.AddHostKey(files.HostKey)
	return s
}

// Serve accepts clients until Stop, and returns nil then. Another failure to accept is returned.
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	s.listener = listener
	stopping := s.stopping
	s.mu.Unlock()
	if stopping {
		listener.Close()
	}
	for {
		socket, err := listener.Accept()
		if err != nil {
			if s.isStopping() {
				return nil
			}
			if wait, passing := acceptPause(err); passing {
				<-time.After(wait)
				continue
			}
			return err
		}
		if !s.admit(socket) {
			socket.Close()
			continue
		}
		go func() {
			defer s.forget(socket)
			s.serveConnection(socket, func() bool { return s.promote(socket) })
		}()
	}
}

// Stop ends the service: no new clients, every session's process group is told, a few seconds for them to end,
// then the connections close. It returns when that is done.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopping = true
	if s.listener != nil {
		s.listener.Close()
	}
	for process := range s.processes {
		process.terminate()
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(sessionGrace):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for socket := range s.connections {
		socket.Close()
	}
	for socket := range s.handshakes {
		socket.Close()
	}
}

// start starts a session's program, unless the server is stopping. finish must follow.
func (s *Server) start(what program, stdin, stdout, stderr *os.File, controlling bool) (*process, error) {
	s.mu.Lock()
	stopping := s.stopping
	if !stopping {
		s.running.Add(1)
	}
	s.mu.Unlock()
	if stopping {
		return nil, errStopping
	}
	p, err := startProcess(what, stdin, stdout, stderr, controlling)
	if err != nil {
		s.running.Done()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[p] = struct{}{}
	if s.stopping {
		p.terminate()
	}
	return p, nil
}

// finish runs end, which waits for the process and ends its session, beside the caller.
func (s *Server) finish(p *process, end func()) {
	go func() {
		defer s.running.Done()
		end()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.processes, p)
	}()
}

// admit takes a new peer among those that may try to log in, if there is a place.
func (s *Server) admit(socket net.Conn) bool {
	host, _ := hostPort(socket.RemoteAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	same := 0
	for _, other := range s.handshakes {
		if other == host {
			same++
		}
	}
	if s.stopping || len(s.handshakes) >= s.limits.Handshakes || same >= s.limits.HandshakesPerPeer {
		return false
	}
	s.handshakes[socket] = host
	return true
}

// promote moves a peer that has logged in to the places of those, if one is free.
func (s *Server) promote(socket net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.connections) >= s.limits.Connections {
		return false
	}
	delete(s.handshakes, socket)
	s.connections[socket] = struct{}{}
	return true
}

func (s *Server) forget(socket net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handshakes, socket)
	delete(s.connections, socket)
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// acceptPause tells a failure to accept that passes (a peer gone, files or memory short) and how long to leave it.
func acceptPause(err error) (time.Duration, bool) {
	switch {
	case errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EINTR):
		return 0, true
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS):
		return 100 * time.Millisecond, true
	default:
		return 0, false
	}
}
