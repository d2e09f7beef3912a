package ledger

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// A sparse tree: crowds in some subtrees, lonely leaves in others, at their first and last places too.
func scattered(random *rand.Rand) (leaves []Leaf) {
	taken := map[uint32]bool{}
	put := func(index uint32) {
		if !taken[index] {
			taken[index] = true
			leaves = append(leaves, Leaf{Index: index, LeaseID: wordOf(random.Uint64()), Key: secretOf(0).Key()}.paid(random.Int64(), random.Uint64()))
		}
	}
	for range 1 + random.IntN(8) {
		first := random.Uint32N(Subtrees) << SubtreeHeight
		for range random.IntN(30) {
			put(first + random.Uint32N(1<<SubtreeHeight))
		}
		put(first)
		put(first + 1<<SubtreeHeight - 1)
	}
	random.Shuffle(len(leaves), func(i, j int) { leaves[i], leaves[j] = leaves[j], leaves[i] })
	return leaves
}

// split gives the leaves of one subtree, and the others by the hashes of their subtrees.
func split(t *testing.T, leaves []Leaf, kept uint32) (own []Leaf, others []Subtree) {
	t.Helper()
	parts := map[uint32][]Leaf{}
	for _, leaf := range leaves {
		parts[leaf.Index>>SubtreeHeight] = append(parts[leaf.Index>>SubtreeHeight], leaf)
	}
	for number, part := range parts {
		if number == kept {
			continue
		}
		hash, err := SubtreeOf(number, part)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, Subtree{number, hash})
	}
	return parts[kept], others
}

func TestRootBySubtreesIsThatOfTheWholeTree(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		leaves := scattered(random)
		hashes := map[uint32]fr.Element{}
		one := NewTree(nil, nil)
		for _, leaf := range leaves {
			one.Set(leaf.Index, leaf.Hash())
			hashes[leaf.Index] = leaf.Hash()
		}
		whole := one.Root()
		if NewTree(hashes, nil).Root() != whole {
			t.Fatal("the whole tree has two roots")
		}
		for _, kept := range []uint32{Subtrees, leaves[0].Index >> SubtreeHeight, random.Uint32N(Subtrees)} {
			own, others := split(t, leaves, kept)
			if root, err := RootOf(own, others...); err != nil || root != whole {
				t.Fatalf("%d leaves, %d of subtree %d: another root: %v", len(leaves), len(own), kept, err)
			}
		}
	}
	if root, err := RootOf(nil, []Subtree{}...); err != nil || root != EmptyRoot() {
		t.Fatal("the empty tree has another root")
	}
}

// What a proof is made of, the whole transition, is the same.
func TestTransitionBySubtreesIsThatOfTheWholeTree(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for round := range 20 {
		leaves := scattered(random)
		size := Sizes[round%len(Sizes)]
		at := leaves[random.IntN(len(leaves))]
		operations := []Operation{closed(at)}
		if fresh := at.Index ^ 1; size > 1 && !slices.ContainsFunc(leaves, func(leaf Leaf) bool { return leaf.Index == fresh }) {
			operations = append(operations, inserted(Leaf{Index: fresh, LeaseID: wordOf(1), Key: at.Key}))
		}
		window := at.Index / uint32(size)
		whole, err := Apply(testDomain, size, window, leaves, operations)
		if err != nil {
			t.Fatal(err)
		}
		own, others := split(t, leaves, at.Index>>SubtreeHeight)
		parted, err := Apply(testDomain, size, window, own, operations, others...)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(parted.path, whole.path) || !slices.Equal(parted.Words, whole.Words) || parted.Inputs != whole.Inputs {
			t.Fatalf("size %d, index %d: another transition", size, at.Index)
		}
		left := slices.DeleteFunc(slices.Clone(leaves), func(leaf Leaf) bool { return leaf.Index == at.Index })
		if len(operations) == 2 {
			left = append(left, operations[1].Leaf)
		}
		if root, err := RootOf(left); err != nil || root != parted.NewRoot {
			t.Fatalf("size %d, index %d: another new root: %v", size, at.Index, err)
		}
	}
}

func TestProofBySubtreesVerifies(t *testing.T) {
	prover := proverOf(t, 1)
	leaves := []Leaf{leaseOf(5), leaseOf(9000), leaseOf(1<<Depth - 1)}
	whole, err := RootOf(leaves)
	if err != nil {
		t.Fatal(err)
	}
	own, others := split(t, leaves, 9000>>SubtreeHeight)
	transition, err := Apply(testDomain, 1, 9000, own, []Operation{closed(leaseOf(9000))}, others...)
	if err != nil || transition.OldRoot != whole {
		t.Fatal("another root", err)
	}
	proven, err := prover.Prove(transition, nil)
	if err != nil || !prover.Verify(transition.Inputs, proven.Proof) {
		t.Fatal(err)
	}
}

func TestSubtreesThatCannotStandInATreeAreRefused(t *testing.T) {
	good, hash := leaseOf(5), wordOf(7)
	var many []Subtree
	for number := range uint32(Subtrees + 1) {
		many = append(many, Subtree{number, hash})
	}
	for reason, subtrees := range map[string][]Subtree{
		"number 3 was given before":      {{3, hash}, {3, hash}},
		"number 256 is not below 256":    {{Subtrees, hash}},
		"number 4294967295 is not below": {{1<<32 - 1, hash}},
		"number 3 is empty":              {{3, empty[SubtreeHeight]}},
		"index 5 lies in subtree 0":      {{3, hash}, {0, hash}},
		"at most 256 subtrees":           many,
	} {
		_, err := RootOf([]Leaf{good}, subtrees...)
		isRefused(t, err, reason)
		_, err = Apply(testDomain, 8, 0, []Leaf{good}, []Operation{closed(good)}, subtrees...)
		isRefused(t, err, reason)
	}
	_, err := Apply(testDomain, 256, 16, nil, []Operation{inserted(leaseOf(1 << SubtreeHeight))}, Subtree{1, hash})
	isRefused(t, err, "window 16 lies in subtree 1")
}

func TestSubtreeTakesItsOwnLeavesOnceOnly(t *testing.T) {
	hash, err := SubtreeOf(1, nil)
	if err != nil || hash != empty[SubtreeHeight] {
		t.Error("an empty subtree has another hash", err)
	}
	for reason, leaves := range map[string][]Leaf{
		"index 4095 is not in subtree 1": {leaseOf(4096), leaseOf(4095)},
		"index 8192 is not in subtree 1": {leaseOf(8192)},
		"index 4096 is taken":            {leaseOf(4096), leaseOf(4096)},
		"at most 2^12 leaves":            make([]Leaf, 4097),
		"lease id is not below":          {with(inserted(leaseOf(4096)), func(o *Operation) { o.LeaseID = parseWord("-1") }).Leaf},
	} {
		_, err := SubtreeOf(1, leaves)
		isRefused(t, err, reason)
	}
	_, err = SubtreeOf(Subtrees, nil)
	isRefused(t, err, "subtree 256 is not below 256")
}

func isRefused(t *testing.T, err error, reason string) {
	t.Helper()
	var refusal Refused
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), reason) {
		t.Errorf("%s: %v", reason, err)
	}
}
