package piece

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
)

// A Block is where a block's data lies in its source.
type Block struct {
	Offset int64
	Size   uint32
	// Ordinal numbers the index's blocks from 0, for tables beside it. Only Find sets it.
	Ordinal int
}

// An Index finds the blocks of a dataset's pieces by multihash, in 24 bytes a block.
type Index struct {
	// Roots are those that the CARs' headers name, each once; they need not be in them.
	Roots []cid.Cid
	// CARs are the pieces, in their order.
	CARs    []Scanned
	seed    maphash.Seed
	entries []entry
}

// An entry's key is a keyed 64-bit hash of the multihash: who writes a CAR cannot aim for a collision, and a chance
// one yields a block whose verification fails.
type entry struct {
	key    uint64
	offset int64
	size   uint32
}

func newIndex() *Index { return &Index{seed: maphash.MakeSeed()} }

func (x *Index) key(id cid.Cid) uint64 { return maphash.Bytes(x.seed, id.Hash()) }

func (x *Index) add(id cid.Cid, b Block) {
	x.entries = append(x.entries, entry{x.key(id), b.Offset, b.Size})
}

// A Scanned is what was seen of one CAR.
type Scanned struct {
	Header
	Blocks int
}

// finish sorts the index and drops repeated blocks, keeping the first of each.
func (x *Index) finish() *Index {
	slices.SortFunc(x.entries, func(a, b entry) int {
		switch {
		case a.key < b.key, a.key == b.key && a.offset < b.offset:
			return -1
		case a.key == b.key && a.offset == b.offset:
			return 0
		}
		return 1
	})
	x.entries = slices.CompactFunc(x.entries, func(a, b entry) bool { return a.key == b.key })
	slices.SortFunc(x.Roots, func(a, b cid.Cid) int { return strings.Compare(a.KeyString(), b.KeyString()) })
	x.Roots = slices.Compact(x.Roots)
	return x
}

// Len is the number of blocks.
func (x *Index) Len() int { return len(x.entries) }

// Find returns where the block of id lies.
func (x *Index) Find(id cid.Cid) (Block, bool) {
	key := x.key(id)
	i, ok := slices.BinarySearchFunc(x.entries, key, func(e entry, key uint64) int {
		switch {
		case e.key < key:
			return -1
		case e.key > key:
			return 1
		}
		return 0
	})
	if !ok {
		return Block{}, false
	}
	return Block{x.entries[i].offset, x.entries[i].size, i}, true
}
