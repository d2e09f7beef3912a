package ledger

import (
	"math/big"
	"runtime"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/lanes"
	"github.com/shale-cloud/shale/kernel/voucher"
)

// Operation moves one lease's leaf to the values that it carries.
type Operation struct {
	Leaf
	Insert    bool // open the leaf in an empty place
	Claim     bool // redeem the voucher that Signature is over
	Close     bool // empty the place after it
	Signature []byte
}

func (o Operation) flags() int {
	flags := 0
	if o.Insert {
		flags |= flagInsert
	}
	if o.Claim {
		flags |= flagClaim
	}
	if o.Close {
		flags |= flagClose
	}
	return flags
}

// step is an operation together with the leaf that it found. The zero value is an untouched slot.
type step struct {
	Operation
	prevAmount  *big.Int
	prevSeconds uint64
	kept        fr.Element        // of an untouched slot
	signature   voucher.Signature // zero without claim
}

// Transition is a checked batch: every operation holds, and the circuit can be satisfied with it.
type Transition struct {
	Size    int
	Window  uint32
	Domain  fr.Element
	OldRoot fr.Element
	NewRoot fr.Element
	Earned  *big.Int
	Words   []fr.Element
	Inputs  Inputs
	path    []fr.Element
	steps   []step // one for each slot
}

// RootOf is the root of the tree that holds exactly these leaves, and those that the subtrees stand for.
func RootOf(leaves []Leaf, subtrees ...Subtree) (fr.Element, error) {
	_, tree, err := plant(leaves, subtrees...)
	if err != nil {
		return fr.Element{}, err
	}
	return tree.Root(), nil
}

// Apply checks operations, at most one for each slot of the window, against the ledger that holds exactly these leaves
// and those that the subtrees stand for, none of which is the window's, and returns the transition. The error is a Refused
// that names the operation, counted from zero, and what is wrong.
func Apply(domain fr.Element, size int, window uint32, leaves []Leaf, operations []Operation, subtrees ...Subtree) (*Transition, error) {
	switch {
	case !IsSize(size):
		return nil, refusef("there are no batches of %d slots: the sizes are %v", size, Sizes)
	case window >= uint32(1<<Depth/size):
		return nil, refusef("window %d is not below %d", window, 1<<Depth/size)
	case len(operations) == 0:
		return nil, Refused("a batch has at least one operation")
	case len(operations) > size:
		return nil, refusef("a batch of size %d has at most as many operations, not %d", size, len(operations))
	}
	held, tree, err := plant(leaves, subtrees...)
	if err != nil {
		return nil, err
	}
	first := window * uint32(size)
	for _, subtree := range subtrees {
		if subtree.Number == subtreeAt(first) {
			return nil, refusef("window %d lies in subtree %d: its leaves are needed, not its hash", window, subtree.Number)
		}
	}
	steps := make([]step, size)
	for i, operation := range operations {
		if operation.Index < first || operation.Index >= first+uint32(size) {
			return nil, refusef("operation %d: index %d is not in the window, %d to %d", i, operation.Index, first, first+uint32(size)-1)
		}
		slot := &steps[operation.Index-first]
		if slot.flags() != 0 {
			return nil, refusef("operation %d: index %d has an operation already", i, operation.Index)
		}
		if *slot, err = check(domain, held, operation); err != nil {
			return nil, refusef("operation %d: %v", i, err)
		}
	}
	return assemble(domain, window, tree, steps), nil
}

// assemble writes the steps into the tree and packs them. It checks nothing.
func assemble(domain fr.Element, window uint32, tree *Tree, steps []step) *Transition {
	t := &Transition{Size: len(steps), Window: window, Domain: domain, OldRoot: tree.Root(), Earned: new(big.Int), steps: steps}
	t.path = tree.Path(heightOf(t.Size), window)
	for i := range steps {
		s := &steps[i]
		index := window*uint32(t.Size) + uint32(i)
		switch {
		case s.flags() == 0:
			s.kept = tree.Leaf(index)
			continue
		case s.Close:
			tree.Set(index, fr.Element{})
		default:
			tree.Set(index, s.Leaf.Hash())
		}
		t.Earned.Add(t.Earned, amountOf(s.Amount)).Sub(t.Earned, amountOf(s.prevAmount))
	}
	t.NewRoot = tree.Root()
	t.pack()
	return t
}

