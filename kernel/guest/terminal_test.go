package guest_test

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A shell is an interactive login on a terminal.
type shell struct {
	t       *testing.T
	session *ssh.Session
	stdin   io.WriteCloser
	output  chan string // lines
}

func openShell(t *testing.T, s *server, rows, columns int) *shell {
	t.Helper()
	session, err := s.dial(t).NewSession()
	must(t, err)
	must(t, session.RequestPty("xterm-test", rows, columns, ssh.TerminalModes{ssh.ECHO: 0}))
	sh := &shell{t: t, session: session, output: make(chan string, 1024)}
	sh.stdin, err = session.StdinPipe()
	must(t, err)
	stdout, err := session.StdoutPipe()
	must(t, err)
	must(t, session.Shell())
	go func() {
		defer close(sh.output)
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			sh.output <- strings.TrimRight(scanner.Text(), "\r")
		}
	}()
	return sh
}

// say types a line; answer waits for the line that starts with the mark, and returns what follows it.
func (sh *shell) say(line string) {
	_, err := io.WriteString(sh.stdin, line+"\n")
	must(sh.t, err)
}

func (sh *shell) answer(mark string) string {
	sh.t.Helper()
	deadline := time.After(testTimeout)
	for {
		select {
		case line, open := <-sh.output:
			if !open {
				sh.t.Fatalf("the shell ended before %q", mark)
			}
			if _, after, found := strings.Cut(line, mark); found && !strings.Contains(after, "'") {
				return after
			}
		case <-deadline:
			sh.t.Fatalf("no answer %q", mark)
		}
	}
}

func TestInteractiveShellHasATerminalThatFollowsTheWindow(t *testing.T) {
	s := startServer(t, withFile("motd", "welcome to the lease\n"))
	sh := openShell(t, s, 33, 101)
	expect(t, "motd", sh.answer("welcome "), "to the lease")
	sh.say(`echo "size=$(stty size) $TERM"`)
	expect(t, "size", sh.answer("size="), "33 101 xterm-test")
	must(t, sh.session.WindowChange(50, 132))
	sh.say(`echo "size=$(stty size)"`)
	expect(t, "size", sh.answer("size="), "50 132")
	sh.say(`shopt -q login_shell && echo "login=$0"`)
	expect(t, "login shell", sh.answer("login="), "-bash")
	sh.say(`[ "$(tty)" = "$SSH_TTY" ] && echo "tty=same"`)
	expect(t, "tty", sh.answer("tty="), "same")
	sh.say("exit 7")
	exit, ok := sh.session.Wait().(*ssh.ExitError)
	if !ok || exit.ExitStatus() != 7 {
		t.Fatalf("got %v", exit)
	}
}

func TestControlKeysReachTheForegroundJobOnly(t *testing.T) {
	s := startServer(t)
	sh := openShell(t, s, 24, 80)
	sh.say(`set +H; bash -c 'trap "echo stopped=yes; exit 42" INT; echo running=; while :; do sleep 0.05; done'; echo "status=$?"`)
	sh.answer("running=")
	_, err := io.WriteString(sh.stdin, "\x03")
	must(t, err)
	expect(t, "status", sh.answer("status="), "42")
	sh.say(`bash -c 'echo running=; kill -STOP $$; echo resumed=yes'; echo "jobs=$(jobs -s | wc -l)"`)
	expect(t, "jobs", sh.answer("jobs="), "1")
	sh.say("fg >/dev/null")
	expect(t, "resumed", sh.answer("resumed="), "yes")
	sh.say("exit 0")
	must(t, sh.session.Wait())
}

func TestOpenSSHPassesItsWindowSizeThrough(t *testing.T) {
	s := startServer(t)
	command := s.ssh(t, "-tt", "root@127.0.0.1", "stty size; exit 4")
	quoted := make([]string, len(command.Args))
	for i, argument := range command.Args {
		quoted[i] = "'" + argument + "'"
	}
	script := exec.CommandContext(t.Context(), "script", "-qec", "stty rows 41 cols 97; exec "+strings.Join(quoted, " "), "/dev/null")
	script.Env = command.Env
	output, _ := script.CombinedOutput()
	expectContains(t, string(output), "41 97")
	expect(t, "status", script.ProcessState.ExitCode(), 4)
}

func TestAllOutputOfATerminalArrivesBeforeItsEnd(t *testing.T) {
	s := startServer(t)
	for range 5 {
		output, err := s.ssh(t, "-tt", "root@127.0.0.1", "seq 1 20000; echo last").Output()
		must(t, err)
		expect(t, "lines", strings.Count(string(output), "\n"), 20001)
		if !strings.HasSuffix(string(output), "last\r\n") {
			t.Fatalf("it ends in %q", output[len(output)-20:])
		}
	}
}

func TestBackgroundJobDoesNotHoldATerminalSession(t *testing.T) {
	s := startServer(t)
	output, err := s.ssh(t, "-tt", "root@127.0.0.1", "trap '' HUP; sleep 600 & echo $!").Output()
	must(t, err)
	s.do(t, "kill "+strings.TrimSpace(string(output)))
}

func TestLostConnectionHangsUpTheShellAndItsJobs(t *testing.T) {
	s := startServer(t)
	ended := fifo(t)
	sh := openShell(t, s, 24, 80)
	sh.say(fmt.Sprintf(`bash -c 'trap "echo hung up > %s; exit" HUP; echo running=; while :; do sleep 0.05; done'`, ended))
	sh.answer("running=")
	must(t, sh.session.Close())
	expect(t, "end", readWithin(t, ended), "hung up\n")
}
