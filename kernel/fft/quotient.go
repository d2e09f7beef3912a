// Package fft computes the quotient of Groth16, by transforms of eight values at a time where the processor has AVX-512 IFMA.
package fft

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	gnark "github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// hasLanes tells whether our own kernels compute here, or gnark-crypto does. Tests change it.
var hasLanes = lanes.Supported

// fewValues is where gnark-crypto is as fast, and below what the kernels can do.
const fewValues = 1 << 10

// Quotients divides on one domain.
type Quotients struct {
	domain                  *gnark.Domain
	tasks                   int
	interpolate, move, back *transform
	scales                  []uint64
}

// NewQuotients prepares for a domain, on so many tasks. It keeps 120 bytes a value.
func NewQuotients(domain *gnark.Domain, tasks int) *Quotients {
	q := &Quotients{domain: domain, tasks: max(1, tasks)}
	if !q.byLanes() {
		return q
	}
	log := logOf(domain.Cardinality)
	one := fr.One()
	over := func(root, shift fr.Element) *transform {
		return &transform{newTwiddles(log, root, shift, q.tasks), log, q.tasks}
	}
	q.interpolate = over(domain.GeneratorInv, one)
	q.move = over(domain.Generator, domain.FrMultiplicativeGen)
	q.back = over(domain.GeneratorInv, domain.FrMultiplicativeGenInv)
	q.scales = q.scalesOfLanes()
	return q
}

func (q *Quotients) byLanes() bool { return hasLanes && q.domain.Cardinality >= fewValues }

// vanishing gives 1/(X^n - 1), which is one value on the coset.
func (q *Quotients) vanishing() (inverse fr.Element) {
	one := fr.One()
	inverse.Exp(q.domain.FrMultiplicativeGen, new(big.Int).SetUint64(q.domain.Cardinality))
	inverse.Sub(&inverse, &one)
	return *inverse.Inverse(&inverse)
}

// scalesOfLanes gives what a*b and c are multiplied by on the coset: 1/(X^n - 1), and what the transforms and the product of
// values times 2^256, which is times 2^252, leave to do.
func (q *Quotients) scalesOfLanes() []uint64 {
	scales := lanes.Aligned(2 * lanes.Block)
	both := q.vanishing()
	both.Mul(&both, &q.domain.CardinalityInv).Mul(&both, &q.domain.CardinalityInv)
	var product, single fr.Element
	single.Neg(&both)
	product.Mul(&both, &q.domain.CardinalityInv).Mul(&product, &sixteen)
	for lane := range lanes.Lanes {
		put(scales, lane, product)
		put(scales[lanes.Block:], lane, single)
	}
	return scales
}

// Divide gives the coefficients of (a*b - c)/(X^n - 1), in bit-reversed order, from values of a, b and c on the domain, which
// may be fewer than n: zeros follow. It may take the slices for its work. It calls done with the share that is done.
func (q *Quotients) Divide(a, b, c []fr.Element, done func(float64)) []fr.Element {
	steps := 0
	step := func() {
		steps++
		done(float64(steps) / 8)
	}
	if !q.byLanes() {
		return q.divideElsewhere(a, b, c, step)
	}
	n := int(q.domain.Cardinality)
	var blocks [3][]uint64
	for i, v := range [][]fr.Element{a, b, c} {
		blocks[i] = q.load(v)
		q.interpolate.toCoefficients(blocks[i])
		step()
		q.move.toValues(blocks[i])
		step()
	}
	lanes.InParallel(n/lanes.Lanes, q.tasks, func(from, to int) {
		at := from * lanes.Block
		combine(&blocks[0][at], &blocks[1][at], &blocks[2][at], to-from, &q.scales[0], lanes.ScalarField)
	})
	step()
	q.back.toCoefficients(blocks[0])
	quotient := make([]fr.Element, n)
	lanes.InParallel(n/lanes.Lanes, q.tasks, func(from, to int) {
		fromBlocks(&quotient[from*lanes.Lanes], &blocks[0][from*lanes.Block], to-from, lanes.ScalarField)
	})
	step()
	return quotient
}

// load turns values into blocks.
func (q *Quotients) load(values []fr.Element) []uint64 {
	blocks := lanes.Aligned(int(q.domain.Cardinality) / lanes.Lanes * lanes.Block)
	whole := len(values) / lanes.Lanes
	lanes.InParallel(whole, q.tasks, func(from, to int) {
		toBlocks(&blocks[from*lanes.Block], &values[from*lanes.Lanes], to-from, lanes.ScalarField)
	})
	for i := whole * lanes.Lanes; i < len(values); i++ {
		lanes.Put(blocks[whole*lanes.Block:], i%lanes.Lanes, (*[4]uint64)(&values[i]))
	}
	return blocks
}

// divideElsewhere is Divide by gnark-crypto.
func (q *Quotients) divideElsewhere(a, b, c []fr.Element, step func()) []fr.Element {
	n := int(q.domain.Cardinality)
	for _, v := range []*[]fr.Element{&a, &b, &c} {
		*v = append(*v, make([]fr.Element, n-len(*v))...)
		q.domain.FFTInverse(*v, gnark.DIF)
		step()
		q.domain.FFT(*v, gnark.DIT, gnark.OnCoset())
		step()
	}
	scale := q.vanishing()
	lanes.InParallel(n, q.tasks, func(from, to int) {
		for i := from; i < to; i++ {
			a[i].Mul(&a[i], &b[i]).Sub(&a[i], &c[i]).Mul(&a[i], &scale)
		}
	})
	step()
	q.domain.FFTInverse(a, gnark.DIF, gnark.OnCoset())
	step()
	return a
}
