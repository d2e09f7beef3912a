package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// scattered is a dataset of one file for each of its pieces; its directory lies in the first.
func scattered(t *testing.T, pieces int) (texts []string, root cid.Cid) {
	t.Helper()
	dir := merkledag.NodeWithData(ft.FolderPBData())
	if err := dir.SetCidBuilder(merkledag.V1CidPrefix()); err != nil {
		t.Fatal(err)
	}
	files := make([]piecetest.Block, pieces)
	for i := range files {
		files[i] = piecetest.Raw(t, fmt.Appendf(nil, "file %d", i), multihash.SHA2_256)
		if err := dir.AddRawLink(fmt.Sprintf("%04d", i), &format.Link{Cid: files[i].CID, Size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	for i, file := range files {
		blocks := []piecetest.Block{file}
		if i == 0 {
			blocks = append(blocks, piecetest.Block{CID: dir.Cid(), Data: dir.RawData()})
		}
		path := filepath.Join(folder, fmt.Sprintf("%d.car", i))
		if err := os.WriteFile(path, piecetest.CAR(t, []cid.Cid{dir.Cid()}, blocks...), 0o644); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, path)
	}
	return texts, dir.Cid()
}

func TestDatasetMayHaveAsManyPiecesAsAManifest(t *testing.T) {
	texts, root := scattered(t, 1024)
	path := filepath.Join(t.TempDir(), "index")
	if _, err := Build(t.Context(), texts, root.String(), path, Options{VerifyBlocks: true}); err != nil {
		t.Fatal(err)
	}
	d, err := Open(texts, root.String(), path)
	if err != nil || d.Record == nil {
		t.Fatal(err, d.Unusable)
	}
	defer d.Close()
	reader := unixfs.NewReader(d.Source, d.Tree, unixfs.FirstTouch)
	for _, i := range []int{0, 500, 1023} {
		e, ok := d.Tree.Lookup(fmt.Sprintf("%04d", i))
		if !ok {
			t.Fatalf("no file %d", i)
		}
		p := make([]byte, e.Size)
		if _, err := reader.ReadAt(e, p, 0); err != nil || string(p) != fmt.Sprintf("file %d", i) {
			t.Errorf("%q, %v", p, err)
		}
	}
	if _, err := Open(append(texts, texts[0]), root.String(), ""); err == nil || !strings.Contains(err.Error(), "1025 pieces") {
		t.Errorf("got %v", err)
	}
}

func TestTooFewOpenFilesForThePiecesAreToldBefore(t *testing.T) {
	texts, root := scattered(t, 200)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 150, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := Open(texts, root.String(), "")
	if failed := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); failed != nil {
		t.Fatal(failed)
	}
	if err == nil || !strings.Contains(err.Error(), "264 open files, and 150 are allowed") {
		t.Errorf("got %v", err)
	}
}
