// Session channels: a shell, a command or file transfer.

package guest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// sftpSubsystem is the payload of the one subsystem request that is answered.
var sftpSubsystem = string(ssh.Marshal(struct{ Name string }{"sftp"}))

// Exit statuses of a command that could not be run, as of a shell.
const (
	statusCannotRun = 126
	statusNotFound  = 127
)

// A session is one session channel (RFC 4254, 6): at most one program, perhaps on a terminal.
type session struct {
	conn    *connection
	channel ssh.Channel
	env     *environment
	vars    int
	term    *terminal
	agent   *agentSocket
	process *process
	started bool
	pipes   []*os.File // the server's ends, closed to free the copies when the client leaves
}

// serve answers the channel's requests until it closes, then hangs up what still runs on it.
func (s *session) serve(requests <-chan *ssh.Request) {
	for request := range requests {
		switch request.Type {
		case "shell", "exec", "subsystem":
			ok := !s.started && (request.Type != "subsystem" || string(request.Payload) == sftpSubsystem)
			// The reply goes out before the program's first output.
			answer(request, ok)
			if ok {
				s.started = true
				s.begin(request)
			}
		default:
			answer(request, s.handle(request))
		}
	}
	if s.process != nil {
		s.process.hangup()
	}
	for _, pipe := range s.pipes {
		pipe.Close()
	}
	if s.term != nil {
		s.term.close()
	}
	if s.agent != nil {
		s.agent.close()
	}
}

func (s *session) handle(request *ssh.Request) bool {
	switch request.Type {
	case "env":
		var pair struct{ Name, Value string }
		if s.started || s.vars >= maxClientVars || ssh.Unmarshal(request.Payload, &pair) != nil ||
			!clientMaySet(pair.Name, pair.Value) {
			return false
		}
		s.vars++
		s.env.set(pair.Name, pair.Value)
		return true
	case "pty-req":
		return s.openTerminal(request.Payload)
	case "window-change":
		var size windowChange
		return s.term != nil && ssh.Unmarshal(request.Payload, &size) == nil && s.term.resize(size) == nil
	case "auth-agent-req@openssh.com":
		return s.openAgent()
	case "signal":
		var name struct{ Name string }
		if s.process == nil || ssh.Unmarshal(request.Payload, &name) != nil {
			return false
		}
		number, known := signalNumbers[name.Name]
		if known {
			s.process.signalGroup(number)
		}
		return known
	default:
		return false
	}
}

func (s *session) openTerminal(payload []byte) bool {
	request, err := parsePtyRequest(payload)
	if err != nil || s.started || s.term != nil || strings.ContainsRune(request.Term, 0) {
		return false
	}
	term, err := openTerminal(request, s.conn.user)
	if err != nil {
		return false
	}
	s.term = term
	if request.Term != "" {
		s.env.set("TERM", request.Term)
	}
	s.env.set("SSH_TTY", term.name)
	return true
}

func (s *session) openAgent() bool {
	if s.started || s.agent != nil {
		return false
	}
	agent, err := openAgentSocket(s.conn)
	if err != nil {
		return false
	}
	s.agent = agent
	s.env.set("SSH_AUTH_SOCK", agent.path)
	return true
}

// begin starts what the request names; a program that cannot be started ends the session with a shell's status.
func (s *session) begin(request *ssh.Request) {
	what, err := s.program(request)
	if err != nil {
		go s.fail(statusNotFound, err.Error())
		return
	}
	if err := s.start(what, request.Type); err != nil {
		go s.fail(statusCannotRun, fmt.Sprintf("cannot run %s: %v", what.path, reason(err)))
	}
}

