package commp

import "errors"

const (
	// NodeSize is the bytes of a node of the tree.
	NodeSize = nodeSize
	// RowLevel is the level of the nodes in a row, leaves being at 0; MaxLevel is the root's of the largest piece.
	RowLevel = chunkLevel
	MaxLevel = maxLevel
)

// KeepRow makes the writer keep a row of the tree, 8 MiB for the largest piece, from which proofs are made. It comes
// before the first byte.
func (w *Writer) KeepRow() error {
	if w.raw > 0 || w.settled {
		return errors.New("commp: a row is kept from the first byte on")
	}
	w.keepRow = true
	return nil
}

// Row is the nodes at RowLevel that KeepRow kept, of whole subtrees: what is right of the payload counts as zeros, also
// where the piece is smaller than that. It is complete after Digest.
func (w *Writer) Row() []byte {
	flat := make([]byte, 0, len(w.row)*nodeSize)
	for _, n := range w.row {
		flat = append(flat, n[:]...)
	}
	return flat
}

// HashPairs writes the parents of the len(src)/64 pairs of nodes in src to dst, which may begin where src does.
func HashPairs(dst, src []byte) { hashPairs(dst, src) }

// Zeros is the root of a subtree of zeros, at a level below MaxLevel.
func Zeros(level int) []byte { return zeros[level][:] }

// raise joins a chunk's root with zeros up to the level of a whole chunk.
func raise(root node, level int) node {
	for ; level < chunkLevel; level++ {
		root = parent(root, zeros[level])
	}
	return root
}
