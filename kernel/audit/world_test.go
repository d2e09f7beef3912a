package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/audit"
	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/inclusion"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/reading"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// A dag collects blocks, as an honest builder makes them or as none would.
type dag struct {
	t      *testing.T
	blocks []piecetest.Block
}

func (d *dag) add(b piecetest.Block) cid.Cid {
	d.blocks = append(d.blocks, b)
	return b.CID
}

func (d *dag) raw(data string) cid.Cid {
	return d.add(piecetest.Raw(d.t, []byte(data), multihash.SHA2_256))
}

func link(name string, to cid.Cid, size uint64) *format.Link {
	return &format.Link{Name: name, Cid: to, Size: size}
}

func (d *dag) node(prefix cid.Prefix, data []byte, links ...*format.Link) cid.Cid {
	d.t.Helper()
	n := merkledag.NodeWithData(data)
	if err := n.SetCidBuilder(prefix); err != nil {
		d.t.Fatal(err)
	}
	for _, l := range links {
		if err := n.AddRawLink(l.Name, l); err != nil {
			d.t.Fatal(err)
		}
	}
	return d.add(piecetest.Block{CID: n.Cid(), Data: n.RawData()})
}

func (d *dag) dir(links ...*format.Link) cid.Cid {
	return d.node(merkledag.V1CidPrefix(), ft.FolderPBData(), links...)
}

func (d *dag) symlink(target string) cid.Cid {
	data, err := ft.SymlinkData(target)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.node(merkledag.V1CidPrefix(), data)
}

func (d *dag) file(data string, sizes []uint64, links ...*format.Link) cid.Cid {
	n := ft.NewFSNode(ft.TFile)
	n.SetData([]byte(data))
	for _, size := range sizes {
		n.AddBlockSize(size)
	}
	encoded, err := n.GetBytes()
	if err != nil {
		d.t.Fatal(err)
	}
	return d.node(merkledag.V0CidPrefix(), encoded, links...)
}

// A world is a provider, honest until it is told to answer otherwise.
type world struct {
	src    piece.Source
	tree   *unixfs.Tree
	files  *unixfs.Reader
	blocks map[string][]byte
	proof  []byte
	claim  audit.Claim
	// tamper, if set, may change an answer.
	tamper func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error)
}

// build mounts what the dag holds, as a piece of its own.
func (d *dag) build(root cid.Cid) *world {
	d.t.Helper()
	src := piecetest.CAR(d.t, []cid.Cid{root}, d.blocks...)
	tree, err := unixfs.Open(src, root.String())
	if err != nil {
		d.t.Fatal(err)
	}
	w := d.storage(root)
	w.tree, w.files = tree, unixfs.NewReader(src, tree, unixfs.FirstTouch)
	return w
}

// storage is a provider of blocks alone, for what cannot be mounted.
func (d *dag) storage(root cid.Cid) *world {
	d.t.Helper()
	w := &world{src: piecetest.CAR(d.t, []cid.Cid{root}, d.blocks...), blocks: map[string][]byte{}}
	for _, b := range d.blocks {
		w.blocks[b.CID.String()] = b.Data
	}
	var at, size int64
	if _, err := piece.WalkCAR(w.src, func(id cid.Cid, b piece.Block) error {
		if id.Equals(root) {
			at, size = inclusion.Section(id, b)
		}
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
	commitment, proof, err := inclusion.Prove(context.Background(), w.src, at, size)
	if err != nil {
		d.t.Fatal(err)
	}
	if w.proof, err = json.Marshal(proof); err != nil {
		d.t.Fatal(err)
	}
	w.claim = audit.Claim{Root: root, Pieces: []audit.Piece{{CID: commitment.V1, Padded: commitment.PaddedSize}}}
	return w
}

func (w *world) Read(_ context.Context, in reading.Folder, path string, off int64, n int) ([]byte, error) {
	data, err := w.honest(in, path, off, n)
	if w.tamper != nil {
		return w.tamper(in, path, off, data, err)
	}
	return data, err
}

func (w *world) honest(in reading.Folder, path string, off int64, n int) ([]byte, error) {
	if in == reading.Proofs {
		data := w.proof
		if name, ok := strings.CutPrefix(path, "blocks/"); ok {
			if data, ok = w.blocks[name]; !ok {
				return nil, &reading.FileError{Reason: "no such file"}
			}
		}
		data = data[min(off, int64(len(data))):]
		return data[:min(n, len(data))], nil
	}
	if w.tree == nil {
		return nil, &reading.FileError{Reason: "nothing is mounted"}
	}
	entry, ok := w.tree.Lookup(path)
	if !ok {
		return nil, &reading.FileError{Reason: "no such file"}
	}
	if entry.Type == unixfs.Symlink {
		return []byte(entry.Target), nil
	}
	data := make([]byte, n)
	got, err := w.files.ReadAt(entry, data, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &reading.FileError{Reason: err.Error()}
	}
	return data[:got], nil
}

func (w *world) audit(sample int) (*audit.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return audit.Run(ctx, w, w.claim, audit.Options{Sample: sample, ReadTimeout: 20 * time.Second})
}

// refuted audits and expects the failure of a claim, which says something.
func (w *world) refuted(t *testing.T, says string) *audit.Failure {
	t.Helper()
	result, err := w.audit(200)
	var failure *audit.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("got %+v, %v", result, err)
	}
	if !strings.Contains(failure.Error(), says) || strings.Contains(failure.Error(), "\n") {
		t.Errorf("failure %q, without %q", failure, says)
	}
	return failure
}
