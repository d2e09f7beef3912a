package guest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const testTimeout = 20 * time.Second

// programPath is the static program, built once: what a container gets is what is tested.
var programPath string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shale-guest-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	programPath = filepath.Join(dir, "shale-guest")
	build := exec.Command("go", "build", "-o", programPath, "../cmd/shale-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building shale-guest: %s", output)
		return 1
	}
	return m.Run()
}

// A server is one running shale-guest, its directory and what a client needs to log in.
type server struct {
	dir     string
	home    string // root's
	keyPath string
	port    int
	cmd     *exec.Cmd
	stderr  *bytes.Buffer
	events  *bufio.Reader
}

type option func(*serverOptions)

type serverOptions struct {
	asInit bool
	empty  bool
	plain  bool
	files  map[string]string
	env    []string
}

// asInit runs the program as process 1 of a PID namespace, as a container does.
func asInit(o *serverOptions) { o.asInit = true }

// inEmptyImage runs the program in a file tree that holds nothing else: no shell, no libc, no users.
func inEmptyImage(o *serverOptions) { o.empty = true }

// asPlainUser runs the program without root's rights, as an image with a USER does.
func asPlainUser(o *serverOptions) { o.plain = true }

// The test user beside root, who has no rights but its own.
const (
	plainUser = "guest"
	plainUID  = 23456
)

func withFile(name, content string) option {
	return func(o *serverOptions) { o.files[name] = content }
}

func withEnv(pairs ...string) option {
	return func(o *serverOptions) { o.env = pairs }
}

func startServer(t *testing.T, options ...option) *server {
	t.Helper()
	o := serverOptions{files: map[string]string{}, env: []string{"PATH=" + os.Getenv("PATH")}}
	for _, option := range options {
		option(&o)
	}
	s := &server{dir: t.TempDir(), stderr: &bytes.Buffer{}}
	s.keyPath = filepath.Join(s.dir, "id")
	shale := filepath.Join(s.dir, "shale")
	must(t, os.Mkdir(shale, 0o700))
	keygen(t, s.keyPath)
	keygen(t, filepath.Join(shale, "host_key"))
	must(t, os.WriteFile(filepath.Join(shale, "authorized_keys"), []byte(read(t, s.keyPath+".pub")), 0o600))
	for name, content := range o.files {
		must(t, os.WriteFile(filepath.Join(shale, name), []byte(content), 0o600))
	}
	program, dir := programPath, shale
	if o.empty {
		program, dir = "/.shale/shale-guest", "/.shale"
	}
	command := append(o.namespaces(t, s), program, "--dir", dir, "--listen", "127.0.0.1:0")
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Env = o.env
	s.cmd.Stderr = s.stderr
	stdout, err := s.cmd.StdoutPipe()
	must(t, err)
	must(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	s.events = bufio.NewReader(stdout)
	s.awaitListening(t)
	return s
}

// awaitListening reads the next event and pins the host key to its port.
func (s *server) awaitListening(t *testing.T) {
	t.Helper()
	line, err := s.events.ReadBytes('\n')
	if err != nil {
		_ = s.cmd.Wait()
		t.Fatalf("the server did not start: %v: %s", err, s.stderr)
	}
	var event struct {
		Event string
		Port  int
	}
	if err := json.Unmarshal(line, &event); err != nil || event.Event != "listening" {
		t.Fatalf("not the listening event: %s", line)
	}
	s.port = event.Port
	must(t, os.WriteFile(filepath.Join(s.dir, "known_hosts"),
		fmt.Appendf(nil, "[127.0.0.1]:%d %s", s.port, read(t, filepath.Join(s.dir, "shale", "host_key.pub"))), 0o600))
}

// namespaces is the command line before the program's: a mount namespace with users of the test's own, so that neither
// the machine's accounts nor its start-up files take part.
func (o *serverOptions) namespaces(t *testing.T, s *server) []string {
	t.Helper()
	s.home = filepath.Join(s.dir, "home")
	plainHome := filepath.Join(s.dir, "guest")
	for _, home := range []string{s.home, plainHome} {
		must(t, os.Mkdir(home, 0o700))
	}
	for _, dir := range []string{s.dir, filepath.Dir(s.dir)} {
		must(t, os.Chmod(dir, 0o755))
	}
	must(t, os.Chown(plainHome, plainUID, plainUID))
	must(t, os.WriteFile(filepath.Join(s.dir, "passwd"), fmt.Appendf(nil,
		"root:x:0:0:root:%s:/bin/bash\n%s:x:%d:%d::%s:/bin/sh\n", s.home, plainUser, plainUID, plainUID, plainHome), 0o644))
	must(t, os.WriteFile(filepath.Join(s.dir, "group"), fmt.Appendf(nil,
		"root:x:0:\n%s:x:%d:\nextra:x:34567:other,%s\n", plainUser, plainUID, plainUser), 0o644))
	command := []string{"unshare", "--mount"}
	if o.asInit {
		command = append(command, "--pid", "--fork", "--kill-child", "--mount-proc")
	}
	if o.empty {
		for _, dir := range []string{"dev", "proc", ".shale"} {
			must(t, os.MkdirAll(filepath.Join(s.dir, "image", dir), 0o755))
		}
		// As a provider does: the program and its files in one directory, mounted read-only.
		must(t, exec.Command("cp", programPath, filepath.Join(s.dir, "shale")).Run())
		return append(command, "sh", "-c", `cd "$1" && mount --rbind /dev image/dev && mount -t proc proc image/proc &&
			mount --bind -o ro shale image/.shale && shift && exec chroot image "$@"`, "sh", s.dir)
	}
	as := ""
	if o.plain {
		as = fmt.Sprintf("setpriv --reuid=%d --regid=%d --clear-groups", plainUID, plainUID)
		must(t, exec.Command("chown", "-R", fmt.Sprint(plainUID), filepath.Join(s.dir, "shale")).Run())
		must(t, os.Chmod(filepath.Dir(programPath), 0o755))
	}
	return append(command, "sh", "-c",
		`mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && shift && exec `+as+` "$@"`, "sh", s.dir)
}

// options are what ssh, scp and sftp get: this server's pinned key, and nothing of the machine's own settings.
func (s *server) options() []string {
	return []string{
		"-F", "/dev/null", "-i", s.keyPath, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + filepath.Join(s.dir, "known_hosts"),
		"-o", "GlobalKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
	}
}

// ssh prepares the machine's OpenSSH client.
func (s *server) ssh(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	return s.client(t, "ssh", append([]string{"-p", strconv.Itoa(s.port)}, arguments...)...)
}

func (s *server) client(t *testing.T, program string, arguments ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, append(s.options(), arguments...)...)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	return cmd
}

