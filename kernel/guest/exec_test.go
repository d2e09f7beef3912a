package guest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestExitStatusOutputAndErrorsArriveApart(t *testing.T) {
	s := startServer(t)
	stdout, stderr, status := s.do(t, "echo out; echo err >&2; exit 37")
	expect(t, "status", status, 37)
	expect(t, "stdout", stdout, "out\n")
	expect(t, "stderr", stderr, "err\n")
}

func TestKilledCommandIsReportedAsASignal(t *testing.T) {
	s := startServer(t)
	session, err := s.dial(t).NewSession()
	must(t, err)
	err = session.Run("kill -TERM $$")
	exit, ok := err.(*ssh.ExitError)
	if !ok {
		t.Fatalf("got %v", err)
	}
	expect(t, "signal", exit.Signal(), "TERM")
}

func TestClientSignalReachesTheCommand(t *testing.T) {
	s := startServer(t)
	session, err := s.dial(t).NewSession()
	must(t, err)
	stdout, err := session.StdoutPipe()
	must(t, err)
	must(t, session.Start("trap 'exit 9' USR1; echo ready; while :; do read x; done"))
	_, err = io.ReadFull(stdout, make([]byte, len("ready\n")))
	must(t, err)
	must(t, session.Signal(ssh.SIGUSR1))
	_, err = session.StdinPipe()
	if err == nil {
		t.Fatal("stdin after start")
	}
	exit, ok := session.Wait().(*ssh.ExitError)
	if !ok || exit.ExitStatus() != 9 {
		t.Fatalf("got %v", exit)
	}
}

func TestTwentyMebibytesComeBackUnchanged(t *testing.T) {
	s := startServer(t)
	sent := make([]byte, 20<<20)
	_, _ = rand.Read(sent)
	var received bytes.Buffer
	cmd := s.ssh(t, "root@127.0.0.1", "cat")
	cmd.Stdin, cmd.Stdout = bytes.NewReader(sent), &received
	must(t, cmd.Run())
	if sha256.Sum256(received.Bytes()) != sha256.Sum256(sent) {
		t.Fatalf("%d bytes came back, and not the same", received.Len())
	}
}

func TestEndOfInputEndsTheCommandAndAnEarlyExitDoesNotHang(t *testing.T) {
	s := startServer(t)
	cmd := s.ssh(t, "root@127.0.0.1", "wc -c; exit 3")
	cmd.Stdin = strings.NewReader("twelve bytes")
	output, _ := cmd.Output()
	expect(t, "output", strings.TrimSpace(string(output)), "12")
	expect(t, "status", cmd.ProcessState.ExitCode(), 3)

	cmd = s.ssh(t, "root@127.0.0.1", "head -c 4 >/dev/null; echo done")
	cmd.Stdin = io.LimitReader(zeros{}, 16<<20)
	output, _ = cmd.Output()
	expect(t, "output", string(output), "done\n")
}

func TestSessionStartsAtHomeWithTheUsersVariables(t *testing.T) {
	s := startServer(t, withFile("environment", "# set by the lease\nDATASET=/data\nFROM_DOCKER=changed\n"),
		withEnv("FROM_DOCKER=1", "KEPT=yes", "HOME=/wrong"))
	cmd := s.ssh(t, "-o", "SendEnv=LC_* LD_PRELOAD", "root@127.0.0.1",
		`echo $HOME $USER $LOGNAME $PWD $(pwd) $DATASET $FROM_DOCKER $KEPT $LC_ALL x$LD_PRELOAD; command -v ls; test -x "$SHELL"`)
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8", "LD_PRELOAD=")
	output, err := cmd.CombinedOutput()
	must(t, err)
	first, rest, _ := strings.Cut(string(output), "\n")
	expect(t, "variables", first, s.home+" root root "+s.home+" "+s.home+" /data changed yes C.UTF-8 x")
	expectContains(t, rest, "/ls")
}

func TestManyCommandsShareOneConnectionAndKeepTheirStatuses(t *testing.T) {
	s := startServer(t)
	client := s.dial(t)
	var running sync.WaitGroup
	for i := range 60 {
		running.Go(func() {
			session, err := client.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			err = session.Run(fmt.Sprintf("(true &) ; exit %d", i+1))
			if exit, ok := err.(*ssh.ExitError); !ok || exit.ExitStatus() != i+1 {
				t.Errorf("command %d: %v", i, err)
			}
		})
	}
	running.Wait()
}

func TestControlMasterCarriesSeveralSessions(t *testing.T) {
	s := startServer(t)
	path := filepath.Join(t.TempDir(), "c")
	master := s.ssh(t, "-M", "-S", path, "-o", "ControlPersist=yes", "root@127.0.0.1", "true")
	must(t, master.Run())
	for range 3 {
		output, err := s.ssh(t, "-S", path, "root@127.0.0.1", "echo $SSH_CONNECTION").Output()
		must(t, err)
		expectContains(t, string(output), "127.0.0.1 ")
	}
	must(t, s.ssh(t, "-S", path, "-O", "exit", "root@127.0.0.1").Run())
}

func TestLostConnectionHangsUpTheCommand(t *testing.T) {
	s := startServer(t)
	started, ended := fifo(t), fifo(t)
	cmd := s.ssh(t, "root@127.0.0.1", fmt.Sprintf(
		`trap 'echo hung up > %s; exit' HUP; echo up > %s; while :; do sleep 60 & wait; done`, ended, started))
	must(t, cmd.Start())
	expect(t, "start", readWithin(t, started), "up\n")
	must(t, cmd.Process.Kill())
	expect(t, "end", readWithin(t, ended), "hung up\n")
	_ = cmd.Wait()
}

func TestAnUnknownCommandAnswersAsTheShellDoes(t *testing.T) {
	s := startServer(t)
	_, stderr, status := s.do(t, "no-such-command-here")
	expect(t, "status", status, 127)
	expectContains(t, stderr, "not found")
}

func TestStoppedServerEndsItsSessionsAndItself(t *testing.T) {
	s := startServer(t)
	started := fifo(t)
	cmd := s.ssh(t, "root@127.0.0.1", fmt.Sprintf(`trap 'echo told; exit 5' TERM; echo up > %s; while :; do sleep 60 & wait; done`, started))
	var output bytes.Buffer
	cmd.Stdout = &output
	must(t, cmd.Start())
	readWithin(t, started)
	must(t, s.cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	expect(t, "output", output.String(), "told\n")
	must(t, s.cmd.Wait())
}

type zeros struct{}

func (zeros) Read(buffer []byte) (int, error) {
	clear(buffer)
	return len(buffer), nil
}
