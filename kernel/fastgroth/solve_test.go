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
	var state, grown frontend.Variable = 1, 0
	for i := range h.X {
		if i%40 == 0 {
			grown = 0
		}
		grown = api.Sub(api.Mul(h.X[i], h.Y[i]), grown, i)
		state = api.Add(state, api.Mul(grown, grown), api.DivUnchecked(api.Add(grown, h.Y[i]), api.Sub(h.X[i], grown)))
		state = api.Add(api.Mul(state, h.X[i], 7), h.Y[i], i)
		state = api.DivUnchecked(state, h.Y[i])
		state = api.Add(state, api.Inverse(api.Add(h.X[i], 5)), api.DivUnchecked(h.Zero, h.Zero))
		state = api.Add(state, api.Mul(api.Add(grown, api.Mul(2, h.X[i])), api.Add(grown, api.Mul(3, h.Y[i]))))
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
	checkKin(t, s)
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
		got := s.room()
		if !s.solve(valuesOf(full), got) {
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
	if s.solve(valuesOf(full), s.room()) {
		t.Fatal("a witness holds that doesn't")
	}
}

// checkKin wants every kind of kin, each in the run of the sum itself.
func checkKin(t *testing.T, s *solver) {
	t.Helper()
	kinds := map[[3]bool]int{}
	for _, r := range s.runs {
		for i := r.from; i < r.to; i++ {
			for side := range sides {
				k := s.kinOf(i, side)
				if k == nil {
					continue
				}
				if i-int(k.back) < r.from {
					t.Fatalf("constraint %d has its kin in another run", i)
				}
				kinds[[3]bool{k.negative, k.plus > 0, k.minus > 0}]++
			}
		}
	}
	for _, kind := range [][3]bool{{}, {false, true, true}, {true, true, false}, {true, true, true}} {
		if kinds[kind] == 0 {
			t.Errorf("no kin that are negative %t, have more %t, have less %t", kind[0], kind[1], kind[2])
		}
	}
}

// parts are chains of divisions that have nothing to do with each other, up to their products' sum.
type parts struct {
	Sum frontend.Variable `gnark:",public"`
	X   []frontend.Variable
}

const partSteps = 900

func (p *parts) Define(api frontend.API) error {
	var sum frontend.Variable = 0
	for i, x := range p.X {
		state := x
		for range partSteps {
			state = api.Add(api.DivUnchecked(api.Add(state, 3), api.Add(state, 5+i)), api.Mul(state, x))
		}
		sum = api.Add(sum, api.Mul(state, 0, x), api.Mul(x, x))
		api.AssertIsEqual(api.Mul(state, x), api.Mul(x, state))
	}
	api.AssertIsEqual(sum, p.Sum)
	return nil
}

func TestIndependentPartsAreSolvedAbreast(t *testing.T) {
	const n = 20
	compiled, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &parts{X: make([]frontend.Variable, n)})
	if err != nil {
		t.Fatal(err)
	}
	system := compiled.(*cs.R1CS)
	s, ok := newSolver(system, 2)
	if !ok {
		t.Fatal("the circuit is not taken")
	}
	free := 0
	for _, r := range s.runs {
		if r.needs == 0 {
			free++
		}
	}
	if want := n * partSteps * 2 / runConstraints; free < want || len(s.runs) > 2*want+2 {
		t.Errorf("%d of %d runs need none", free, len(s.runs))
	}

	assignment := &parts{X: make([]frontend.Variable, n)}
	solve := func(sum int) (*cs.R1CSSolution, bool) {
		assignment.Sum = sum
		full, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
		if err != nil {
			t.Fatal(err)
		}
		got := s.room()
		ok := s.solve(valuesOf(full), got)
		want, err := system.Solve(full)
		if ok != (err == nil) {
			t.Fatalf("holds: %t, but gnark says %v", ok, err)
		}
		if ok && !reflect.DeepEqual(got, want) {
			t.Fatal("they differ")
		}
		return got, ok
	}
	sum := 0
	for i := range n {
		assignment.X[i] = i * i
		sum += i * i * i * i
	}
	if _, ok := solve(sum); !ok {
		t.Error("the witness does not hold")
	}
	if _, ok := solve(sum + 1); ok {
		t.Error("a witness holds that doesn't")
	}
	// A divisor that is zero, where the dividend is not, in one part only.
	assignment.X[7] = -(5 + 7)
	if _, ok := solve(sum - 7*7*7*7 + 12*12); ok {
		t.Error("three is divided by zero")
	}
}

func TestCircuitWithHintsIsLeftToGnark(t *testing.T) {
	if _, ok := newSolver(newWorld(t, 1, false).system, 1); ok {
		t.Error("taken")
	}
}