// program turns a request into what is run: the login shell, the shell with a command, or the file server.
func (s *session) program(request *ssh.Request) (program, error) {
	what := program{env: s.env, dir: s.conn.user.home, user: s.conn.user}
	if request.Type == "subsystem" {
		what.path, what.args = selfPath, []string{"shale-guest", SFTPCommand}
		return what, nil
	}
	shell := s.conn.user.shellPath(s.env.get("SHELL"))
	if request.Type == "shell" {
		if shell == "" {
			return program{}, fmt.Errorf("this image has no shell: name a program to run, as in ssh HOST /path/to/program")
		}
		what.path, what.args = shell, []string{"-" + filepath.Base(shell)}
		return what, nil
	}
	var command struct{ Line string }
	if err := ssh.Unmarshal(request.Payload, &command); err != nil || strings.ContainsRune(command.Line, 0) {
		return program{}, fmt.Errorf("the command is not readable")
	}
	if shell != "" {
		what.path, what.args = shell, []string{filepath.Base(shell), "-c", command.Line}
		return what, nil
	}
	words, err := splitWords(command.Line)
	if err != nil {
		return program{}, err
	}
	what.path, what.args = findProgram(words[0], s.env), words
	if what.path == "" {
		return program{}, fmt.Errorf("%s: not found in PATH", words[0])
	}
	return what, nil
}

// start runs the program and leaves its copies and its end to goroutines of their own.
func (s *session) start(what program, kind string) error {
	if s.term != nil {
		return s.startOnTerminal(what, kind)
	}
	return s.startOnPipes(what)
}

func (s *session) startOnTerminal(what program, kind string) error {
	term := s.term
	process, err := s.conn.server.start(what, term.slave, term.slave, term.slave, true)
	if err != nil {
		return err
	}
	s.process = process
	term.slave.Close()
	go func() { _, _ = io.Copy(term.master, s.channel) }()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		if kind == "shell" {
			_, _ = io.WriteString(s.channel, strings.ReplaceAll(s.conn.server.files.Motd, "\n", "\r\n"))
		}
		_, _ = io.Copy(s.channel, term.master)
	}()
	s.conn.server.finish(process, func() {
		status := process.wait()
		_ = term.master.SetReadDeadline(time.Now()) // a background process may hold the terminal open for ever
		<-copied
		term.drain(func(data []byte) error { _, err := s.channel.Write(data); return err })
		term.close()
		s.sendStatus(status)
		s.channel.Close()
	})
	return nil
}

func (s *session) startOnPipes(what program) error {
	var theirs []*os.File
	defer func() {
		for _, file := range theirs {
			file.Close()
		}
	}()
	pipe := func(inward bool) (ours *os.File, err error) {
		reader, writer, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		ours, other := reader, writer
		if inward {
			ours, other = writer, reader
		}
		s.pipes, theirs = append(s.pipes, ours), append(theirs, other)
		return ours, nil
	}
	stdin, err := pipe(true)
	if err != nil {
		return err
	}
	stdout, err := pipe(false)
	if err != nil {
		return err
	}
	stderr, err := pipe(false)
	if err != nil {
		return err
	}
	process, err := s.conn.server.start(what, theirs[0], theirs[1], theirs[2], false)
	if err != nil {
		return err
	}
	s.process = process
	go func() {
		_, _ = io.Copy(stdin, s.channel)
		stdin.Close()
		// The program stopped reading: the client's bytes are taken and dropped, so that its other requests get through.
		_, _ = io.Copy(io.Discard, s.channel)
	}()
	copied := make(chan struct{}, 2)
	output := func(to io.Writer, from *os.File) {
		_, _ = io.Copy(to, from)
		from.Close() // a program whose client is gone gets SIGPIPE, not a full pipe
		copied <- struct{}{}
	}
	go output(s.channel, stdout)
	go output(s.channel.Stderr(), stderr)
	s.conn.server.finish(process, func() {
		s.sendStatus(process.wait())
		<-copied
		<-copied
		stdin.Close()
		_ = s.channel.CloseWrite()
		s.channel.Close()
	})
	return nil
}

func (s *session) fail(status uint32, message string) {
	ending := "\n"
	if s.term != nil {
		ending = "\r\n"
	}
	_, _ = io.WriteString(s.channel.Stderr(), "shale: "+message+ending)
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	s.channel.Close()
}
