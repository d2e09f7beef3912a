// Package fastgroth proves and sets up gnark's Groth16 over bn254, with the multi-scalar multiplications of package msm.
// Keys, constraint systems and proofs are gnark's own.
package fastgroth

import (
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"sync"
	"time"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/shale-cloud/shale/kernel/fft"
	"github.com/shale-cloud/shale/kernel/msm"
)

// Progress hears of each stage, "witness" and then "proof", how much of it is done, in 0 to 1000, rising.
type Progress func(stage string, done int)

// Stages of a proof.
const (
	StageWitness = "witness"
	StageProof   = "proof"
)

// Timing says how long the parts of a proof took.
type Timing struct {
	Witness  time.Duration // solving the constraint system
	Wires    time.Duration // the sums over the wires: A, B in both groups, K
	Quotient time.Duration // the transforms
	Z        time.Duration // the sum over the quotient
}

// Proof is the time without the witness.
func (t Timing) Proof() time.Duration { return t.Wires + t.Quotient + t.Z }

// Prover proves one circuit. Not for concurrent use: a proof keeps all cores busy by itself.
type Prover struct {
	system    *cs.R1CS
	solver    *solver          // or nil
	room      *cs.R1CSSolution // for the solver's solutions, one after the other
	key       *groth16.ProvingKey
	machine   *msm.Machine
	quotients *fft.Quotients
	a, b, k   msm.Places // by wire
}

// ErrCommitments says that the circuit uses gnark's commitments, which this prover does not make.
var ErrCommitments = errors.New("circuits with commitments are not proven here")

// NewProver prepares the key, which it keeps and leaves as it is.
func NewProver(system *cs.R1CS, key *groth16.ProvingKey) (*Prover, error) {
	if hasCommitments(system) || len(key.CommitmentKeys) > 0 {
		return nil, ErrCommitments
	}
	wires := wiresOf(system)
	public := system.GetNbPublicVariables()
	if len(key.InfinityA) != wires || len(key.InfinityB) != wires || len(key.G1.K) != wires-public ||
		len(key.G1.B) != len(key.G2.B) || uint64(len(key.G1.Z)) != key.Domain.Cardinality-1 ||
		uint64(system.GetNbConstraints()) > key.Domain.Cardinality {
		return nil, errors.New("the proving key is of another circuit")
	}
	tasks := runtime.GOMAXPROCS(0)
	p := &Prover{system: system, key: key, machine: msm.NewMachine(tasks)}
	var group sync.WaitGroup
	group.Go(func() { p.quotients = fft.NewQuotients(&key.Domain, tasks) })
	if s, ok := newSolver(system, tasks); ok {
		p.solver, p.room = s, s.room()
	}
	group.Wait()
	var err error
	if p.a, err = places(key.InfinityA, len(key.G1.A)); err != nil {
		return nil, err
	}
	if p.b, err = places(key.InfinityB, len(key.G1.B)); err != nil {
		return nil, err
	}
	p.k = msm.NewPlaces(wires)
	for i := range key.G1.K {
		if !key.G1.K[i].IsInfinity() {
			p.k.Put(public+i, i)
		}
	}
	return p, nil
}

func hasCommitments(system *cs.R1CS) bool {
	commitments, ok := system.CommitmentInfo.(constraint.Groth16Commitments)
	return !ok || len(commitments) > 0
}

func wiresOf(system *cs.R1CS) int {
	return system.NbInternalVariables + system.GetNbPublicVariables() + system.GetNbSecretVariables()
}

// places numbers the wires that have a point.
func places(infinite []bool, points int) (msm.Places, error) {
	p := msm.NewPlaces(len(infinite))
	next := 0
	for wire, without := range infinite {
		if !without {
			p.Put(wire, next)
			next++
		}
	}
	if next != points {
		return nil, errors.New("the proving key is damaged: its points and their marks differ in number")
	}
	return p, nil
}

