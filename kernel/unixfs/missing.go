package unixfs

import (
	"github.com/ipfs/go-cid"
)

// A Gap is a part of a file that no piece of the dataset holds.
type Gap struct {
	Path   string
	Offset int64 // in the file
	CID    cid.Cid
}

// Gaps finds the first gap of the tree, if it has any, and counts the files that have one.
func (t *Tree) Gaps() (first *Gap, files int) {
	look := func(e *Entry) error {
		for _, x := range e.extents {
			if leaf := &t.leaves[x.leaf]; leaf.offset == missing {
				if first == nil {
					first = &Gap{e.Path(), x.at, leaf.cid()}
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
