package mount_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"

	"github.com/shale-cloud/shale/kernel/mount"
	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// proven mounts the CAR with proofs until the test ends, and collects the faults of its blocks. What is done to the CAR
// before the first read is done by spoil.
func proven(t *testing.T, car string, spoil func(piece.Source, *unixfs.Tree)) (dir string, tree *unixfs.Tree, faults func() []unixfs.Fault) {
	t.Helper()
	return provenWith(t, car, spoil, func(*unixfs.Reader) {})
}

// provenWith is proven, and hands the mount's reader out.
func provenWith(t *testing.T, car string, spoil func(piece.Source, *unixfs.Tree), given func(*unixfs.Reader)) (dir string, tree *unixfs.Tree, faults func() []unixfs.Fault) {
	t.Helper()
	src, err := piece.OpenFile(car)
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = unixfs.Open(src, ""); err != nil {
		t.Fatal(err)
	}
	if spoil != nil {
		spoil(src, tree)
	}
	var mu sync.Mutex
	var seen []unixfs.Fault
	dir = t.TempDir()
	reader := unixfs.NewReader(src, tree, unixfs.FirstTouch)
	given(reader)
	m, err := mount.WithProofs(dir, tree, reader, &mount.Proofs{
		Source: src,
		Piece:  []byte(`{"a":"proof"}`),
		OnFault: func(f *unixfs.Fault) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, *f)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
		m.Wait()
		src.Close()
	})
	return dir, tree, func() []unixfs.Fault {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func TestProofsStandBesideTheDataset(t *testing.T) {
	p := pack(t)
	dir, tree, _ := proven(t, p.car, nil)
	if out, err := exec.Command("diff", "--recursive", "--no-dereference", p.dir, filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "proofs", "piece.json")); err != nil || string(got) != `{"a":"proof"}` {
		t.Errorf("piece.json: %q, %v", got, err)
	}
	blocks := filepath.Join(dir, "proofs", "blocks")
	if listed, err := os.ReadDir(blocks); err != nil || len(listed) != 0 {
		t.Errorf("blocks lists %d, %v", len(listed), err)
	}
	seen := 0
	check := func(e *unixfs.Entry) error {
		if e.CID.Type() != cid.DagProtobuf {
			return nil
		}
		seen++
		got, err := os.ReadFile(filepath.Join(blocks, e.CID.String()))
		if err == nil {
			err = unixfs.CheckBlock(e.CID, got)
		}
		if err != nil {
			t.Errorf("%s: %v", e.Path(), err)
		}
		return nil
	}
	if err := errors.Join(check(tree.Root), tree.Walk(check)); err != nil || seen < 4 {
		t.Errorf("%d blocks seen, %v", seen, err)
	}
}

func TestBlockIsFoundByAnyTextOfItsCID(t *testing.T) {
	dir, tree, _ := proven(t, pack(t).car, nil)
	root := tree.Root.CID
	base36, err := root.StringOfBase(multibase.Base36)
	if err != nil {
		t.Fatal(err)
	}
	base58 := cid.NewCidV0(root.Hash()).String()
	for _, name := range []string{root.String(), base36, base58} {
		got, err := os.ReadFile(filepath.Join(dir, "proofs", "blocks", name))
		if err != nil || unixfs.CheckBlock(root, got) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw := cid.NewCidV1(cid.Raw, root.Hash()).String()
	for _, name := range []string{"nothing", raw, root.String() + "x", ".x"} {
		if _, err := os.Stat(filepath.Join(dir, "proofs", "blocks", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCorruptProofBlockIsAnIOErrorAndOneEvent(t *testing.T) {
	p := pack(t)
	var at int64
	dir, tree, faults := proven(t, p.car, func(_ piece.Source, tree *unixfs.Tree) {
		block, ok := tree.Block(tree.Root.CID)
		if !ok {
			t.Fatal("the root has no block")
		}
		at = block.Offset
		file, err := os.OpenFile(p.car, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		flipped := make([]byte, 1)
		if _, err := file.ReadAt(flipped, at+3); err != nil {
			t.Fatal(err)
		}
		flipped[0] ^= 4
		if _, err := file.WriteAt(flipped, at+3); err != nil {
			t.Fatal(err)
		}
	})
	for range 2 {
		if _, err := os.ReadFile(filepath.Join(dir, "proofs", "blocks", tree.Root.CID.String())); !errors.Is(err, syscall.EIO) {
			t.Errorf("corrupt block: %v", err)
		}
	}
	if got := faults(); len(got) != 1 || got[0].Kind != "corrupt" || got[0].Offset != at || got[0].CID != tree.Root.CID {
		t.Errorf("faults: %+v", got)
	}
}

func TestPartsOfABlockAreReadByManyAtOnce(t *testing.T) {
	dir, tree, _ := proven(t, pack(t).car, nil)
	many, ok := tree.Lookup("many")
	if !ok {
		t.Fatal("no such directory")
	}
	path := filepath.Join(dir, "proofs", "blocks", many.CID.String())
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			f, err := os.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			var whole bytes.Buffer
			if _, err := io.CopyBuffer(struct{ io.Writer }{&whole}, struct{ io.Reader }{f}, make([]byte, 777)); err != nil {
				t.Error(err)
			}
			if err := unixfs.CheckBlock(many.CID, whole.Bytes()); err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
}

func TestProofsCannotBeWritten(t *testing.T) {
	dir, tree, _ := proven(t, pack(t).car, nil)
	for _, path := range []string{"new", "proofs/new", "proofs/piece.json", "proofs/blocks/" + tree.Root.CID.String(), "data/new"} {
		if err := os.WriteFile(filepath.Join(dir, path), nil, 0o644); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
