package unixfs

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
)

// A place is where a dag-pb block lies in the source, in 48 bytes.
type place struct {
	digest [32]byte
	offset int64
	size   uint32
	hash   hashFunc
}

func (p place) compare(q place) int {
	return cmp.Or(bytes.Compare(p.digest[:], q.digest[:]), cmp.Compare(p.hash, q.hash))
}

// Block finds a dag-pb block that the tree was built from: nodes of directories and shards, and of files. Blocks that
// are raw or an identity CID it doesn't know.
func (t *Tree) Block(c cid.Cid) (piece.Block, bool) {
	id, err := parseID(c)
	if err != nil || !id.dagpb || id.hash == identity {
		return piece.Block{}, false
	}
	i, ok := slices.BinarySearchFunc(t.nodes, place{digest: id.digest, hash: id.hash}, place.compare)
	if !ok {
		return piece.Block{}, false
	}
	return piece.Block{Offset: t.nodes[i].offset, Size: t.nodes[i].size}, true
}

// sortNodes makes them ready for Block, each once.
func (t *Tree) sortNodes() {
	slices.SortFunc(t.nodes, place.compare)
	t.nodes = slices.Clip(slices.CompactFunc(t.nodes, func(p, q place) bool { return p.compare(q) == 0 }))
}

// number gives each entry its number: a directory's entries follow each other, and directories come in the order of
// their own numbers, so that a tree which is built anew, or stored and loaded, has the same.
func (t *Tree) number() {
	level := []*Entry{t.Root}
	t.Count = 0
	for len(level) > 0 {
		var below []*Entry
		for _, e := range level {
			t.Count++
			e.Number = t.Count
			below = append(below, e.Entries...)
		}
		level = below
	}
}
