package fastgroth

import (
	cryptorand "crypto/rand"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/std/math/bits"
	"github.com/consensys/gnark/std/permutation/poseidon2"
)

// mixture has what the ledger's circuit has: hashes, whose wires are any field element, and bits.
type mixture struct {
	Sum   frontend.Variable `gnark:",public"`
	Words []frontend.Variable
}

func (m *mixture) Define(api frontend.API) error {
	hash, err := poseidon2.NewPoseidon2(api)
	if err != nil {
		return err
	}
	var state, sum frontend.Variable = 0, 0
	for _, w := range m.Words {
		state = hash.Compress(state, w)
		for _, bit := range bits.ToBinary(api, w, bits.WithNbDigits(150)) {
			sum = api.Add(sum, api.Mul(bit, state))
		}
	}
	api.AssertIsEqual(api.Add(api.Mul(sum, 0), m.Sum), m.Sum)
	api.AssertIsDifferent(sum, 0)
	return nil
}

type world struct {
	system *cs.R1CS
	keys
	full witness.Witness
}

type keys struct {
	pk groth16.ProvingKey
	vk groth16.VerifyingKey
}

func newWorld(t testing.TB, words int, makeKeys bool) *world {
	t.Helper()
	compiled, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &mixture{Words: make([]frontend.Variable, words)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{system: compiled.(*cs.R1CS)}
	if makeKeys {
		pk, vk, err := Setup(w.system)
		if err != nil {
			t.Fatal(err)
		}
		w.keys = keys{*pk, *vk}
	}
	w.full = witnessOf(t, words, 3)
	return w
}

func witnessOf(t testing.TB, words, step int) witness.Witness {
	t.Helper()
	assignment := &mixture{Sum: 5, Words: make([]frontend.Variable, words)}
	for i := range assignment.Words {
		assignment.Words[i] = step*i + 1<<20
	}
	full, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	return full
}

func valuesOf(full witness.Witness) fr.Vector { return full.Vector().(fr.Vector) }

// seeded puts a stream in place of the system's randomness until the test ends.
func seeded(t *testing.T) {
	t.Helper()
	honest := cryptorand.Reader
	t.Cleanup(func() { cryptorand.Reader = honest })
	cryptorand.Reader = rand.NewChaCha8([32]byte{1})
}

func TestProofsVerifyAndAreFresh(t *testing.T) {
	w := newWorld(t, 8, true)
	p, err := NewProver(w.system, &w.pk)
	if err != nil {
		t.Fatal(err)
	}
	public, err := w.full.Public()
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := p.Prove(valuesOf(w.full), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := p.Prove(valuesOf(w.full), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, proof := range []*groth16.Proof{first, second} {
		if err := groth16.Verify(proof, &w.vk, public.Vector().(fr.Vector)); err != nil {
			t.Fatal(err)
		}
	}
	if first.Ar == second.Ar || first.Bs == second.Bs || first.Krs == second.Krs {
		t.Error("two proofs share a point: their randomness is not fresh")
	}
}

func TestProofIsThatOfGnarkForTheSameRandomness(t *testing.T) {
	w := newWorld(t, 40, true)
	p, err := NewProver(w.system, &w.pk)
	if err != nil {
		t.Fatal(err)
	}
	// What an earlier proof, here of another witness, left in the prover's memory must not count.
	if _, _, err := p.Prove(valuesOf(witnessOf(t, 40, 7)), nil); err != nil {
		t.Fatal(err)
	}
	seeded(t)
	ours, _, err := p.Prove(valuesOf(w.full), nil)
	if err != nil {
		t.Fatal(err)
	}
	seeded(t)
	theirs, err := groth16.Prove(w.system, &w.pk, w.full)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("ours is\n%v\ntheirs\n%v", ours, theirs)
	}
}

func TestProgressRisesToTheEndOfEachStage(t *testing.T) {
	w := newWorld(t, 8, true)
	p, err := NewProver(w.system, &w.pk)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]int{}
	if _, _, err = p.Prove(valuesOf(w.full), func(stage string, done int) {
		if before, seen := last[stage]; seen && done <= before {
			t.Errorf("%s goes from %d to %d", stage, before, done)
		}
		last[stage] = done
	}); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{StageWitness: 1000, StageProof: 1000}; !reflect.DeepEqual(last, want) {
		t.Errorf("progress ends at %v", last)
	}
}

func TestWitnessThatDoesNotHoldIsRefused(t *testing.T) {
	w := newWorld(t, 8, true)
	p, err := NewProver(w.system, &w.pk)
	if err != nil {
		t.Fatal(err)
	}
	assignment := &mixture{Sum: 5, Words: make([]frontend.Variable, 8)}
	for i := range assignment.Words {
		assignment.Words[i] = -1 // has more than 150 bits
	}
	full, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Prove(valuesOf(full), nil); err == nil {
		t.Error("proven")
	}
}

func TestKeyOfAnotherCircuitIsRefused(t *testing.T) {
	w, other := newWorld(t, 8, true), newWorld(t, 9, false)
	if _, err := NewProver(other.system, &w.pk); err == nil {
		t.Error("taken")
	}
}

func TestFailingRandomnessGivesNoProof(t *testing.T) {
	w := newWorld(t, 8, true)
	p, err := NewProver(w.system, &w.pk)
	if err != nil {
		t.Fatal(err)
	}
	honest := cryptorand.Reader
	defer func() { cryptorand.Reader = honest }()
	cryptorand.Reader = io.LimitReader(honest, 40)
	if _, _, err := p.Prove(valuesOf(w.full), nil); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("gives %v", err)
	}
}
