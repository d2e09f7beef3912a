package ledger

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/voucher"
)

func TestWrongOperationIsRefusedByNumberAndReason(t *testing.T) {
	held := leaseOf(2).paid(500, 50)
	good := claimed(t, testDomain, 2, leaseOf(2).paid(501, 51))
	for reason, wrong := range map[string]Operation{
		"neither inserts":              {Leaf: held},
		"is taken":                     inserted(leaseOf(2)),
		"no leaf at index 3":           closed(leaseOf(3)),
		"another lease id or key":      with(good, func(o *Operation) { o.LeaseID = wordOf(1) }),
		"lease id is not below":        with(good, func(o *Operation) { o.LeaseID = parseWord("-1") }),
		"amount is not below":          with(good, func(o *Operation) { o.Amount = big.NewInt(-1) }),
		"is below the 500":             claimed(t, testDomain, 2, leaseOf(2).paid(499, 51)),
		"49 seconds are below":         claimed(t, testDomain, 2, leaseOf(2).paid(501, 49)),
		"without a claim":              closed(leaseOf(2).paid(501, 50)),
		"signature without a claim":    with(good, func(o *Operation) { o.Claim, o.Close, o.Leaf = false, true, held }),
		"signature does not hold":      claimed(t, wordOf(1), 2, leaseOf(2).paid(501, 51)),
		"not a point of the prime":     with(good, func(o *Operation) { o.Insert, o.Index, o.Key = true, 7, voucher.Key{X: wordOf(1)} }),
		"signature does not hold for":  with(good, func(o *Operation) { o.Signature = nil }),
		"is not in the window, 0 to 7": with(good, func(o *Operation) { o.Index = 8 }),
		"has an operation already":     inserted(leaseOf(5)),
	} {
		_, err := Apply(testDomain, 8, 0, []Leaf{leaseOf(1), held}, []Operation{inserted(leaseOf(5)), wrong})
		var refusal Refused
		if !errors.As(err, &refusal) || !strings.HasPrefix(err.Error(), "operation 1: ") || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestBatchesOfTheWrongSizeOrWindowAreRefused(t *testing.T) {
	for _, wrong := range []struct {
		size, operations int
		window           uint32
	}{{8, 0, 0}, {8, 9, 0}, {1, 2, 0}, {0, 1, 0}, {2, 1, 0}, {-8, 1, 0}, {512, 1, 0}, {8, 1, 1 << 17}, {1, 1, 1 << 20}, {256, 1, 1 << 12}} {
		if _, err := Apply(testDomain, wrong.size, wrong.window, nil, make([]Operation, wrong.operations)); err == nil {
			t.Errorf("%v were taken", wrong)
		}
	}
}

func TestLeavesThatCannotStandTogetherAreRefused(t *testing.T) {
	for _, leaves := range [][]Leaf{
		{leaseOf(1), leaseOf(1)},
		{{Index: 1 << Depth}},
		{{Amount: new(big.Int).Lsh(big.NewInt(1), voucher.AmountBits)}},
	} {
		if _, err := RootOf(leaves); err == nil {
			t.Errorf("%v were taken", leaves)
		}
	}
}

func TestBatchEarnsWhatItMovesAndLeavesTheRestAlone(t *testing.T) {
	leaves := []Leaf{leaseOf(0).paid(7, 7), leaseOf(1), leaseOf(2).paid(500, 50), leaseOf(9)}
	transition := applied(t, leaves,
		claimed(t, testDomain, 2, leaseOf(2).paid(600, 50)),
		closed(leaseOf(1)),
		with(claimed(t, testDomain, 4, leaseOf(4).paid(23, 1)), func(o *Operation) { o.Insert = true }),
	)
	left, err := RootOf([]Leaf{leaseOf(0).paid(7, 7), leaseOf(2).paid(600, 50), leaseOf(4).paid(23, 1), leaseOf(9)})
	if err != nil {
		t.Fatal(err)
	}
	if transition.Earned.Int64() != 123 || transition.NewRoot != left {
		t.Fatalf("earned %v", transition.Earned)
	}
}

// The tree is held to the plainest way to compute its root.
func TestTreeGivesTheRootThatItsPathsLeadTo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	leaves := map[uint32]fr.Element{}
	for range 50 {
		leaves[random.Uint32N(1<<Depth)] = wordOf(random.Uint64())
	}
	tree := NewTree(nil, nil)
	for index, leaf := range leaves {
		tree.Set(index, leaf)
	}
	if tree.Root() != NewTree(leaves, nil).Root() {
		t.Fatal("setting leaves one by one and building at once differ")
	}
	for index, leaf := range leaves {
		node := leaf
		for height, sibling := range tree.Path(0, index) {
			if index>>height&1 == 1 {
				node = voucher.Compress(sibling, node)
			} else {
				node = voucher.Compress(node, sibling)
			}
		}
		if node != tree.Root() {
			t.Fatalf("the path of leaf %d leads elsewhere", index)
		}
		tree.Set(index, fr.Element{})
		delete(leaves, index)
		break
	}
	for index := range leaves {
		tree.Set(index, fr.Element{})
	}
	if tree.Root() != EmptyRoot() {
		t.Fatal("a tree emptied is not the empty tree")
	}
}

func TestPublicInputsBindEveryWordAndEachOther(t *testing.T) {
	transition := applied(t, nil, inserted(leaseOf(0)), inserted(leaseOf(3)))
	honest := transition.Inputs
	one := wordOf(1)
	for i := range transition.Words {
		words := slices.Clone(transition.Words)
		words[i].Add(&words[i], &one)
		if other := inputsOf(words, honest.C); other.R == honest.R || other.E == honest.E {
			t.Errorf("word %d is not bound", i)
		}
	}
	var c fr.Element
	if other := inputsOf(transition.Words, *c.Add(&honest.C, &one)); other.R == honest.R {
		t.Error("r is not bound to c")
	}
}

// c binds what the words are made of: each change of a slot, or of flags alone, is another c.
func TestHashOfTheBatchBindsSlotsAndFlags(t *testing.T) {
	leaves := []fr.Element{wordOf(1), wordOf(2), wordOf(3)}
	words := []fr.Element{wordOf(4), wordOf(5), wordOf(6), wordOf(7)}
	honest := compress(words, leaves, []int{1, 0, 7}).C
	for i := range leaves {
		changed := slices.Clone(leaves)
		changed[i] = wordOf(9)
		if compress(words, changed, []int{1, 0, 7}).C == honest {
			t.Errorf("leaf %d is not bound", i)
		}
	}
	for _, flags := range [][]int{{0, 0, 7}, {1, 1, 7}, {1, 0, 6}, {0, 1, 7}} {
		if compress(words, leaves, flags).C == honest {
			t.Errorf("flags %v are not bound", flags)
		}
	}
	if n := len(packed(make([]int, 256))); n != 4 {
		t.Errorf("the flags of 256 slots take %d words", n)
	}
}
