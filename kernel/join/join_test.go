package join

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The test binary stands in for the program, so that join runs as the process that it is.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "join" {
		if err := Run(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

type joined struct {
	stdin  io.WriteCloser
	stdout io.Reader
	stderr *bytes.Buffer
	peer   *net.UnixConn
	cmd    *exec.Cmd
}

func startJoin(t *testing.T) joined {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meter")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	cmd := exec.CommandContext(t.Context(), os.Args[0], "join", path)
	j := joined{cmd: cmd, stderr: &bytes.Buffer{}}
	cmd.Stderr = j.stderr
	if j.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if j.stdout, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	j.peer = peer.(*net.UnixConn)
	if err := j.peer.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return j
}

func (j joined) expectExit(t *testing.T, status int) {
	t.Helper()
	_ = j.cmd.Wait()
	if got := j.cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("exit %d, want %d: %s", got, status, j.stderr)
	}
}

func TestJoinGoesOnReadingAfterTheClientsEnd(t *testing.T) {
	j := startJoin(t)
	if _, err := io.WriteString(j.stdin, "voucher\n"); err != nil {
		t.Fatal(err)
	}
	j.stdin.Close()
	if got, err := io.ReadAll(j.peer); err != nil || string(got) != "voucher\n" {
		t.Fatalf("the meter got %q, %v", got, err)
	}
	if _, err := io.WriteString(j.peer, "ack\n"); err != nil {
		t.Fatal(err)
	}
	j.peer.Close()
	if got, err := io.ReadAll(j.stdout); err != nil || string(got) != "ack\n" {
		t.Fatalf("the client got %q, %v", got, err)
	}
	j.expectExit(t, 0)
}

func TestJoinGoesOnWritingAfterTheMetersEnd(t *testing.T) {
	j := startJoin(t)
	if _, err := io.WriteString(j.peer, "end\n"); err != nil {
		t.Fatal(err)
	}
	if err := j.peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(j.stdout); err != nil || string(got) != "end\n" {
		t.Fatalf("the client got %q, %v", got, err)
	}
	if _, err := io.WriteString(j.stdin, "last words\n"); err != nil {
		t.Fatal(err)
	}
	j.stdin.Close()
	if got, err := io.ReadAll(j.peer); err != nil || string(got) != "last words\n" {
		t.Fatalf("the meter got %q, %v", got, err)
	}
	j.expectExit(t, 0)
}

func TestJoinEndsWhenTheMeterClosesThoughTheClientStays(t *testing.T) {
	j := startJoin(t)
	j.peer.Close()
	if got, err := io.ReadAll(j.stdout); err != nil || len(got) != 0 {
		t.Fatalf("the client got %q, %v", got, err)
	}
	j.expectExit(t, 0)
}

func TestJoinWithoutAMeterSaysSoInOneLine(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "dead")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: gone, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	for _, path := range []string{filepath.Join(t.TempDir(), "absent"), gone} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "join", path)
		output, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || strings.Count(string(output), "\n") != 1 ||
			!strings.Contains(string(output), "not metered here") {
			t.Fatalf("exit %d: %s", cmd.ProcessState.ExitCode(), output)
		}
	}
}
