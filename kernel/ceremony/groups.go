package ceremony

import (
	"math/big"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
)

// jacobian is what both groups' points offer in Jacobian form, A their affine form.
type jacobian[J, A any] interface {
	*J
	Neg(q *J) *J
	AddAssign(q *J) *J
	SubAssign(q *J) *J
	DoubleAssign() *J
	ScalarMultiplication(q *J, s *big.Int) *J
	FromAffine(a *A) *J
}

// affine writes a Jacobian point in affine form.
type affine[J, A any] interface {
	*A
	FromJacobian(p *J) *A
}

// lagrange turns the first powers of tau in a group into the values there of the Lagrange polynomials over the domain of as
// many elements: the inverse of the Fourier transform, on points.
func lagrange[J, A any, PJ jacobian[J, A], PA affine[J, A]](powers []A) []A {
	n := len(powers)
	domain := fft.NewDomain(uint64(n))
	points := make([]J, n)
	inParallel(n, func(i int) { PJ(&points[i]).FromAffine(&powers[i]) })

	// Halves to ever smaller blocks; what comes out is in bit-reversed order.
	for half, root := n/2, domain.GeneratorInv; half > 0; half, root = half/2, squared(root) {
		twiddles := powersOf(root, half)
		inParallel(n/2, func(k int) {
			at := k/half*2*half + k%half
			low, high := PJ(&points[at]), PJ(&points[at+half])
			difference := *low
			PJ(&difference).SubAssign((*J)(high))
			low.AddAssign((*J)(high))
			if k%half == 0 {
				points[at+half] = difference
				return
			}
			high.ScalarMultiplication(&difference, &twiddles[k%half])
		})
	}
	var inverse big.Int
	domain.CardinalityInv.BigInt(&inverse)
	shift := bits.LeadingZeros64(uint64(n - 1))
	values := make([]A, n)
	inParallel(n, func(i int) {
		var scaled J
		PJ(&scaled).ScalarMultiplication(&points[bits.Reverse64(uint64(i))>>shift], &inverse)
		PA(&values[i]).FromJacobian(&scaled)
	})
	return values
}

func squared(root fr.Element) fr.Element { return *root.Square(&root) }

func powersOf(root fr.Element, n int) []big.Int {
	powers := make([]big.Int, n)
	power := fr.One()
	for i := range powers {
		power.BigInt(&powers[i])
		power.Mul(&power, &root)
	}
	return powers
}

// A scalar as digits: odd and below eight in size, or zero, least significant first; negative if the whole is to be negated.
type scalar struct {
	digits   []int8
	negative bool
	wide     bool // has a digit above one in size
}

// scalarOf takes the shorter one of the scalar and its negative.
func scalarOf(element fr.Element) (s scalar) {
	var minus fr.Element
	value, negated := element.BigInt(new(big.Int)), minus.Neg(&element).BigInt(new(big.Int))
	if negated.BitLen() < value.BitLen() {
		value, s.negative = negated, true
	}
	for value.Sign() != 0 {
		digit := int8(0)
		if value.Bit(0) == 1 {
			if digit = int8(value.Bits()[0] & 15); digit > 8 {
				digit -= 16
			}
			value.Sub(value, big.NewInt(int64(digit)))
			s.wide = s.wide || digit*digit > 1
		}
		s.digits = append(s.digits, digit)
		value.Rsh(value, 1)
	}
	return s
}

// A term of a sum: which scalar, and which point.
type term struct{ scalar, point uint32 }

// maxTerms are summed at a time: each needs a table of multiples.
const maxTerms = 256

// sum adds up terms, all of them along one row of doublings.
func sum[J, A any, PJ jacobian[J, A]](total PJ, terms []term, scalars []scalar, points []A) {
	for ; len(terms) > maxTerms; terms = terms[maxTerms:] {
		sum[J, A, PJ](total, terms[:maxTerms], scalars, points)
	}
	tables := make([][4]J, len(terms)) // one, three, five and seven times the point
	longest := 0
	for i, t := range terms {
		s := scalars[t.scalar]
		table := &tables[i]
		PJ(&table[0]).FromAffine(&points[t.point])
		if s.negative {
			PJ(&table[0]).Neg(&table[0])
		}
		if s.wide {
			double := table[0]
			PJ(&double).DoubleAssign()
			for j := 1; j < len(table); j++ {
				table[j] = table[j-1]
				PJ(&table[j]).AddAssign(&double)
			}
		}
		longest = max(longest, len(s.digits))
	}
	var row J
	for at := longest - 1; at >= 0; at-- {
		PJ(&row).DoubleAssign()
		for i, t := range terms {
			digits := scalars[t.scalar].digits
			if at >= len(digits) || digits[at] == 0 {
				continue
			}
			if digit := digits[at]; digit > 0 {
				PJ(&row).AddAssign(&tables[i][digit/2])
			} else {
				PJ(&row).SubAssign(&tables[i][-digit/2])
			}
		}
	}
	total.AddAssign(&row)
}

// inParallel calls work for each of n numbers, on all cores.
func inParallel(n int, work func(i int)) {
	const chunk = 16
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				end := int(next.Add(chunk))
				if end-chunk >= n {
					return
				}
				for i := end - chunk; i < min(end, n); i++ {
					work(i)
				}
			}
		})
	}
	workers.Wait()
}

func lagrangeG1(powers []bn254.G1Affine) []bn254.G1Affine {
	return lagrange[bn254.G1Jac, bn254.G1Affine, *bn254.G1Jac, *bn254.G1Affine](powers)
}

func lagrangeG2(powers []bn254.G2Affine) []bn254.G2Affine {
	return lagrange[bn254.G2Jac, bn254.G2Affine, *bn254.G2Jac, *bn254.G2Affine](powers)
}