// Prove solves the witness and proves it, with fresh randomness. inputs are the values of the public variables and then of the
// secret ones, in the circuit's order. progress may be nil.
func (p *Prover) Prove(inputs fr.Vector, progress Progress) (*groth16.Proof, Timing, error) {
	if progress == nil {
		progress = func(string, int) {}
	}
	report := newReport(progress)
	var timing Timing
	lap := stopwatch()

	report.stage(StageWitness)
	solution, err := p.solve(inputs)
	if err != nil {
		return nil, timing, fmt.Errorf("the witness does not satisfy the circuit: %w", err)
	}
	report.share(0, 1)(1)
	timing.Witness = lap()

	report.stage(StageProof)
	a, b1, k := p.term(p.key.G1.A, p.a), p.term(p.key.G1.B, p.b), p.term(p.key.G1.K, p.k)
	b2 := &msm.Term2{Points: p.key.G2.B, Places: p.b}
	p.machine.Sum(solution.W, []*msm.Term1{a, b1, k}, []*msm.Term2{b2}, report.share(0, 0.6))
	timing.Wires = lap()

	h := p.quotients.Divide(solution.A, solution.B, solution.C, report.share(0.6, 0.7))
	timing.Quotient = lap()
	z := p.term(p.key.G1.Z, nil)
	p.machine.Sum(h[:len(p.key.G1.Z)], []*msm.Term1{z}, nil, report.share(0.7, 1))
	k.Sum.AddAssign(&z.Sum)

	proof, err := p.assemble(&a.Sum, &b1.Sum, &k.Sum, &b2.Sum)
	timing.Z = lap()
	return proof, timing, err
}

// solve leaves to gnark what our own solver doesn't take, and what doesn't hold: gnark says why.
func (p *Prover) solve(inputs fr.Vector) (*cs.R1CSSolution, error) {
	if p.solver != nil && p.solver.solve(inputs, p.room) {
		return p.room, nil
	}
	full, err := p.witness(inputs)
	if err != nil {
		return nil, err
	}
	solved, err := p.system.Solve(full)
	if err != nil {
		return nil, err
	}
	return solved.(*cs.R1CSSolution), nil
}

// witness are the inputs in gnark's form.
func (p *Prover) witness(inputs fr.Vector) (witness.Witness, error) {
	full, err := witness.New(fr.Modulus())
	if err != nil {
		return nil, err
	}
	values := make(chan any, len(inputs))
	for i := range inputs {
		values <- inputs[i]
	}
	close(values)
	return full, full.Fill(p.system.GetNbPublicVariables()-1, p.system.GetNbSecretVariables(), values)
}

func (p *Prover) term(points []curve.G1Affine, places msm.Places) *msm.Term1 {
	return &msm.Term1{Points: points, Places: places}
}

// assemble blinds the sums, as Groth16 does, with an r and an s drawn here: in gnark's order, so that its prover draws the
// same from the same stream.
func (p *Prover) assemble(a, b1, k *curve.G1Jac, b2 *curve.G2Jac) (*groth16.Proof, error) {
	var r, s, rs fr.Element
	if _, err := r.SetRandom(); err != nil {
		return nil, err
	}
	if _, err := s.SetRandom(); err != nil {
		return nil, err
	}
	rs.Mul(&r, &s).Neg(&rs)
	times1 := func(point *curve.G1Affine, by *fr.Element) *curve.G1Jac {
		var j curve.G1Jac
		j.FromAffine(point)
		return j.ScalarMultiplication(&j, by.BigInt(new(big.Int)))
	}
	key := p.key
	a.AddMixed(&key.G1.Alpha).AddAssign(times1(&key.G1.Delta, &r))
	b1.AddMixed(&key.G1.Beta).AddAssign(times1(&key.G1.Delta, &s))

	var delta2 curve.G2Jac
	delta2.FromAffine(&key.G2.Delta)
	delta2.ScalarMultiplication(&delta2, s.BigInt(new(big.Int)))
	b2.AddMixed(&key.G2.Beta).AddAssign(&delta2)

	var part curve.G1Jac
	k.AddAssign(times1(&key.G1.Delta, &rs))
	k.AddAssign(part.ScalarMultiplication(a, s.BigInt(new(big.Int))))
	k.AddAssign(part.ScalarMultiplication(b1, r.BigInt(new(big.Int))))

	proof := &groth16.Proof{Commitments: []curve.G1Affine{}}
	proof.Ar.FromJacobian(a)
	proof.Bs.FromJacobian(b2)
	proof.Krs.FromJacobian(k)
	return proof, nil
}

// stopwatch gives a function that tells the time since its last call.
func stopwatch() func() time.Duration {
	last := time.Now()
	return func() time.Duration {
		now := time.Now()
		defer func() { last = now }()
		return now.Sub(last)
	}
}
