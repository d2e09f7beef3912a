package mount_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece/piecetest"
)

// storing is a CAR whose directory has a program and a secret, with modes and times.
func storing(t *testing.T, at time.Time) string {
	t.Helper()
	var blocks []piecetest.Block
	node := func(kind *ft.FSNode, mode uint32, links map[string]*merkledag.ProtoNode) *merkledag.ProtoNode {
		kind.SetModeFromUnixPermissions(mode)
		kind.SetModTime(at)
		data, err := kind.GetBytes()
		if err != nil {
			t.Fatal(err)
		}
		n := merkledag.NodeWithData(data)
		for name, to := range links {
			if err := n.AddNodeLink(name, to); err != nil {
				t.Fatal(err)
			}
		}
		blocks = append(blocks, piecetest.Block{CID: n.Cid(), Data: n.RawData()})
		return n
	}
	file := func(mode uint32, content string) *merkledag.ProtoNode {
		kind := ft.NewFSNode(ft.TFile)
		kind.SetData([]byte(content))
		return node(kind, mode, nil)
	}
	root := node(ft.NewFSNode(ft.TDirectory), 0o1775, map[string]*merkledag.ProtoNode{
		"program": file(0o6755, "#!/bin/sh\necho runs\n"), "secret": file(0o600, "secret"),
	})
	car := filepath.Join(t.TempDir(), "d.car")
	if err := os.WriteFile(car, piecetest.CAR(t, []cid.Cid{root.Cid()}, blocks...), 0o600); err != nil {
		t.Fatal(err)
	}
	return car
}

func TestStoredModesAndTimesAreShownWithoutLeaveToWrite(t *testing.T) {
	at := time.Unix(1_600_000_000, 123_456_789)
	dir := t.TempDir()
	mountAt(t, storing(t, at), dir)
	for path, mode := range map[string]fs.FileMode{".": fs.ModeDir | 0o555, "program": 0o555, "secret": 0o400} {
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		// A directory's set-user-id and sticky bits, which would mean something to who writes, are gone with the rest.
		if info.Mode() != mode || !info.ModTime().Equal(at) {
			t.Errorf("%s: %v, %v", path, info.Mode(), info.ModTime())
		}
	}
}

func TestEveryUserReadsAndNobodyRunsWhatIsNoProgram(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	mountAt(t, storing(t, time.Unix(1, 0)), dir)
	for _, c := range []struct {
		args []string
		fine bool
	}{
		{[]string{"cat", "secret"}, true},
		{[]string{"test", "-r", "secret"}, true},
		{[]string{"test", "-x", "secret"}, false},
		{[]string{"./program"}, true},
		{[]string{"test", "-w", "secret"}, false},
	} {
		// The shell goes there, not the fork of this process: until that has executed, this process, which serves the
		// mount, can't collect its garbage, and may stand still for good.
		cmd := exec.Command("sh", append([]string{"-c", `cd "$1" && shift && exec "$@"`, "sh", dir}, c.args...)...)
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		err := cmd.Run()
		var exit *exec.ExitError
		if (err == nil) != c.fine || err != nil && !errors.As(err, &exit) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}
