package unixfs

import (
	"bytes"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
)

// A Gap is a part of a file that no piece of the dataset holds.
type Gap struct {
	Path   string
	Offset int64 // in the file
	CID    cid.Cid
	entry  *Entry
}

// Gaps finds the first gap of the tree, if it has any, and counts the files that have one.
func (t *Tree) Gaps() (first *Gap, files int) {
	look := func(e *Entry) error {
		for _, x := range e.extents {
			if leaf := &t.leaves[x.leaf]; leaf.offset == missing {
				if first == nil {
					first = &Gap{e.Path(), x.at, leaf.cid(), e}
				}
				files++
				break
			}
		}
		return nil
	}
	_ = look(t.Root)
	_ = t.Walk(look)
	return first, files
}

// Holder finds the block that links to what is missing: of the file, or of the directory if the file is a single leaf. It
// reads the file's nodes once.
func (t *Tree) Holder(src piece.Source, gap *Gap) (holder cid.Cid, at piece.Block, ok bool) {
	top := gap.entry
	if bytes.Equal(top.CID.Hash(), gap.CID.Hash()) && top.Parent != nil {
		top = top.Parent
	}
	below := []cid.Cid{top.CID}
	seen := map[string]bool{}
	for len(below) > 0 {
		id := below[0]
		below = below[1:]
		block, stored := t.Block(id)
		if !stored || seen[id.KeyString()] {
			continue
		}
		seen[id.KeyString()] = true
		raw := make([]byte, block.Size)
		if n, _ := src.ReadAt(raw, block.Offset); n < len(raw) {
			continue
		}
		node, err := merkledag.DecodeProtobuf(raw)
		if err != nil {
			continue
		}
		for _, link := range node.Links() {
			// A block is linked to by any version of its CID.
			if bytes.Equal(link.Cid.Hash(), gap.CID.Hash()) {
				return id, block, true
			}
			below = append(below, link.Cid)
		}
	}
	return cid.Undef, at, false
}
