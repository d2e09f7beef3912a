package ledger

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

func proverOf(t *testing.T, size int) *Prover {
	t.Helper()
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.UnsafeDevelopmentSetup(keysDir(t), size); err != nil {
		t.Fatal(err)
	}
	prover, err := keys.LoadProver(keysDir(t), size)
	if err != nil {
		t.Fatal(err)
	}
	return prover
}

func TestProofVerifiesAndItsForgeriesDoNot(t *testing.T) {
	prover := proverOf(t, 8)
	transition := applied(t, []Leaf{leaseOf(2)}, claimed(t, testDomain, 2, leaseOf(2).paid(5, 5)), inserted(leaseOf(7)))
	var stages []string
	proven, err := prover.Prove(transition, func(stage string, done int) { stages = append(stages, fmt.Sprint(stage, " ", done)) })
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) < 4 || stages[0] != "witness 0" || stages[1] != "witness 1000" || stages[len(stages)-1] != "proof 1000" {
		t.Errorf("progress was %v", stages)
	}
	if !prover.Verify(transition.Inputs, proven.Proof) {
		t.Fatal("an honest proof does not verify")
	}
	one := wordOf(1)
	for name, change := range map[string]func(*Inputs){
		"c": func(inputs *Inputs) { inputs.C.Add(&inputs.C, &one) },
		"r": func(inputs *Inputs) { inputs.R.Add(&inputs.R, &one) },
		"e": func(inputs *Inputs) { inputs.E.Add(&inputs.E, &one) },
	} {
		inputs := transition.Inputs
		change(&inputs)
		if prover.Verify(inputs, proven.Proof) {
			t.Errorf("verifies with another %s", name)
		}
	}
	for i := range proven.Proof {
		for name, word := range map[string]*big.Int{
			"plus one":         new(big.Int).Add(proven.Proof[i], big.NewInt(1)),
			"plus the modulus": new(big.Int).Add(proven.Proof[i], fp.Modulus()),
			"zero":             new(big.Int),
			"negative":         big.NewInt(-1),
			"missing":          nil,
		} {
			forgery := proven.Proof
			forgery[i] = word
			if prover.Verify(transition.Inputs, forgery) {
				t.Errorf("verifies with word %d %s", i, name)
			}
		}
	}
}

func TestProofOfOneSlotVerifies(t *testing.T) {
	prover := proverOf(t, 1)
	transition, err := Apply(testDomain, 1, 5, nil, []Operation{inserted(leaseOf(5))})
	if err != nil {
		t.Fatal(err)
	}
	proven, err := prover.Prove(transition, nil)
	if err != nil || !prover.Verify(transition.Inputs, proven.Proof) {
		t.Fatal(err)
	}
	if _, err := prover.Prove(applied(t, nil, inserted(leaseOf(0))), nil); err == nil {
		t.Error("a batch of another size was proven")
	}
}

// The whole window at once, each slot with every flag: where make install has put the key.
func TestProofOfSixtyFourFullSlotsVerifies(t *testing.T) {
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	if !keys.Provable(keysDir(t), 64) {
		t.Fatal("no proving key of size 64: make install makes it")
	}
	prover := proverOf(t, 64)
	var operations []Operation
	for i := range 64 {
		operations = append(operations, with(claimed(t, testDomain, i, leaseOf(i).paid(int64(i), 1)), func(o *Operation) {
			o.Insert, o.Close = true, true
		}))
	}
	transition, err := Apply(testDomain, 64, 0, []Leaf{leaseOf(64)}, operations)
	if err != nil {
		t.Fatal(err)
	}
	proven, err := prover.Prove(transition, nil)
	if err != nil {
		t.Fatal(err)
	}
	if transition.OldRoot != transition.NewRoot || transition.Earned.Int64() != 63*32 {
		t.Errorf("earned %v", transition.Earned)
	}
	t.Logf("%d constraints: witness in %v, proven in %v", prover.Constraints, proven.Witness, proven.Prove)
}
