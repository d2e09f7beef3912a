package unixfs_test

import (
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
)

func TestEveryNodeOfTheDAGIsFoundByItsCID(t *testing.T) {
	d := &dag{t: t}
	leaf := d.raw("leaf")
	part := d.file("", []uint64{4}, link("", leaf))
	file := d.file("", []uint64{4, 4}, link("", part), link("", part))
	nodes := []cid.Cid{part, file, d.file("own data", nil), d.symlink("file")}
	root := d.dir(link("again", file), link("data", nodes[2]), link("file", file), link("link", nodes[3]))
	src, tree, err := d.open(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range append(nodes, root) {
		at, ok := tree.Block(id)
		if !ok {
			t.Errorf("%s: not found", id)
			continue
		}
		data := src[at.Offset : at.Offset+int64(at.Size)]
		if sum, err := id.Prefix().Sum(data); err != nil || !sum.Equals(id) {
			t.Errorf("%s: other bytes at %d", id, at.Offset)
		}
	}
	for _, id := range []cid.Cid{leaf, merkledag.NodeWithData([]byte("elsewhere")).Cid()} {
		if _, ok := tree.Block(id); ok {
			t.Errorf("%s: found", id)
		}
	}
}
