package guest_test

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// startEcho serves a connection by reading it to its end and then answering: it needs the half-close to arrive.
func startEcho(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			peer, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer peer.Close()
				data, _ := io.ReadAll(peer)
				fmt.Fprintf(peer, "heard %d bytes", len(data))
			}()
		}
	}()
	return listener
}

func ask(t *testing.T, network, address string, size int) string {
	t.Helper()
	peer, err := net.Dial(network, address)
	must(t, err)
	defer peer.Close()
	must(t, peer.SetDeadline(time.Now().Add(testTimeout)))
	_, err = peer.Write(make([]byte, size))
	must(t, err)
	must(t, peer.(interface{ CloseWrite() error }).CloseWrite())
	answer, err := io.ReadAll(peer)
	must(t, err)
	return string(answer)
}

// startForwarding runs ssh with the forwarding and a command that says when everything stands.
func startForwarding(t *testing.T, s *server, arguments ...string) {
	t.Helper()
	cmd := s.ssh(t, append(append([]string{"-o", "ExitOnForwardFailure=yes"}, arguments...), "root@127.0.0.1", "echo up; cat")...)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("ssh said %q, %v", line, err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestLocalForwardingKeepsHalfClosedConnectionsOpen(t *testing.T) {
	s := startServer(t)
	echo := startEcho(t, "tcp", "127.0.0.1:0")
	port := freePort(t)
	startForwarding(t, s, "-L", fmt.Sprintf("127.0.0.1:%d:%s", port, echo.Addr()))
	expect(t, "answer", ask(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port), 3<<20), "heard 3145728 bytes")
}

func TestLocalForwardingReachesUnixSockets(t *testing.T) {
	s := startServer(t)
	socket, local := filepath.Join(s.dir, "service"), filepath.Join(s.dir, "local")
	startEcho(t, "unix", socket)
	startForwarding(t, s, "-L", local+":"+socket)
	expect(t, "answer", ask(t, "unix", local, 10), "heard 10 bytes")
}

func TestRemoteForwardingListensOnTheLoopbackOnly(t *testing.T) {
	s := startServer(t)
	echo := startEcho(t, "tcp", "127.0.0.1:0")
	port := freePort(t)
	startForwarding(t, s, "-R", fmt.Sprintf("0.0.0.0:%d:%s", port, echo.Addr()))
	expect(t, "answer", ask(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port), 5), "heard 5 bytes")
	for _, address := range listenersAt(t, port) {
		if !address.IsLoopback() {
			t.Fatalf("it listens on %s", address)
		}
	}
}

// listenersAt are the addresses that listen on a TCP port, as proc(5) shows them: words of the machine's byte order.
func listenersAt(t *testing.T, port int) []net.IP {
	t.Helper()
	var found []net.IP
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		must(t, err)
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != "0A" || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			words, err := hex.DecodeString(strings.Split(fields[1], ":")[0])
			must(t, err)
			for at := 0; at < len(words); at += 4 {
				binary.NativeEndian.PutUint32(words[at:], binary.BigEndian.Uint32(words[at:]))
			}
			found = append(found, net.IP(words))
		}
	}
	if len(found) == 0 {
		t.Fatalf("nothing listens on port %d", port)
	}
	return found
}

func TestRemoteForwardingEndsWithItsConnectionOrItsCancellation(t *testing.T) {
	s := startServer(t)
	client := s.dial(t)
	listener, err := client.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	if peer, err := net.Dial("tcp", address); err == nil {
		peer.Close()
		t.Fatal("the cancelled port still listens")
	}
}

func TestAgentForwardingLeadsToTheClientsAgent(t *testing.T) {
	s := startServer(t)
	socket := filepath.Join(s.dir, "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	stdout, err := agent.StdoutPipe()
	must(t, err)
	must(t, agent.Start())
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	_, err = bufio.NewReader(stdout).ReadString('\n') // it listens
	must(t, err)
	add := exec.Command("ssh-add", "-q", s.keyPath)
	add.Env = []string{"SSH_AUTH_SOCK=" + socket}
	must(t, add.Run())
	for _, user := range []string{"root", plainUser} {
		cmd := s.ssh(t, "-A", user+"@127.0.0.1", "ssh-add -L; echo $SSH_AUTH_SOCK")
		cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
		output, err := cmd.CombinedOutput()
		must(t, err)
		expectContains(t, string(output), strings.Fields(read(t, s.keyPath+".pub"))[1])
		last := strings.Fields(string(output))
		path := last[len(last)-1]
		if _, err := os.Stat(filepath.Dir(path)); err == nil {
			// The session's end and the client's are not one moment: ask the server itself once more.
			s.do(t, "while [ -e "+filepath.Dir(path)+" ]; do :; done")
		}
	}
}

func TestKeepaliveGetsAReply(t *testing.T) {
	s := startServer(t)
	client := s.dial(t)
	_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
	must(t, err)
}

func TestChannelsOfAConnectionAreBounded(t *testing.T) {
	s := startServer(t)
	client := s.dial(t)
	open := 0
	for range 600 {
		_, requests, err := client.OpenChannel("session", nil)
		if err != nil {
			refusal, ok := err.(*ssh.OpenChannelError)
			if !ok || refusal.Reason != ssh.ResourceShortage {
				t.Fatal(err)
			}
			expect(t, "open", open, 512)
			_, _, err = client.SendRequest("keepalive@openssh.com", true, nil)
			must(t, err) // the refusal did not cost the connection
			return
		}
		go ssh.DiscardRequests(requests)
		open++
	}
	t.Fatal("no bound")
}

func TestMalformedRequestsAreRefusedAndTheConnectionLivesOn(t *testing.T) {
	s := startServer(t)
	client := s.dial(t)
	session, requests, err := client.OpenChannel("session", nil)
	must(t, err)
	go ssh.DiscardRequests(requests)
	oversized := ssh.Marshal(struct{ Name, Value string }{"LC_ALL", strings.Repeat("x", 100<<10)})
	loader := ssh.Marshal(struct{ Name, Value string }{"LD_PRELOAD", "/tmp/x.so"})
	for _, request := range []struct {
		kind    string
		payload []byte
	}{
		{"pty-req", nil}, {"pty-req", []byte("\xff\xff\xff\xff")}, {"window-change", make([]byte, 16)}, {"signal", []byte{0}},
		{"env", oversized}, {"env", loader}, {"env", []byte("\x00\x00\x00\x09x")}, {"subsystem", []byte("\x00\x00\x00\x03foo")},
		{"x11-req", nil}, {"", nil},
	} {
		ok, err := session.SendRequest(request.kind, true, request.payload)
		must(t, err)
		expect(t, request.kind, ok, false)
	}
	for _, kind := range []string{
		"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com",
	} {
		for _, payload := range [][]byte{nil, []byte("\x00\x00\x00\x00\xff\xff\xff\xff"), []byte("\xff\xff\xff\xff")} {
			ok, _, err := client.SendRequest(kind, true, payload)
			must(t, err)
			expect(t, kind, ok, false)
		}
	}
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "x11", "auth-agent@openssh.com", ""} {
		if _, _, err := client.OpenChannel(kind, []byte{1}); err == nil {
			t.Errorf("%s was opened", kind)
		}
	}
	ok, err := session.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{"echo alive"}))
	must(t, err)
	expect(t, "exec", ok, true)
	ok, err = session.SendRequest("shell", true, nil)
	must(t, err)
	expect(t, "a second program", ok, false)
	output, err := io.ReadAll(session)
	must(t, err)
	expect(t, "output", string(output), "alive\n")
}
