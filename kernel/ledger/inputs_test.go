package ledger

import (
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

func TestInputsAreThoseThatGnarkFinds(t *testing.T) {
	for _, size := range Sizes {
		transition, err := Apply(testDomain, size, 5, nil, []Operation{inserted(leaseOf(5 * size))})
		if err != nil {
			t.Fatal(err)
		}
		assignment := transition.assignment()
		full, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(assignment.inputs(), full.Vector().(fr.Vector)) {
			t.Errorf("size %d: they differ", size)
		}
	}
}
