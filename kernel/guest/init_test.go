package guest_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestAsProcessOneItReapsOrphansAndKeepsExitStatuses(t *testing.T) {
	s := startServer(t, asInit)
	stdout, _, _ := s.do(t, "cat /proc/1/comm")
	expect(t, "process 1", stdout, "shale-guest\n")
	for i := range 10 {
		// The shell's child leaves a grandchild behind, which becomes process 1's.
		stdout, _, status := s.do(t, fmt.Sprintf(`orphan=$( (sh -c 'echo $$; exec >/dev/null; read x </proc/1/comm' &) );
			while [ -e /proc/$orphan ]; do :; done; echo reaped; exit %d`, i))
		expect(t, "status", status, i)
		expect(t, "output", stdout, "reaped\n")
	}
}

func TestAsProcessOneItStopsEverythingOnTerm(t *testing.T) {
	s := startServer(t, asInit)
	said, ready := fifo(t), fifo(t)
	s.do(t, fmt.Sprintf(`setsid sh -c 'trap "echo saved > %s; exit" TERM; echo ready > %s; while :; do sleep 60 & wait; done' \
		>/dev/null 2>&1 </dev/null &`, said, ready))
	readWithin(t, ready)
	s.do(t, "kill -TERM 1")
	expect(t, "the detached job", readWithin(t, said), "saved\n")
	must(t, s.cmd.Wait())
}

func TestKilledServerIsStartedAgainAndTheTenantsJobsLiveOn(t *testing.T) {
	s := startServer(t, asInit)
	pid, _, _ := s.do(t, "setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!")
	_, _, status := s.do(t, "kill -KILL $PPID")
	expect(t, "status", status, 255)
	s.awaitListening(t)
	_, _, status = s.do(t, "kill -0 "+strings.TrimSpace(pid))
	expect(t, "the job", status, 0)
}

func TestImageWithoutAnythingRunsPlainCommandsAndServesFiles(t *testing.T) {
	s := startServer(t, inEmptyImage, asInit)
	_, stderr, status := s.do(t, "/.shale/shale-guest --dir '/no such'")
	expect(t, "status", status, 1)
	expectContains(t, stderr, "open /no such/host_key: no such file or directory")
	_, stderr, status = s.do(t, "/.shale/shale-guest; rm -rf /")
	expect(t, "status", status, 127)
	expectContains(t, stderr, "this image has no shell")
	var output bytes.Buffer
	cmd := s.ssh(t, "-tt", "root@127.0.0.1")
	cmd.Stderr = &output
	cmd.Stdout = &output
	_ = cmd.Run()
	expectContains(t, output.String(), "this image has no shell: name a program to run")

	sftp := s.client(t, "sftp", "-P", strconv.Itoa(s.port), "-b", "-", "root@127.0.0.1")
	sftp.Stdin = strings.NewReader("pwd\nput " + s.keyPath + ".pub /copy\nput " + s.keyPath + " /.shale/host_key\n")
	transcript, err := sftp.CombinedOutput()
	if err == nil {
		t.Fatalf("it wrote over the provider's files: %s", transcript)
	}
	expectContains(t, string(transcript), "Remote working directory: /\n")
	expect(t, "copy", read(t, filepath.Join(s.dir, "image", "copy")), read(t, s.keyPath+".pub"))
}
