package ledger

import (
	"runtime"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/lanes"
	"github.com/shale-cloud/shale/kernel/voucher"
)

// empty[h] is the root of a subtree of height h that holds zeros only.
var empty = func() (roots [Depth + 1]fr.Element) {
	for height := range Depth {
		roots[height+1] = voucher.Compress(roots[height], roots[height])
	}
	return roots
}()

// EmptyRoot is the root of a ledger without leases.
func EmptyRoot() fr.Element { return empty[Depth] }

// Tree is a sparse Merkle tree of leaf hashes, of depth Depth: it stores only the nodes above leaves that were set, and
// above subtrees that were given by their hashes. The leaves in those are unknown: they are neither read nor set.
type Tree struct {
	levels [Depth + 1]map[uint32]fr.Element // levels[0] are leaves
}

// NewTree builds a tree from leaf hashes by index, each index below 2^Depth, and from the hashes of subtrees, by number,
// in which none of these leaves lies.
func NewTree(leaves, subtrees map[uint32]fr.Element) *Tree {
	t := &Tree{}
	t.levels[0] = make(map[uint32]fr.Element, len(leaves))
	for index, leaf := range leaves {
		t.levels[0][index] = leaf
	}
	for height := range Depth {
		if height == SubtreeHeight {
			for number, hash := range subtrees {
				t.levels[height][number] = hash
			}
		}
		t.levels[height+1] = t.above(height)
	}
	return t
}

// above computes the nodes over those of a height, on all cores.
func (t *Tree) above(height int) map[uint32]fr.Element {
	nodes := make(map[uint32]fr.Element, len(t.levels[height]))
	parents := make([]uint32, 0, len(t.levels[height]))
	for index := range t.levels[height] {
		if parent := index / 2; !has(nodes, parent) {
			nodes[parent] = fr.Element{}
			parents = append(parents, parent)
		}
	}
	hashes := make([]fr.Element, len(parents))
	lanes.InParallel(len(parents), runtime.GOMAXPROCS(0), func(from, to int) {
		for i := from; i < to; i++ {
			hashes[i] = t.compress(height, parents[i])
		}
	})
	for i, parent := range parents {
		nodes[parent] = hashes[i]
	}
	return nodes
}

// Root is the tree's root.
func (t *Tree) Root() fr.Element { return t.node(Depth, 0) }

// Path returns the siblings from a node of a height, counted from the left, up to below the root.
func (t *Tree) Path(height int, index uint32) (siblings []fr.Element) {
	for ; height < Depth; height++ {
		siblings = append(siblings, t.node(height, index^1))
		index /= 2
	}
	return siblings
}

// Leaf is the leaf at an index, zero where none was set.
func (t *Tree) Leaf(index uint32) fr.Element { return t.node(0, index) }

// Set writes a leaf.
func (t *Tree) Set(index uint32, leaf fr.Element) {
	t.levels[0][index] = leaf
	for height := range Depth {
		index /= 2
		t.levels[height+1][index] = t.compress(height, index)
	}
}

func (t *Tree) node(height int, index uint32) fr.Element {
	if node, ok := t.levels[height][index]; ok {
		return node
	}
	return empty[height]
}

func (t *Tree) compress(height int, parent uint32) fr.Element {
	return voucher.Compress(t.node(height, 2*parent), t.node(height, 2*parent+1))
}

func has(level map[uint32]fr.Element, index uint32) bool {
	_, ok := level[index]
	return ok
}
