package fastgroth

import (
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	cs "github.com/consensys/gnark/constraint/bn254"
)

// Sides of a constraint: L*R = O.
const (
	left = iota
	right
	out
	sides
)

// A kinship makes a sum from one that was taken just before, if few of their terms differ: x^5 is three constraints, which sum
// up x three times; the coordinates of a point that others are added to are sums that grow by some terms each time, and change sign.
type kinship struct {
	back, side  uint8 // the other sum: so many constraints back
	negative    bool  // its negative, then
	from        uint32
	plus, minus uint8 // so many words of terms, in s.differences from there on
}

const (
	farthestKin = 8  // constraints back
	mostWords   = 24 // of terms that differ
)

// kin finds the kin of sums.
type kin struct {
	s         *solver
	negatives []uint32 // by the number of a coefficient: that of its negative, or missing

	recent     []longSum
	more, less [mostWords + 2]uint32
}

type longSum struct {
	constraint, side int
	terms            []uint32
}

const missing = ^uint32(0)

func newKin(s *solver) *kin {
	coefficients := s.system.Coefficients
	numbers := make(map[fr.Element]uint32, len(coefficients))
	for i, c := range coefficients {
		numbers[c] = uint32(i)
	}
	k := &kin{s: s, negatives: make([]uint32, len(coefficients))}
	for i := range coefficients {
		var negative fr.Element
		number, ok := numbers[*negative.Neg(&coefficients[i])]
		if !ok {
			number = missing
		}
		k.negatives[i] = number
	}
	return k
}

// find gives each side of a constraint the kin that differs least, if it has any. Constraints come in their order.
func (k *kin) find(i int) {
	terms, r, o := k.s.terms(i)
	for side, own := range [sides][]uint32{terms[:r], terms[r:o], terms[o:]} {
		if len(own) > 2*fewTerms && !k.findFor(i, side, own) {
			k.recent = append(k.recent, longSum{i, side, own})
		}
	}
}

// findFor tells whether the sum is the same as its kin, or its negative: then later ones find that one.
func (k *kin) findFor(i, side int, own []uint32) (same bool) {
	var best kinship
	found, words := false, min(mostWords, len(own)/2)+1
	start := len(k.s.differences)
	for at := len(k.recent) - 1; at >= 0 && words > 0; at-- {
		other := &k.recent[at]
		if i-other.constraint > farthestKin {
			k.recent = slices.Delete(k.recent, 0, at+1)
			break
		}
		for _, negative := range []bool{false, true} {
			plus, minus, ok := k.differ(own, other.terms, negative, words-1)
			if !ok {
				continue
			}
			k.s.differences = append(append(k.s.differences[:start], plus...), minus...)
			found, words = true, len(plus)+len(minus)
			best = kinship{
				back: uint8(i - other.constraint), side: uint8(other.side), negative: negative,
				from: uint32(start), plus: uint8(len(plus)), minus: uint8(len(minus)),
			}
		}
	}
	if found {
		k.s.kinships = append(k.s.kinships, best)
		k.s.kin[i][side] = uint32(len(k.s.kinships))
	}
	return words == 0
}

// differ gives the terms that own has more than list, or its negative, and those that it has less, if they are few: until it is
// called again.
func (k *kin) differ(own, list []uint32, negative bool, most int) (plus, minus []uint32, ok bool) {
	more, less := &k.more, &k.less
	p, m := 0, 0
	if len(own) > len(list)+most || len(list) > len(own)+most {
		return nil, nil, false
	}
	for len(own) > 0 || len(list) > 0 {
		if p+m > most {
			return nil, nil, false
		}
		switch {
		case len(list) == 0 || len(own) > 0 && own[1] < list[1]:
			p += copy(more[p:], own[:2])
			own = own[2:]
		case len(own) == 0 || list[1] < own[1]:
			m += copy(less[m:], list[:2])
			list = list[2:]
		default:
			same := list[0]
			if negative {
				same = k.negatives[same]
			}
			if own[0] != same {
				p += copy(more[p:], own[:2])
				m += copy(less[m:], list[:2])
			}
			own, list = own[2:], list[2:]
		}
	}
	return more[:p], less[:m], p+m <= most
}

// kinOf is nil where a sum has none.
func (s *solver) kinOf(i, side int) *kinship {
	if number := s.kin[i][side]; number != 0 {
		return &s.kinships[number-1]
	}
	return nil
}

// more are the terms that a sum has and its kin has not.
func (s *solver) more(k *kinship) []uint32 { return s.differences[k.from:][:k.plus] }

// less are those that its kin has, or has otherwise.
func (s *solver) less(k *kinship) []uint32 { return s.differences[k.from+uint32(k.plus):][:k.minus] }

// sum sets to, which is zero, to the sum of a side's terms. Also for the wire that a constraint gives, which is not known yet,
// kin count what it counts: zero, or its value where that is known.
func (s *solver) sum(i, side int, terms []uint32, v *cs.R1CSSolution, to *fr.Element) {
	k := s.kinOf(i, side)
	if k == nil {
		s.add(terms, v.W, to)
		return
	}
	*to = [sides]fr.Vector{v.A, v.B, v.C}[k.side][i-int(k.back)]
	var part fr.Element
	if k.minus > 0 {
		s.add(s.less(k), v.W, &part)
		to.Sub(to, &part)
	}
	if k.negative {
		to.Neg(to)
	}
	if k.plus > 0 {
		part.SetZero()
		s.add(s.more(k), v.W, &part)
		to.Add(to, &part)
	}
}
