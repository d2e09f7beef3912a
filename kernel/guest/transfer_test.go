package guest_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestScpCopiesBothWaysInBothProtocols(t *testing.T) {
	s := startServer(t)
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	local := filepath.Join(t.TempDir(), "sent")
	must(t, os.WriteFile(local, content, 0o640))
	for name, mode := range map[string][]string{"a file": {}, "file": {"-O"}} {
		remote, back := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "back")
		scp := append([]string{"-p", "-P", strconv.Itoa(s.port)}, mode...)
		output, err := s.client(t, "scp", append(scp, local, "root@127.0.0.1:"+remote)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		info, err := os.Stat(remote)
		must(t, err)
		expect(t, "mode", info.Mode().Perm(), 0o640)
		if output, err := s.client(t, "scp", append(scp, "root@127.0.0.1:"+remote, back)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		got, err := os.ReadFile(back)
		must(t, err)
		if !bytes.Equal(got, content) {
			t.Fatalf("scp %v changed the file", mode)
		}
	}
}

func TestSftpStartsAtHomeAndDoesWhatABatchSays(t *testing.T) {
	s := startServer(t)
	must(t, os.WriteFile(filepath.Join(s.home, "model"), []byte("weights"), 0o600))
	batch := strings.Join([]string{
		"pwd", "get model " + s.dir + "/copy", "mkdir runs", "rename model runs/model", "symlink runs/model latest", "ls runs", "",
	}, "\n")
	cmd := s.client(t, "sftp", "-P", strconv.Itoa(s.port), "-b", "-", "root@127.0.0.1")
	cmd.Stdin = strings.NewReader(batch)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	expectContains(t, string(output), "Remote working directory: "+s.home+"\n")
	expect(t, "copy", read(t, s.dir+"/copy"), "weights")
	expect(t, "moved", read(t, s.home+"/latest"), "weights")
}

func TestSftpHasTheRightsOfTheUser(t *testing.T) {
	s := startServer(t)
	secret := filepath.Join(s.dir, "secret")
	must(t, os.WriteFile(secret, []byte("root's"), 0o600))
	cmd := s.client(t, "sftp", "-P", strconv.Itoa(s.port), "-b", "-", plainUser+"@127.0.0.1")
	cmd.Stdin = strings.NewReader("mkdir mine\nget " + secret + " " + s.dir + "/stolen\n")
	output, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("read it: %s", output)
	}
	expectContains(t, strings.ToLower(string(output)), "permission denied")
	owner, _, _ := s.do(t, "stat -c %u "+filepath.Join(s.dir, "guest", "mine"))
	expect(t, "owner", strings.TrimSpace(owner), strconv.Itoa(plainUID))
}
