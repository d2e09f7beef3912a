package fastgroth

import (
	"math"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// solver computes the wires of a system that has constraints only, no hints: in their order, each gives one wire at most.
//
// gnark's own solver goes level by level of the dependencies between single constraints; where levels are thousands and
// narrow, its tasks wait for each other. Here a piece of work is a run of constraints, and waits for the runs whose wires it takes.
type solver struct {
	system  *cs.R1CS
	unknown []uint32 // by constraint: one more than the number of the term whose wire it gives, or zero
	runs    []run
	tasks   int

	kin         [][sides]uint32 // by constraint: one more than the number of the kinship of its sum, or zero
	kinships    []kinship
	differences []uint32 // terms
}

// newSolver tells whether the system is of that kind.
func newSolver(system *cs.R1CS, tasks int) (*solver, bool) {
	n := system.GetNbConstraints()
	if len(system.Instructions) != n || len(system.Logs) > 0 {
		return nil, false
	}
	s := &solver{system: system, unknown: make([]uint32, n), kin: make([][sides]uint32, n), tasks: tasks}
	by := make([]int32, wiresOf(system))
	inputs := system.GetNbPublicVariables() + system.GetNbSecretVariables()
	for wire := range by {
		by[wire] = nobody
		if wire < inputs {
			by[wire] = given
		}
	}
	touched, since := slices.Clone(by), make([]int32, n)
	for i := range n {
		if !s.prepare(i, by, touched, since) {
			return nil, false
		}
	}
	kin := newKin(s)
	for i := range n {
		kin.find(i)
	}
	s.split(by, since)
	return s, true
}

// prepare finds the wire that a constraint gives, and since which constraint it goes on with what is near.
func (s *solver) prepare(i int, by, touched, since []int32) bool {
	instruction := s.system.Instructions[i]
	if _, plain := s.system.Blueprints[instruction.BlueprintID].(*constraint.BlueprintGenericR1C); !plain || int(instruction.ConstraintOffset) != i {
		return false
	}
	from := int32(i)
	terms, _, _ := s.terms(i)
	for k := 0; k < len(terms); k += 2 {
		coefficient, wire := terms[k], terms[k+1]
		if wire == math.MaxUint32 { // a constant by itself, which gnark's builder of these systems doesn't make
			return false
		}
		switch {
		case by[wire] == given:
			continue
		case by[wire] == nobody:
			if s.unknown[i] != 0 || coefficient == constraint.CoeffIdZero {
				return false
			}
			s.unknown[i] = uint32(k/2) + 1
		case int32(i)-touched[wire] <= runConstraints:
			from = min(from, touched[wire])
		}
		touched[wire] = int32(i)
	}
	if at := s.unknown[i]; at != 0 {
		by[terms[2*at-1]] = int32(i)
	}
	since[i] = from
	return true
}

// terms gives pairs of a coefficient and a wire: those of L, then of R from r on, then of O from o on.
func (s *solver) terms(i int) (terms []uint32, r, o uint32) {
	data := s.system.CallData[s.system.Instructions[i].StartCallData:]
	r = 2 * data[1]
	o = r + 2*data[2]
	return data[4 : 4+o+2*data[3]], r, o
}

// room is memory for a solution. It is touched here, in parallel: a page that is touched first takes longer to come than a
// constraint to be solved.
func (s *solver) room() *cs.R1CSSolution {
	n := len(s.unknown)
	v := &cs.R1CSSolution{W: make(fr.Vector, wiresOf(s.system)), A: make(fr.Vector, n), B: make(fr.Vector, n), C: make(fr.Vector, n)}
	s.clear(v)
	return v
}

func (s *solver) clear(v *cs.R1CSSolution) {
	for _, part := range []fr.Vector{v.W, v.A, v.B, v.C} {
		lanes.InParallel(len(part), s.tasks, func(from, to int) { clear(part[from:to]) })
	}
}

// solve writes the solution into the room, and tells whether the witness holds.
func (s *solver) solve(inputs fr.Vector, v *cs.R1CSSolution) bool {
	if len(inputs) != s.system.GetNbPublicVariables()-1+s.system.GetNbSecretVariables() {
		return false
	}
	s.clear(v)
	v.W[0].SetOne()
	copy(v.W[1:], inputs)
	return s.inOrder(func(runs []int) bool { return s.abreast(runs, v) })
}

// fewTerms are added one by one.
const fewTerms = 3

// add sets sum, which is zero, to that of the terms.
func (s *solver) add(terms []uint32, wires []fr.Element, sum *fr.Element) {
	coefficients := s.system.Coefficients
	if n := len(terms) / 2; n > fewTerms && n <= mostTerms && hasDot {
		var products [9]uint64
		dot(&products, &terms[0], n, &coefficients[0], &wires[0])
		*sum = reduce(&products)
		return
	}
	for len(terms) >= 2 {
		id, value := terms[0], &wires[terms[1]]
		terms = terms[2:]
		switch id {
		case constraint.CoeffIdZero:
		case constraint.CoeffIdOne:
			sum.Add(sum, value)
		case constraint.CoeffIdMinusOne:
			sum.Sub(sum, value)
		default:
			var product fr.Element
			product.Mul(&coefficients[id], value)
			sum.Add(sum, &product)
		}
	}
}
