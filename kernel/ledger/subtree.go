package ledger

import "github.com/consensys/gnark-crypto/ecc/bn254/fr"

const (
	// SubtreeHeight is the height of the aligned subtrees in which a large tree is given: a window lies within one.
	SubtreeHeight = 12
	// Subtrees is the number of subtrees of a tree.
	Subtrees = 1 << (Depth - SubtreeHeight)
)

// Subtree stands for all leaves of one subtree: those from Number·2^SubtreeHeight on.
type Subtree struct {
	Number uint32
	Hash   fr.Element
}

// SubtreeOf hashes one subtree that holds exactly these leaves, on all cores.
func SubtreeOf(number uint32, leaves []Leaf) (fr.Element, error) {
	switch {
	case number >= Subtrees:
		return fr.Element{}, refusef("subtree %d is not below %d", number, Subtrees)
	case len(leaves) > 1<<SubtreeHeight:
		return fr.Element{}, refusef("a subtree has at most 2^%d leaves", SubtreeHeight)
	}
	for i, leaf := range leaves {
		if subtreeAt(leaf.Index) != number {
			return fr.Element{}, refusef("leaf %d: index %d is not in subtree %d", i, leaf.Index, number)
		}
	}
	_, tree, err := plant(leaves)
	if err != nil {
		return fr.Element{}, err
	}
	return tree.node(SubtreeHeight, number), nil
}

// subtreeAt is the number of the subtree that an index lies in.
func subtreeAt(index uint32) uint32 { return index >> SubtreeHeight }

// hashesOf checks that the subtrees can stand in one tree. An empty one is not given: then a tree is told in one way only.
func hashesOf(subtrees []Subtree) (map[uint32]fr.Element, error) {
	if len(subtrees) > Subtrees {
		return nil, refusef("a ledger has at most %d subtrees", Subtrees)
	}
	hashes := make(map[uint32]fr.Element, len(subtrees))
	for i, subtree := range subtrees {
		switch {
		case subtree.Number >= Subtrees:
			return nil, refusef("subtree %d: number %d is not below %d", i, subtree.Number, Subtrees)
		case has(hashes, subtree.Number):
			return nil, refusef("subtree %d: number %d was given before", i, subtree.Number)
		case subtree.Hash == empty[SubtreeHeight]:
			return nil, refusef("subtree %d: number %d is empty: leave it out", i, subtree.Number)
		}
		hashes[subtree.Number] = subtree.Hash
	}
	return hashes, nil
}
