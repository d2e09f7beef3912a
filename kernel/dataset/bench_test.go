package dataset

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
	"github.com/multiformats/go-varint"

	"github.com/shale-cloud/shale/kernel/piece/piecetest"
)

// sparseCAR is the CAR of one large file whose leaves are holes, which an index never looks into: a dataset of any size
// in little disk. Nodes have 1024 links.
func sparseCAR(t testing.TB, path string, leaves int, leafSize int64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// The placeholder of the header is as long as the root.
	write := func(at int64, data []byte) int64 {
		if _, err := file.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
		return at + int64(len(data))
	}
	section := func(id cid.Cid, size int64) []byte {
		return append(varint.ToUvarint(uint64(int64(id.ByteLen())+size)), id.Bytes()...)
	}
	placeholder := piecetest.CAR(t, []cid.Cid{cid.NewCidV1(cid.DagProtobuf, digest(t, 0))})
	at := int64(len(placeholder))
	level := make([]*format.Link, 0, leaves)
	sizes := make([]uint64, 0, leaves)
	for i := range leaves {
		id := cid.NewCidV1(cid.Raw, digest(t, uint64(i+1)))
		at = write(at, section(id, leafSize)) + leafSize
		level, sizes = append(level, &format.Link{Cid: id, Size: uint64(leafSize)}), append(sizes, uint64(leafSize))
	}
	for len(level) > 1 {
		var above []*format.Link
		var total []uint64
		for len(level) > 0 {
			n := min(1024, len(level))
			fs := ft.NewFSNode(ft.TFile)
			for _, size := range sizes[:n] {
				fs.AddBlockSize(size)
			}
			data, err := fs.GetBytes()
			if err != nil {
				t.Fatal(err)
			}
			node := merkledag.NodeWithData(data)
			if err := node.SetCidBuilder(merkledag.V1CidPrefix()); err != nil {
				t.Fatal(err)
			}
			for _, link := range level[:n] {
				if err := node.AddRawLink("", link); err != nil {
					t.Fatal(err)
				}
			}
			at = write(write(at, section(node.Cid(), int64(len(node.RawData())))), node.RawData())
			above, total = append(above, &format.Link{Cid: node.Cid(), Size: 1}), append(total, fs.FileSize())
			level, sizes = level[n:], sizes[n:]
		}
		level, sizes = above, total
	}
	write(0, piecetest.CAR(t, []cid.Cid{level[0].Cid}))
	if err := file.Truncate(at); err != nil {
		t.Fatal(err)
	}
}

// digest is one that no other number has.
func digest(t testing.TB, n uint64) multihash.Multihash {
	mh, err := multihash.Encode(binary.LittleEndian.AppendUint64(make([]byte, 24), n), multihash.SHA2_256)
	if err != nil {
		t.Fatal(err)
	}
	return mh
}

// BenchmarkIndex walks a CAR of 1 MiB leaves and builds its tree, without its commitment; in GiB of the CAR.
func BenchmarkIndex(b *testing.B) {
	for _, gib := range []int{4, 32} {
		b.Run(fmt.Sprintf("%dGiB", gib), func(b *testing.B) {
			car := filepath.Join(b.TempDir(), "sparse.car")
			sparseCAR(b, car, gib<<10, 1<<20)
			b.SetBytes(int64(gib) << 30)
			for b.Loop() {
				if _, err := Build(b.Context(), []string{car}, "", car+".index", Options{NoCommitment: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoad opens a dataset of a million leaves from its index.
func BenchmarkLoad(b *testing.B) {
	car := filepath.Join(b.TempDir(), "sparse.car")
	if kept := os.Getenv("SHALE_BENCH_CAR"); kept != "" {
		car = kept // to mount it afterwards
	}
	sparseCAR(b, car, 1<<20, 64)
	if _, err := Build(b.Context(), []string{car}, "", car+".index", Options{NoCommitment: true}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, err := Open([]string{car}, "", car+".index")
		if err != nil || d.Record == nil {
			b.Fatal(err, d.Unusable)
		}
		d.Close()
	}
}
