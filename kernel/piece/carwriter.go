package piece

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	"github.com/ipld/go-car/v2/storage"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece/commp"
)

// A CARWriter writes a CARv1 beside its destination and moves it there when it is whole, and commits to it on the way.
// The root is known last and stands first: room for it is left in the header.
type CARWriter struct {
	path   string
	file   *os.File
	buffer *bufio.Writer
	blocks storage.WritableCar
	commp  *commp.Writer
}

// CreateCAR begins a CAR that will lie at path. Either Finish or Discard ends it.
func CreateCAR(path string) (*CARWriter, error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	w := &CARWriter{path: path, file: file, commp: commp.NewWriter()}
	w.buffer = bufio.NewWriterSize(io.MultiWriter(file, w.commp), 4<<20)
	placeholder, err := cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256}.Sum(nil)
	if err == nil {
		// The bare writer hides WriteAt, which would pass the buffer by.
		w.blocks, err = storage.NewWritable(struct{ io.Writer }{w.buffer}, []cid.Cid{placeholder}, car.WriteAsCarV1(true))
	}
	if err != nil {
		return nil, errors.Join(err, w.Discard())
	}
	return w, nil
}

// Put appends a block, unless it is there already.
func (w *CARWriter) Put(ctx context.Context, id cid.Cid, data []byte) error {
	return w.blocks.Put(ctx, id.KeyString(), data)
}

// Finish names the root, a sha2-256 CIDv1, commits to the piece and makes the file durable at its path. Cancelled, it
// leaves nothing.
func (w *CARWriter) Finish(ctx context.Context, root cid.Cid) (Commitment, error) {
	commitment, err := w.finish(ctx, root)
	if err != nil {
		return Commitment{}, errors.Join(err, w.Discard())
	}
	return commitment, nil
}

func (w *CARWriter) finish(ctx context.Context, root cid.Cid) (c Commitment, err error) {
	if err = w.blocks.Finalize(); err != nil {
		return
	}
	if err = w.buffer.Flush(); err != nil {
		return
	}
	if err = car.ReplaceRootsInFile(w.file.Name(), []cid.Cid{root}); err != nil {
		return
	}
	if c, err = w.commit(); err != nil {
		return
	}
	if err = ctx.Err(); err != nil {
		return
	}
	if err = w.file.Chmod(0o644); err != nil {
		return
	}
	if err = w.file.Sync(); err != nil {
		return
	}
	if err = os.Rename(w.file.Name(), w.path); err != nil {
		return
	}
	w.file.Close()
	return c, SyncDir(filepath.Dir(w.path))
}

// commit ends the commitment, with the header as it stands in the file: it is the same but for the root.
func (w *CARWriter) commit() (Commitment, error) {
	head := make([]byte, commp.HeadSize)
	n, err := w.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Commitment{}, err
	}
	if err := w.commp.SetHead(head[:n]); err != nil {
		return Commitment{}, err
	}
	return newCommitment(w.commp.Digest())
}

// Discard drops what was written.
func (w *CARWriter) Discard() error {
	w.file.Close()
	if err := os.Remove(w.file.Name()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// SyncDir makes what was renamed in a directory durable.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
