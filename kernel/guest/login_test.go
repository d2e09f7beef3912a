package guest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnotherKeyIsRefused(t *testing.T) {
	s := startServer(t)
	s.keyPath = filepath.Join(s.dir, "other")
	keygen(t, s.keyPath)
	_, stderr, status := s.do(t, "true")
	expect(t, "status", status, 255)
	expectContains(t, stderr, "Permission denied (publickey)")
}

func TestUnknownUserIsRefused(t *testing.T) {
	s := startServer(t)
	_, stderr, status := s.doAs(t, "nobody-here", "true")
	expect(t, "status", status, 255)
	expectContains(t, stderr, "Permission denied (publickey)")
}

func TestPlainUserRunsWithItsOwnIdentityAndGroups(t *testing.T) {
	s := startServer(t)
	stdout, _, status := s.doAs(t, plainUser, "id -u; id -G; echo $HOME $USER $SHELL; cat "+s.keyPath)
	expect(t, "status", status, 1) // the key is root's
	lines := strings.Split(stdout, "\n")
	expect(t, "uid", lines[0], fmt.Sprint(plainUID))
	expectContains(t, " "+lines[1]+" ", " 34567 ")
	expect(t, "variables", lines[2], filepath.Join(s.dir, "guest")+" "+plainUser+" /bin/sh")
	output, err := s.ssh(t, "-tt", plainUser+"@127.0.0.1", "stat -c %u $SSH_TTY && echo x >$SSH_TTY").Output()
	must(t, err)
	expect(t, "terminal's owner", string(output), fmt.Sprintf("%d\r\nx\r\n", plainUID))
}

func TestServerWithoutRootServesItsOwnUserOnly(t *testing.T) {
	s := startServer(t, asPlainUser)
	stdout, _, status := s.doAs(t, plainUser, "id -u; pwd")
	expect(t, "status", status, 0)
	expect(t, "identity", stdout, fmt.Sprintf("%d\n%s\n", plainUID, filepath.Join(s.dir, "guest")))
	_, stderr, status := s.do(t, "id -u")
	expect(t, "root's status", status, 255)
	expectContains(t, stderr, "Permission denied")
	output, err := s.ssh(t, "-tt", plainUser+"@127.0.0.1", "tty").Output()
	must(t, err)
	expectContains(t, string(output), "/dev/pts/")
}

func TestServerAnnouncesItself(t *testing.T) {
	s := startServer(t)
	expect(t, "version", string(s.dial(t).ServerVersion()), "SSH-2.0-Shale")
}

func TestUnsoundFilesAreRefusedInOneLine(t *testing.T) {
	key := func(t *testing.T, kind string) (private, public string) {
		path := filepath.Join(t.TempDir(), "key")
		must(t, exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path).Run())
		return read(t, path), read(t, path+".pub")
	}
	hostKey, public := key(t, "ed25519")
	rsaKey, _ := key(t, "rsa")
	for name, unsound := range map[string]struct {
		file, content string
		mode          os.FileMode
		says          string
	}{
		"options":       {"authorized_keys", `command="rm -rf /" ` + public, 0o600, "line 1 has options"},
		"no key at all": {"authorized_keys", "# nobody\n", 0o600, "nobody could log in"},
		"not a key":     {"authorized_keys", "let me in\n", 0o600, "line 1 is no public key"},
		"open host key": {"host_key", hostKey, 0o644, "chmod 600"},
		"rsa host key":  {"host_key", rsaKey, 0o600, "ssh-rsa"},
		"no host key":   {"host_key", "", 0o600, "host_key"},
		"environment":   {"environment", "A=1\nB\n", 0o600, "line 2 is not KEY=VALUE"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string]string{"host_key": hostKey, "authorized_keys": public} {
				must(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
			}
			must(t, os.WriteFile(filepath.Join(dir, unsound.file), []byte(unsound.content), 0o600))
			must(t, os.Chmod(filepath.Join(dir, unsound.file), unsound.mode))
			cmd := exec.CommandContext(t.Context(), programPath, "--dir", dir, "--listen", "127.0.0.1:0")
			output, _ := cmd.CombinedOutput()
			expect(t, "status", cmd.ProcessState.ExitCode(), 1)
			expect(t, "lines", strings.Count(string(output), "\n"), 1)
			expectContains(t, string(output), unsound.says)
		})
	}
}

func TestPortInUseIsSaidInOneLine(t *testing.T) {
	s := startServer(t)
	cmd := exec.CommandContext(t.Context(), programPath,
		"--dir", filepath.Join(s.dir, "shale"), "--listen", fmt.Sprintf("127.0.0.1:%d", s.port))
	output, _ := cmd.CombinedOutput()
	expect(t, "status", cmd.ProcessState.ExitCode(), 1)
	expectContains(t, string(output), "address already in use: choose another address with --listen")
}
