package fastgroth

import (
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
)

// A strand is a run as far as it is solved: up to a constraint that waits for the inverse of its divisor.
type strand struct {
	at, to int
}

// abreast solves runs that don't need each other, and tells whether they hold. Each goes on to its next division; then their
// divisors are inverted together, as one inversion takes as long as a hundred products. A wire counts as zero until it is known.
func (s *solver) abreast(runs []int, v *cs.R1CSSolution) bool {
	strands := make([]strand, len(runs))
	for k, i := range runs {
		strands[k] = strand{at: s.runs[i].from, to: s.runs[i].to}
	}
	divisors := make([]fr.Element, 0, len(runs))
	for {
		divisors = divisors[:0]
		for k := range strands {
			divisor, ok := s.advance(&strands[k], v)
			if !ok {
				return false
			}
			if divisor != nil {
				divisors = append(divisors, *divisor)
			}
		}
		strands = slices.DeleteFunc(strands, func(t strand) bool { return t.at == t.to })
		if len(strands) == 0 {
			return true
		}
		for k, inverse := range fr.BatchInvert(divisors) {
			s.divide(strands[k].at, &inverse, v)
			strands[k].at++
		}
	}
}

// advance solves up to a division, and gives its divisor, or to the end, and gives none. It tells whether that holds.
func (s *solver) advance(t *strand, v *cs.R1CSSolution) (divisor *fr.Element, ok bool) {
	for ; t.at < t.to; t.at++ {
		i := t.at
		terms, r, o := s.terms(i)
		a, b, c := &v.A[i], &v.B[i], &v.C[i]
		s.sum(i, left, terms[:r], v, a)
		s.sum(i, right, terms[r:o], v, b)
		s.sum(i, out, terms[o:], v, c)
		var value fr.Element
		switch at := s.unknown[i]; {
		case at == 0:
			if !value.Mul(a, b).Equal(c) {
				return nil, false
			}
		case 2*(at-1) >= o:
			value.Mul(a, b).Sub(&value, c)
			c.Add(c, &value)
			s.give(terms[2*at-2:], &value, v)
		default:
			divisor = b
			if 2*(at-1) >= r {
				divisor = a
			}
			if !divisor.IsZero() {
				return divisor, true
			}
			if !c.IsZero() { // else the wire is zero, as gnark has it
				return nil, false
			}
		}
	}
	return nil, true
}

// divide solves a constraint for a factor, with the inverse of the other one.
func (s *solver) divide(i int, inverse *fr.Element, v *cs.R1CSSolution) {
	terms, r, _ := s.terms(i)
	at, factor := s.unknown[i], &v.A[i]
	if 2*(at-1) >= r {
		factor = &v.B[i]
	}
	var value fr.Element
	value.Mul(&v.C[i], inverse).Sub(&value, factor)
	factor.Add(factor, &value)
	s.give(terms[2*at-2:], &value, v)
}

// give sets the wire of the first term from the value of that term.
func (s *solver) give(terms []uint32, value *fr.Element, v *cs.R1CSSolution) {
	wire := &v.W[terms[1]]
	switch id := terms[0]; id {
	case constraint.CoeffIdOne:
		*wire = *value
	case constraint.CoeffIdMinusOne:
		wire.Neg(value)
	default:
		wire.Div(value, &s.system.Coefficients[id])
	}
}
