package commp

// maxLevel is the root's of the largest piece: 64 GiB of nodes of 32 bytes.
const maxLevel = 31

// zeros are the roots of subtrees of zeros, by level.
var zeros = zeroRoots()

func zeroRoots() (roots [maxLevel]node) {
	for level := 1; level < maxLevel; level++ {
		var pair [pairSize]byte
		copy(pair[:], roots[level-1][:])
		copy(pair[nodeSize:], roots[level-1][:])
		hashPairsPortable(roots[level][:], pair[:])
	}
	return roots
}

// subtree hashes the nodes in chunk, of whole quads, to one, and says at which level it stands. A level that is odd gets a
// subtree of zeros. It overwrites chunk, whose capacity is a whole subtree's.
func subtree(chunk []byte) (root node, level int) {
	for len(chunk) > nodeSize {
		if len(chunk)%pairSize != 0 {
			chunk = append(chunk, zeros[level][:]...)
		}
		hashPairs(chunk, chunk)
		chunk = chunk[:len(chunk)/2]
		level++
	}
	return node(chunk), level
}

// A tree joins subtrees, which come from left to right, of equal level but for the last. The leftmost is given at the
// end: what it is joined with waits beside the spine, the way from it to the root.
type tree struct {
	spine   int            // the level that the spine has reached
	beside  [maxLevel]node // by level, below spine: what stands to the right of the spine
	waiting [maxLevel]node // by level: a left sibling without its right one
	waits   [maxLevel]bool
}

func (t *tree) add(n node, level int) {
	for ; level != t.spine; level++ {
		if !t.waits[level] {
			t.waiting[level], t.waits[level] = n, true
			return
		}
		n, t.waits[level] = parent(t.waiting[level], n), false
	}
	t.beside[level] = n
	t.spine++
}

// root joins everything, with zeros to the right, and says at which level the root stands. A chunk that is alone, which may
// be lower than chunkLevel, is the root itself.
func (t *tree) root(leftmost node, level int) (node, int) {
	if right, ok := t.rest(); ok {
		t.beside[t.spine] = right
		t.spine++
	}
	for ; level >= chunkLevel && level < t.spine; level++ {
		leftmost = parent(leftmost, t.beside[level])
	}
	return leftmost, level
}

// rest is the subtree at the spine's level of all that waits, if anything does.
func (t *tree) rest() (n node, ok bool) {
	for level := range t.spine {
		switch {
		case t.waits[level] && ok:
			n = parent(t.waiting[level], n)
		case t.waits[level]:
			n, ok = parent(t.waiting[level], zeros[level]), true
		case ok:
			n = parent(n, zeros[level])
		}
	}
	return n, ok
}
