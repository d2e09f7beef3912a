package fastgroth

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
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
}

type run struct {
	from, to  int   // constraints
	needs     int32 // runs that come before
	followers []int // runs that need this one
}

// runConstraints is the length of a run.
const runConstraints = 2048

// What a wire is computed by, beside a run: not known yet, or given.
const (
	nobody = -1 - iota
	given
)

// newSolver tells whether the system is of that kind.
func newSolver(system *cs.R1CS, tasks int) (*solver, bool) {
	n := system.GetNbConstraints()
	if len(system.Instructions) != n || len(system.Logs) > 0 {
		return nil, false
	}
	s := &solver{system: system, unknown: make([]uint32, n), tasks: tasks}
	by := make([]int32, wiresOf(system))
	inputs := system.GetNbPublicVariables() + system.GetNbSecretVariables()
	for wire := range by {
		by[wire] = nobody
		if wire < inputs {
			by[wire] = given
		}
	}
	for from := 0; from < n; from += runConstraints {
		r := run{from: from, to: min(from+runConstraints, n)}
		needed := map[int32]bool{}
		for i := r.from; i < r.to; i++ {
			if !s.prepare(i, int32(len(s.runs)), by, needed) {
				return nil, false
			}
		}
		for before := range needed {
			s.runs[before].followers = append(s.runs[before].followers, len(s.runs))
			r.needs++
		}
		s.runs = append(s.runs, r)
	}
	return s, true
}

// prepare finds the wire that a constraint gives, and the runs that it needs.
func (s *solver) prepare(i int, run int32, by []int32, needed map[int32]bool) bool {
	instruction := s.system.Instructions[i]
	if _, plain := s.system.Blueprints[instruction.BlueprintID].(*constraint.BlueprintGenericR1C); !plain || int(instruction.ConstraintOffset) != i {
		return false
	}
	terms, _, _ := s.terms(i)
	last := run
	for k := 0; k < len(terms); k += 2 {
		coefficient, wire := terms[k], terms[k+1]
		if wire == math.MaxUint32 { // a constant by itself, which gnark's builder of these systems doesn't make
			return false
		}
		switch from := by[wire]; {
		case from == nobody:
			if s.unknown[i] != 0 || coefficient == constraint.CoeffIdZero {
				return false
			}
			s.unknown[i] = uint32(k/2) + 1
		case from >= 0 && from != last:
			needed[from] = true
			last = from
		}
	}
	delete(needed, run)
	if at := s.unknown[i]; at != 0 {
		by[terms[2*at-1]] = run
	}
	return true
}

// terms gives pairs of a coefficient and a wire: those of L, then of R from r on, then of O from o on.
func (s *solver) terms(i int) (terms []uint32, r, o uint32) {
	data := s.system.CallData[s.system.Instructions[i].StartCallData:]
	r = 2 * data[1]
	o = r + 2*data[2]
	return data[4 : 4+o+2*data[3]], r, o
}

// solve gives nothing where the witness doesn't hold.
func (s *solver) solve(full witness.Witness) (*cs.R1CSSolution, bool) {
	inputs, ok := full.Vector().(fr.Vector)
	if !ok || len(inputs) != s.system.GetNbPublicVariables()-1+s.system.GetNbSecretVariables() {
		return nil, false
	}
	n := len(s.unknown)
	v := &cs.R1CSSolution{W: make(fr.Vector, wiresOf(s.system)), A: make(fr.Vector, n), B: make(fr.Vector, n), C: make(fr.Vector, n)}
	v.W[0].SetOne()
	copy(v.W[1:], inputs)

	waits := make([]atomic.Int32, len(s.runs))
	ready := make(chan int, len(s.runs))
	var left atomic.Int32
	left.Store(int32(len(s.runs)))
	for i := range s.runs {
		waits[i].Store(s.runs[i].needs)
	}
	for i := range s.runs {
		if s.runs[i].needs == 0 {
			ready <- i
		}
	}
	if len(s.runs) == 0 {
		close(ready)
	}
	var failed atomic.Bool
	var group sync.WaitGroup
	for range s.tasks {
		group.Go(func() {
			for i := range ready {
				if !failed.Load() && !s.constraints(s.runs[i].from, s.runs[i].to, v) {
					failed.Store(true)
				}
				for _, next := range s.runs[i].followers {
					if waits[next].Add(-1) == 0 {
						ready <- next
					}
				}
				if left.Add(-1) == 0 {
					close(ready)
				}
			}
		})
	}
	group.Wait()
	return v, !failed.Load()
}

// constraints solves some, and tells whether they hold. A wire counts as zero until it is known.
func (s *solver) constraints(from, to int, v *cs.R1CSSolution) bool {
	for i := from; i < to; i++ {
		terms, r, o := s.terms(i)
		a, b, c := &v.A[i], &v.B[i], &v.C[i]
		s.add(terms[:r], v.W, a)
		s.add(terms[r:o], v.W, b)
		s.add(terms[o:], v.W, c)
		at := s.unknown[i]
		if at == 0 {
			var product fr.Element
			if !product.Mul(a, b).Equal(c) {
				return false
			}
			continue
		}
		var value fr.Element
		switch first := 2 * (at - 1); {
		case first >= o:
			value.Mul(a, b).Sub(&value, c)
			c.Add(c, &value)
		case first >= r:
			if !factor(&value, b, a, c) {
				return false
			}
		default:
			if !factor(&value, a, b, c) {
				return false
			}
		}
		switch id := terms[2*at-2]; id {
		case constraint.CoeffIdOne:
		case constraint.CoeffIdMinusOne:
			value.Neg(&value)
		default:
			value.Div(&value, &s.system.Coefficients[id])
		}
		v.W[terms[2*at-1]] = value
	}
	return true
}

// factor sets value to what is missing in a for a*b = c, and adds it. Where b is zero it is zero, as gnark has it.
func factor(value, a, b, c *fr.Element) bool {
	if b.IsZero() {
		return c.IsZero()
	}
	value.Div(c, b).Sub(value, a)
	a.Add(a, value)
	return true
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
