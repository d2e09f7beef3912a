package ledger

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

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

// step is an operation together with the tree that it found.
type step struct {
	Operation
	prevAmount  *big.Int
	prevSeconds uint64
	path        [Depth]fr.Element
	signature   voucher.Signature // zero without claim
}

// Transition is a checked batch: every operation holds, and the circuit can be satisfied with it.
type Transition struct {
	Domain  fr.Element
	OldRoot fr.Element
	NewRoot fr.Element
	Words   [Words]fr.Element
	Inputs  Inputs
	steps   [Batch]step // zero values are padding
}

// RootOf is the root of the tree that holds exactly these leaves.
func RootOf(leaves []Leaf) (fr.Element, error) {
	_, tree, err := plant(leaves)
	if err != nil {
		return fr.Element{}, err
	}
	return tree.Root(), nil
}

// Apply checks operations against the ledger that holds exactly these leaves, in order, and returns the transition.
// The error is a Refused that names the operation, counted from zero, and what is wrong with it.
func Apply(domain fr.Element, leaves []Leaf, operations []Operation) (*Transition, error) {
	if len(operations) == 0 {
		return nil, Refused("a batch has at least one operation")
	}
	if len(operations) > Batch {
		return nil, refusef("a batch has at most %d operations, not %d", Batch, len(operations))
	}
	held, tree, err := plant(leaves)
	if err != nil {
		return nil, err
	}
	t := &Transition{Domain: domain, OldRoot: tree.Root()}
	for i, operation := range operations {
		s, err := check(domain, held, operation)
		if err != nil {
			return nil, refusef("operation %d: %v", i, err)
		}
		s.path = tree.Path(s.Index)
		if s.Close {
			delete(held, s.Index)
			tree.Set(s.Index, fr.Element{})
		} else {
			held[s.Index] = s.Leaf
			tree.Set(s.Index, s.Leaf.Hash())
		}
		t.steps[i] = s
	}
	t.NewRoot = tree.Root()
	t.pack()
	return t, nil
}

func (t *Transition) pack() {
	t.Words[0], t.Words[1], t.Words[2] = t.Domain, t.OldRoot, t.NewRoot
	for i, s := range t.steps {
		packed := s.words()
		copy(t.Words[headWords+operationWords*i:], packed[:])
	}
	t.Inputs = Compress(t.Words)
}

func plant(leaves []Leaf) (map[uint32]Leaf, *Tree, error) {
	if len(leaves) > 1<<Depth {
		return nil, nil, refusef("a ledger has at most 2^%d leaves", Depth)
	}
	held := make(map[uint32]Leaf, len(leaves))
	hashes := make(map[uint32]fr.Element, len(leaves))
	for i, leaf := range leaves {
		if err := leaf.check(); err != nil {
			return nil, nil, refusef("leaf %d: %v", i, err)
		}
		if _, ok := held[leaf.Index]; ok {
			return nil, nil, refusef("leaf %d: index %d is taken by an earlier leaf", i, leaf.Index)
		}
		held[leaf.Index] = leaf
		hashes[leaf.Index] = leaf.Hash()
	}
	return held, NewTree(hashes), nil
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
	case !operation.Insert && (previous.LeaseID != operation.LeaseID || previous.Key != operation.Key ||
		amountOf(previous.Deposit).Cmp(amountOf(operation.Deposit)) != 0):
		return step{}, refusef("the leaf at index %d has another lease id, key or deposit", operation.Index)
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
	v := voucher.Voucher{Domain: domain, LeaseID: s.LeaseID, Amount: amountOf(s.Amount), Seconds: s.Seconds}
	if !voucher.Verify(s.Key, v, s.Signature) {
		return step{}, Refused("the signature does not hold for this domain, lease, amount and seconds")
	}
	s.signature, _ = voucher.Parse(s.Signature)
	return s, nil
}
