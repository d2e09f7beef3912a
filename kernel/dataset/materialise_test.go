package dataset

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

func TestAMaterialisedDatasetIsTheDirectoryThatWasPacked(t *testing.T) {
	car, _ := packed(t)
	d := opened(t, car, "", "")
	out := filepath.Join(t.TempDir(), "out")
	var wrote atomic.Int64
	m, err := d.Materialise(t.Context(), out, func(n int) { wrote.Add(int64(n)) })
	if err != nil {
		t.Fatal(err)
	}
	if m.Files != 4 || wrote.Load() != m.Size {
		t.Errorf("%+v, told of %d", m, wrote.Load())
	}
	again := filepath.Join(t.TempDir(), "again.car")
	repacked := repack(t, out, again)
	if !repacked.Equals(d.Tree.Root.CID) {
		t.Errorf("%s became %s", d.Tree.Root.CID, repacked)
	}
	if info, err := os.Stat(filepath.Join(out, "a", "small")); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	onlyEntry(t, out)
	if _, err := d.Materialise(t.Context(), out, nil); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("an existing directory: %v", err)
	}
}

// onlyEntry says what lies beside a path.
func onlyEntry(t *testing.T, path string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != filepath.Base(path) {
		t.Errorf("beside %s: %v, %v", path, left, err)
	}
}

func TestAFaultLeavesNothing(t *testing.T) {
	car, _ := packed(t)
	data, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, []byte("small"))] ^= 1
	if err := os.WriteFile(car, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	var fault *unixfs.Fault
	if _, err := opened(t, car, "", "").Materialise(t.Context(), out, nil); !errors.As(err, &fault) || fault.Path != "a/small" {
		t.Errorf("%v", err)
	}
	onlyEntry(t, out)
	if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAnInterruptionLeavesNothing(t *testing.T) {
	car, _ := packed(t)
	out := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := opened(t, car, "", "").Materialise(ctx, out, func(int) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	onlyEntry(t, out)
}

func TestWhatAKilledProcessLeftIsRemovedByTheNext(t *testing.T) {
	car, _ := packed(t)
	out := filepath.Join(t.TempDir(), "out")
	left := filepath.Join(filepath.Dir(out), ".out.shale-part")
	if err := os.MkdirAll(filepath.Join(left, "locked", "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(left, "locked"), 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, car, "", "").Materialise(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	onlyEntry(t, out)
	if _, err := os.Lstat(filepath.Join(out, "locked")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestTwoProcessesDontWriteOneDirectory(t *testing.T) {
	car, _ := packed(t)
	out := filepath.Join(t.TempDir(), "out")
	p, err := claimPart(out)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := opened(t, car, "", "").Materialise(t.Context(), out, nil); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v", err)
	}
}

func TestAFullDiskLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("as another user: a small file system cannot be mounted")
		return
	}
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	car, _ := packed(t)
	d := opened(t, car, "", "")
	out := filepath.Join(disk, "out")
	if _, err := d.Materialise(t.Context(), out, nil); err == nil || !strings.Contains(err.Error(), "are free there") {
		t.Errorf("%v", err)
	}
	// And when the room goes while it is written.
	p, err := claimPart(out)
	if err != nil {
		t.Fatal(err)
	}
	w := &materialiser{ctx: t.Context(), reader: unixfs.NewReader(d.Source, d.Tree, unixfs.FirstTouch), root: p.root}
	if err := w.all(d.Tree.Root); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	p.Close()
	onlyEntry(t, out)
}

func TestStoredModesAndTimesAreSet(t *testing.T) {
	at := time.Unix(1_600_000_000, 123_456_789)
	n := ft.NewFSNode(ft.TFile)
	n.SetData([]byte("#!/bin/sh\necho runs\n"))
	script := stored(t, n, 0o755, at)
	n = ft.NewFSNode(ft.TSymlink)
	n.SetData([]byte("script"))
	symlink := stored(t, n, 0, at)
	dir := merkledag.NodeWithData(nil)
	n = ft.NewFSNode(ft.TDirectory)
	for name, child := range map[string]*merkledag.ProtoNode{"script": script, "link": symlink} {
		if err := dir.AddNodeLink(name, child); err != nil {
			t.Fatal(err)
		}
	}
	n.SetModeFromUnixPermissions(0o550)
	n.SetModTime(at)
	data, err := n.GetBytes()
	if err != nil {
		t.Fatal(err)
	}
	dir.SetData(data)
	var blocks []piecetest.Block
	for _, n := range []*merkledag.ProtoNode{script, symlink, dir} {
		blocks = append(blocks, piecetest.Block{CID: n.Cid(), Data: n.RawData()})
	}
	car := filepath.Join(t.TempDir(), "d.car")
	if err := os.WriteFile(car, piecetest.CAR(t, []cid.Cid{dir.Cid()}, blocks...), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := opened(t, car, "", "").Materialise(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{
		".": os.ModeDir | 0o550, "script": 0o755, "link": os.ModeSymlink | 0o777,
	} {
		info, err := os.Lstat(filepath.Join(out, path))
		if err != nil || info.Mode() != mode || !info.ModTime().Equal(at) {
			t.Errorf("%s: %v, %v, %v", path, info.Mode(), info.ModTime(), err)
		}
	}
	if got, err := exec.Command(filepath.Join(out, "script")).Output(); err != nil || string(got) != "runs\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func stored(t *testing.T, n *ft.FSNode, mode uint32, at time.Time) *merkledag.ProtoNode {
	t.Helper()
	n.SetModeFromUnixPermissions(mode)
	n.SetModTime(at)
	data, err := n.GetBytes()
	if err != nil {
		t.Fatal(err)
	}
	return merkledag.NodeWithData(data)
}
