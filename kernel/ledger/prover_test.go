package ledger

import (
	cryptorand "crypto/rand"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/fastgroth"
)

// Both provers draw the same randomness here, so that their proofs have to be equal.
func TestWindowsProofIsThatOfGnark(t *testing.T) {
	compiled, err := Compile(1)
	if err != nil {
		t.Fatal(err)
	}
	system := compiled.(*cs.R1CS)
	key, _, err := developmentKeys(system, "any")
	if err != nil {
		t.Fatal(err)
	}
	prover, err := fastgroth.NewProver(system, key.(*groth16.ProvingKey))
	if err != nil {
		t.Fatal(err)
	}
	transition, err := Apply(testDomain, 1, 3, nil, []Operation{inserted(leaseOf(3))})
	if err != nil {
		t.Fatal(err)
	}
	witness, err := frontend.NewWitness(transition.assignment(), ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	honest := cryptorand.Reader
	defer func() { cryptorand.Reader = honest }()
	cryptorand.Reader = rand.NewChaCha8([32]byte{7})
	ours, _, err := prover.Prove(transition.assignment().inputs(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cryptorand.Reader = rand.NewChaCha8([32]byte{7})
	theirs, err := groth16.Prove(system, key.(*groth16.ProvingKey), witness)
	if err != nil {
		t.Fatal(err)
	}
	got := wordsOf(ours)
	for i, want := range wordsOf(theirs) {
		if got[i].Cmp(want) != 0 {
			t.Errorf("word %d is %v, gnark's is %v", i, got[i], want)
		}
	}
}
