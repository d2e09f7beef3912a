package ledger

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/voucher"
)

func TestWrongOperationIsRefusedByNumberAndReason(t *testing.T) {
	held := leaseOf(2).paid(500, 50)
	good := claimed(t, testDomain, 2, leaseOf(2).paid(501, 51))
	above := leaseOf(2)
	above.Amount = new(big.Int).Add(above.Deposit, big.NewInt(1))
	for reason, wrong := range map[string]Operation{
		"neither inserts":             {Leaf: held},
		"is taken":                    inserted(leaseOf(2)),
		"no leaf at index 3":          closed(leaseOf(3)),
		"another lease id":            with(good, func(o *Operation) { o.LeaseID = wordOf(1) }),
		"not below 2^20":              with(good, func(o *Operation) { o.Index = 1 << Depth }),
		"lease id is not below":       with(good, func(o *Operation) { o.LeaseID = parseWord("-1") }),
		"deposit is not below":        with(good, func(o *Operation) { o.Deposit = new(big.Int).Lsh(big.NewInt(1), 96) }),
		"amount is not below":         with(good, func(o *Operation) { o.Amount = big.NewInt(-1) }),
		"above the deposit":           claimed(t, testDomain, 2, above),
		"is below the 500":            claimed(t, testDomain, 2, leaseOf(2).paid(499, 51)),
		"49 seconds are below":        claimed(t, testDomain, 2, leaseOf(2).paid(501, 49)),
		"without a claim":             closed(leaseOf(2).paid(501, 50)),
		"signature without a claim":   with(good, func(o *Operation) { o.Claim, o.Close, o.Leaf = false, true, held }),
		"signature does not hold":     claimed(t, wordOf(1), 2, leaseOf(2).paid(501, 51)),
		"not a point of the prime":    with(good, func(o *Operation) { o.Insert, o.Index, o.Key = true, 9, voucher.Key{X: wordOf(1)} }),
		"signature does not hold for": with(good, func(o *Operation) { o.Signature = nil }),
	} {
		_, err := Apply(testDomain, []Leaf{leaseOf(1), held}, []Operation{inserted(leaseOf(5)), wrong})
		var refusal Refused
		if !errors.As(err, &refusal) || !strings.HasPrefix(err.Error(), "operation 1: ") || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestBatchesOfTheWrongSizeAreRefused(t *testing.T) {
	for _, n := range []int{0, Batch + 1} {
		if _, err := Apply(testDomain, nil, make([]Operation, n)); err == nil {
			t.Errorf("%d operations were taken", n)
		}
	}
}

func TestLeavesThatCannotStandTogetherAreRefused(t *testing.T) {
	for _, leaves := range [][]Leaf{
		{leaseOf(1), leaseOf(1)},
		{{Index: 1 << Depth}},
		{{Deposit: big.NewInt(1), Amount: big.NewInt(2)}},
	} {
		if _, err := RootOf(leaves); err == nil {
			t.Errorf("%v were taken", leaves)
		}
	}
}

// The tree is held to the plainest way to compute its root.
func TestTreeGivesTheRootThatItsPathsLeadTo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	leaves := map[uint32]fr.Element{}
	for range 50 {
		leaves[random.Uint32N(1<<Depth)] = wordOf(random.Uint64())
	}
	tree := NewTree(nil)
	for index, leaf := range leaves {
		tree.Set(index, leaf)
	}
	if tree.Root() != NewTree(leaves).Root() {
		t.Fatal("setting leaves one by one and building at once differ")
	}
	for index, leaf := range leaves {
		node := leaf
		for height, sibling := range tree.Path(index) {
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

func TestPublicInputsBindEveryWord(t *testing.T) {
	words := fullBatch(t).Words
	honest := Compress(words)
	one := wordOf(1)
	for i := range words {
		changed := words
		changed[i].Add(&changed[i], &one)
		if other := Compress(changed); other.C == honest.C || other.R == honest.R || other.E == honest.E {
			t.Errorf("word %d is not bound", i)
		}
	}
}
