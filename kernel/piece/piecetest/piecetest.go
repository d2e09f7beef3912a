// Package piecetest makes sources and CARs for tests, sound ones and others.
package piecetest

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	"github.com/ipld/go-car/v2/storage"
)

// A Source is bytes in memory. Tests may change them under its reader.
type Source []byte

func (s Source) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(s).ReadAt(p, off) }
func (s Source) Size() int64                             { return int64(len(s)) }
func (s Source) Name() string                            { return "test.car" }
func (s Source) Close() error                            { return nil }

// A Block is what a CAR's section holds. Nobody checks that they belong together.
type Block struct {
	CID  cid.Cid
	Data []byte
}

// CAR is a CARv1 of these blocks.
func CAR(t testing.TB, roots []cid.Cid, blocks ...Block) Source {
	t.Helper()
	var out bytes.Buffer
	w, err := storage.NewWritable(struct{ io.Writer }{&out}, roots, car.WriteAsCarV1(true), car.AllowDuplicatePuts(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := w.Put(context.Background(), b.CID.KeyString(), b.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finalize(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Raw is a raw block with its right CID.
func Raw(t testing.TB, data []byte, hash uint64) Block {
	t.Helper()
	id, err := cid.V1Builder{Codec: cid.Raw, MhType: hash}.Sum(data)
	if err != nil {
		t.Fatal(err)
	}
	return Block{id, data}
}
