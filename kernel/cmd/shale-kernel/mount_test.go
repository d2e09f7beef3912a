package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const asCommand = "SHALE_KERNEL_TEST_ARGS"

// TestRunAsCommand is no test: it is the process that kernel starts.
func TestRunAsCommand(t *testing.T) {
	args := os.Getenv(asCommand)
	if args == "" {
		return
	}
	os.Args = append([]string{"shale-kernel"}, strings.Split(args, "\n")...)
	main()
	os.Exit(0)
}

// kernel is the command, as a process of its own.
func kernel(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunAsCommand$")
	cmd.Env = append(os.Environ(), asCommand+"="+strings.Join(args, "\n"))
	return cmd
}

func output(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := kernel(args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

// packedDir packs a file of three leaves and one of a line.
func packedDir(t *testing.T) (car string, large []byte) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dir")
	large = bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	for i := range 3 {
		large[i<<20] = byte(i)
	}
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), large, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "line"), []byte("a line\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	car = filepath.Join(t.TempDir(), "out.car")
	output(t, "pack", dir, car, "--json")
	return car, large
}

// started is a mount that has said that it is ready.
func started(t *testing.T, car, dir string) (*exec.Cmd, *bufio.Scanner, io.Closer) {
	t.Helper()
	return startedWith(t, "--source", car, "--dir", dir)
}

// startedWith is one with these arguments, of which --dir DIR are the last.
func startedWith(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner, io.Closer) {
	t.Helper()
	cmd, lines, stdout := startedAs(t, kernel(append([]string{"mount"}, args...)...), args[len(args)-1])
	if lines.Text() != `{"event":"ready"}` {
		t.Fatalf("first line %q, %v", lines.Text(), lines.Err())
	}
	return cmd, lines, stdout
}

// startedAs is a mount that has said its first line.
func startedAs(t *testing.T, cmd *exec.Cmd, dir string) (*exec.Cmd, *bufio.Scanner, io.Closer) {
	t.Helper()
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
	})
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatalf("no line, %v", lines.Err())
	}
	return cmd, lines, stdout
}

func TestPackedCARIsListedAndCommittedTo(t *testing.T) {
	car, large := packedDir(t)
	var files []struct {
		Path, Type, CID string
		Size            int64
	}
	if err := json.Unmarshal(output(t, "ls", "--json", car), &files); err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Path != "large" || files[0].Size != int64(len(large)) || files[1].Path != "sub/line" || files[1].Type != "file" {
		t.Errorf("%+v", files)
	}
	if got := output(t, "cat", car, "large"); !bytes.Equal(got, large) {
		t.Errorf("cat wrote %d bytes", len(got))
	}
	var commitment map[string]any
	if err := json.Unmarshal(output(t, "commp", car, "--json"), &commitment); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(car)
	if err != nil {
		t.Fatal(err)
	}
	if commitment["raw_size"] != float64(info.Size()) || commitment["padded_size"] != float64(4<<20) {
		t.Errorf("%v of a file of %d bytes", commitment, info.Size())
	}
}

func TestOutputInsideThePackedDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	out, err := kernel("pack", dir, filepath.Join(dir, "out.car")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("%v: %s", err, out)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestPackReplacesAFileByForceOnly(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out.car")
	if err := os.WriteFile(out, []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := kernel("pack", dir, out).CombinedOutput(); err == nil || !bytes.Contains(text, []byte("--force")) {
		t.Errorf("%v: %s", err, text)
	}
	if got, err := os.ReadFile(out); err != nil || string(got) != "years of work" {
		t.Errorf("%q, %v", got, err)
	}
	output(t, "pack", dir, out, "--force")
	output(t, "ls", out)
	if err := kernel("pack", dir, t.TempDir(), "--force").Run(); err == nil {
		t.Error("a directory was replaced")
	}
}

func TestBrokenCARIsOneLineAndNoMount(t *testing.T) {
	car, _ := packedDir(t)
	if err := os.Truncate(car, 1<<20); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := kernel("mount", "--source", car, "--dir", dir).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if bytes.Count(out, []byte("\n")) != 1 || !bytes.Contains(out, []byte(car)) || !bytes.Contains(out, []byte("truncated")) {
		t.Errorf("%s", out)
	}
}

func TestMountEndsCleanlyOnSIGTERM(t *testing.T) {
	car, _ := packedDir(t)
	dir := t.TempDir()
	cmd, _, _ := started(t, car, dir)
	if got, err := os.ReadFile(filepath.Join(dir, "sub", "line")); err != nil || string(got) != "a line\n" {
		t.Errorf("%q, %v", got, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestUnmountFromOutsideEndsTheProcess(t *testing.T) {
	car, _ := packedDir(t)
	dir := t.TempDir()
	cmd, _, _ := started(t, car, dir)
	if out, err := exec.Command("fusermount3", "-u", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

func TestMountOverADeadMountTakesItsPlace(t *testing.T) {
	car, _ := packedDir(t)
	dir := t.TempDir()
	dead, _, _ := started(t, car, dir)
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait()
	if _, err := os.ReadDir(dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Fatalf("the mount isn't dead: %v", err)
	}
	cmd, _, _ := started(t, car, dir)
	if _, err := os.ReadFile(filepath.Join(dir, "sub", "line")); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestMountSurvivesItsParentsEnd(t *testing.T) {
	car, large := packedDir(t)
	corrupt(t, car, large)
	dir := t.TempDir()
	cmd, _, stdout := started(t, car, dir)
	stdout.Close()
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	// The event of the corrupt leaf finds nobody to read it.
	if _, err := os.ReadFile(filepath.Join(dir, "large")); !errors.Is(err, syscall.EIO) {
		t.Errorf("corrupt: %v", err)
	}
	for range 3 {
		if got, err := os.ReadFile(filepath.Join(dir, "sub", "line")); err != nil || string(got) != "a line\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestCorruptLeafIsAnEvent(t *testing.T) {
	car, large := packedDir(t)
	corrupt(t, car, large)
	dir := t.TempDir()
	_, lines, _ := started(t, car, dir)
	if _, err := os.ReadFile(filepath.Join(dir, "large")); !errors.Is(err, syscall.EIO) {
		t.Errorf("corrupt: %v", err)
	}
	var got event
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &got) != nil {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	if got.Event != "fault" || got.Kind != "corrupt" || got.Path != "large" || got.CID == "" || got.Offset == nil {
		t.Errorf("%+v", got)
	}
}

// corrupt flips a bit in the file's second leaf.
func corrupt(t *testing.T, car string, large []byte) {
	t.Helper()
	data, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, large[1<<20:1<<20+20])+100] ^= 1
	if err := os.WriteFile(car, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestIdleMountTellsThatItsSourceChanged(t *testing.T) {
	car, _ := packedDir(t)
	dir := t.TempDir()
	cmd, lines, _ := started(t, car, dir)
	if got, err := os.ReadFile(filepath.Join(dir, "sub", "line")); err != nil || string(got) != "a line\n" {
		t.Fatalf("%q, %v", got, err)
	}
	told := func(kind, reason string) {
		t.Helper()
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			if e.Event == "fault" && e.Kind == kind && strings.Contains(e.Message, reason) {
				return
			}
			t.Logf("%s", lines.Text())
		}
		t.Fatalf("the mount ended: %v", lines.Err())
	}
	file, err := os.OpenFile(car, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	told("changed", "was changed")
	if err := os.Rename(car, car+".away"); err != nil {
		t.Fatal(err)
	}
	told("changed", "was removed")
	// A hangup, as from a terminal that is closed, neither ends the mount nor harms it.
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "sub", "line")); err != nil || string(got) != "a line\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestMountThatIsToldToEndsWithWhoeverStartedIt(t *testing.T) {
	car, _ := packedDir(t)
	dir := t.TempDir()
	cmd := kernel("mount", "--source", car, "--while-stdin", "--dir", dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := startedAs(t, cmd, dir)
	if lines.Text() != `{"event":"ready"}` {
		t.Fatalf("first line %q", lines.Text())
	}
	open, err := os.Open(filepath.Join(dir, "large")) // a reader holds nothing up
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestMountThatIsBeingMadeEndsWithWhoeverStartedIt(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	defer server.Close()
	cmd := kernel("mount", "--source", server.URL+"/piece/x", "--while-stdin", "--dir", t.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	var failed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &failed) || failed.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
}

func TestMountTakesUpAReplacedSourceThatWasChecked(t *testing.T) {
	car, large := packedDir(t)
	sound, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(sound)
	bad[bytes.Index(bad, large[1<<20:1<<20+64])+100] ^= 1
	if err := os.WriteFile(car, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd, lines, _ := started(t, car, dir)
	path := filepath.Join(dir, "large")
	if _, err := os.ReadFile(path); !errors.Is(err, syscall.EIO) {
		t.Fatalf("a bad leaf: %v", err)
	}
	if err := errors.Join(os.WriteFile(car+".sound", sound, 0o644), os.Rename(car+".sound", car)); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "was replaced") {
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, err := os.ReadFile(path)
		if err == nil {
			if !bytes.Equal(got, large) {
				t.Error("other bytes")
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	// What was replaced is watched in its turn.
	if err := os.Remove(car); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "was removed") {
		if strings.Contains(lines.Text(), "was changed") {
			t.Errorf("a change that was known is told: %s", lines.Text())
		}
	}
}
