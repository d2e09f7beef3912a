package fastgroth

import (
	"reflect"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
)

// hintless has every way in which a constraint gives a wire, and needs no hint.
type hintless struct {
	Sum  frontend.Variable `gnark:",public"`
	Zero frontend.Variable
	X, Y []frontend.Variable
}

func (h *hintless) Define(api frontend.API) error {
	var state frontend.Variable = 1
	for i := range h.X {
		state = api.Add(api.Mul(state, h.X[i], 7), h.Y[i], i)
		state = api.DivUnchecked(state, h.Y[i])
		state = api.Add(state, api.Inverse(api.Add(h.X[i], 5)), api.DivUnchecked(h.Zero, h.Zero))
		state = api.Select(i%2, api.Mul(state, state), api.Neg(state))
	}
	long := api.Sub(0, h.X[0])
	for i := range h.X {
		long = api.Add(long, api.Mul(h.X[i], i+3))
	}
	state = api.Mul(state, long, api.Add(long, state))
	api.AssertIsEqual(api.Mul(h.Sum, state), api.Mul(state, h.Sum))
	api.AssertIsEqual(h.Sum, h.X[0])
	return nil
}

func TestSolutionIsThatOfGnark(t *testing.T) {
	const n = 3000
	shape := &hintless{X: make([]frontend.Variable, n), Y: make([]frontend.Variable, n)}
	compiled, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, shape)
	if err != nil {
		t.Fatal(err)
	}
	system := compiled.(*cs.R1CS)
	s, ok := newSolver(system, 3)
	if !ok {
		t.Fatal("the circuit is not taken")
	}
	if len(s.runs) < 4 {
		t.Fatalf("only %d runs", len(s.runs))
	}
	assignment := &hintless{Sum: 3, Zero: 0, X: make([]frontend.Variable, n), Y: make([]frontend.Variable, n)}
	for i := range n {
		assignment.X[i], assignment.Y[i] = 3+i*i, 2+i
	}
	full, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	want, err := system.Solve(full)
	if err != nil {
		t.Fatal(err)
	}
	had := hasDot
	defer func() { hasDot = had }()
	for _, hasDot = range []bool{had, false} {
		got, ok := s.solve(full)
		if !ok {
			t.Fatal("the witness does not hold")
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatal("they differ")
		}
	}

	assignment.Sum = 4
	if full, err = frontend.NewWitness(assignment, ecc.BN254.ScalarField()); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.solve(full); ok {
		t.Fatal("a witness holds that doesn't")
	}
}

func TestCircuitWithHintsIsLeftToGnark(t *testing.T) {
	if _, ok := newSolver(newWorld(t, 1, false).system, 1); ok {
		t.Error("taken")
	}
}