// pack computes the words and what they are compressed to.
func (t *Transition) pack() {
	fourth := new(big.Int).Lsh(t.Earned, earnedShift)
	t.Words = []fr.Element{t.Domain, t.OldRoot, t.NewRoot, word(fourth.Add(fourth, big.NewInt(int64(t.Window))))}
	leaves, flags := make([]fr.Element, t.Size), make([]int, t.Size)
	for i, s := range t.steps {
		packed := s.words()
		t.Words = append(t.Words, packed[:]...)
		leaves[i], flags[i] = s.Leaf.Hash(), s.flags()
	}
	t.Inputs = compress(t.Words, leaves, flags)
}

// plant checks that the leaves and subtrees can stand together, and builds their tree.
func plant(leaves []Leaf, subtrees ...Subtree) (map[uint32]Leaf, *Tree, error) {
	if len(leaves) > 1<<Depth {
		return nil, nil, refusef("a ledger has at most 2^%d leaves", Depth)
	}
	given, err := hashesOf(subtrees)
	if err != nil {
		return nil, nil, err
	}
	held := make(map[uint32]Leaf, len(leaves))
	for i, leaf := range leaves {
		if err := leaf.check(); err != nil {
			return nil, nil, refusef("leaf %d: %v", i, err)
		}
		if _, ok := held[leaf.Index]; ok {
			return nil, nil, refusef("leaf %d: index %d is taken by an earlier leaf", i, leaf.Index)
		}
		if number := subtreeAt(leaf.Index); has(given, number) {
			return nil, nil, refusef("leaf %d: index %d lies in subtree %d, which is given by its hash", i, leaf.Index, number)
		}
		held[leaf.Index] = leaf
	}
	hashes := make([]fr.Element, len(leaves))
	lanes.InParallel(len(leaves), runtime.GOMAXPROCS(0), func(from, to int) {
		for i := from; i < to; i++ {
			hashes[i] = leaves[i].Hash()
		}
	})
	byIndex := make(map[uint32]fr.Element, len(leaves))
	for i, leaf := range leaves {
		byIndex[leaf.Index] = hashes[i]
	}
	return held, NewTree(byIndex, given), nil
}

// check holds one operation against the leaf that it updates, rule by rule as the circuit does.
func check(domain fr.Element, held map[uint32]Leaf, operation Operation) (step, error) {
	s := step{Operation: operation}
	if operation.flags() == 0 {
		return step{}, Refused("it neither inserts nor claims nor closes")
	}
	if err := operation.Leaf.check(); err != nil {
		return step{}, err
	}
	previous, taken := held[operation.Index]
	switch {
	case operation.Insert && taken:
		return step{}, refusef("index %d is taken: insert at an empty one", operation.Index)
	case !operation.Insert && !taken:
		return step{}, refusef("no leaf at index %d: insert it first", operation.Index)
	case !operation.Insert && (previous.LeaseID != operation.LeaseID || previous.Key != operation.Key):
		return step{}, refusef("the leaf at index %d has another lease id or key", operation.Index)
	}
	if !operation.Insert {
		s.prevAmount, s.prevSeconds = amountOf(previous.Amount), previous.Seconds
	}
	return s.checkPayment(domain)
}

func (s step) checkPayment(domain fr.Element) (step, error) {
	moved := amountOf(s.Amount).Cmp(amountOf(s.prevAmount))
	if !s.Claim {
		if moved != 0 || s.Seconds != s.prevSeconds {
			return step{}, refusef("amount and seconds move from %v and %d without a claim", amountOf(s.prevAmount), s.prevSeconds)
		}
		if len(s.Signature) != 0 {
			return step{}, Refused("a signature without a claim")
		}
		return s, nil
	}
	if moved < 0 {
		return step{}, refusef("the amount %v is below the %v that is redeemed already", s.Amount, s.prevAmount)
	}
	if s.Seconds < s.prevSeconds {
		return step{}, refusef("the %d seconds are below the %d that are redeemed already", s.Seconds, s.prevSeconds)
	}
	if !s.Key.Valid() {
		return step{}, Refused("the payment key is not a point of the prime-order subgroup")
	}
	if !voucher.Verify(s.Key, s.voucher(domain), s.Signature) {
		return step{}, Refused("the signature does not hold for this domain, lease, amount and seconds")
	}
	s.signature, _ = voucher.Parse(s.Signature)
	return s, nil
}