// do runs a command as root and returns its output and exit status.
func (s *server) do(t *testing.T, command string) (stdout, stderr string, status int) {
	t.Helper()
	return s.doAs(t, "root", command)
}

func (s *server) doAs(t *testing.T, user, command string) (stdout, stderr string, status int) {
	t.Helper()
	var out, err bytes.Buffer
	cmd := s.ssh(t, user+"@127.0.0.1", command)
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run()
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// dial logs in with a Go client, for what the OpenSSH client does not do.
func (s *server) dial(t *testing.T) *ssh.Client {
	t.Helper()
	key, err := ssh.ParsePrivateKey([]byte(read(t, s.keyPath)))
	must(t, err)
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(read(t, filepath.Join(s.dir, "shale", "host_key.pub"))))
	must(t, err)
	client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(hostKey), Timeout: testTimeout,
	})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// fifo makes a named pipe: reading it waits until a writer has come and gone, so that no test waits on the clock.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	must(t, exec.Command("mkfifo", path).Run())
	return path
}

// readWithin reads a file to its end, or fails the test.
func readWithin(t *testing.T, path string) string {
	t.Helper()
	done := make(chan string, 1)
	go func() {
		data, _ := os.ReadFile(path)
		done <- string(data)
	}()
	select {
	case data := <-done:
		return data
	case <-time.After(testTimeout):
		t.Fatalf("nothing came through %s", path)
		return ""
	}
}

func keygen(t *testing.T, path string) {
	t.Helper()
	must(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path).Run())
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func expectContains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf("%q does not contain %q", text, part)
	}
}
