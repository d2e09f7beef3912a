package ledger

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark/frontend"
)

// A montgomery point is on B·v² = u³ + A·u² + u, birational to the Edwards curve by u = (1+y)/(1-y), v = u/x. Its addition
// takes half the constraints, but has exceptions; mulKey says why none is met.
type montgomery struct {
	u, v frontend.Variable
}

// mulKey computes [3·2^n + Σ s_i·2^i]key for n bits, least significant first, with s_i = 2·bit_i - 1. The key must be in the
// prime-order subgroup and not the identity.
//
// From k = 3 each bit takes k to 2k ± 1, always at least 3 and below 2^(n+2) < ℓ: so k, k ± 1 and 2k ± 1 are never zero, and
// no two points that are added are equal, opposite or the identity.
func (c curve) mulKey(key curvePoint, digits []frontend.Variable) curvePoint {
	api := c.api
	one := c.toMontgomery(key)
	accumulator := c.addMontgomery(c.doubleMontgomery(one), one)
	for i := len(digits) - 1; i >= 0; i-- {
		signed := montgomery{u: one.u, v: api.Mul(api.Sub(api.Mul(2, digits[i]), 1), one.v)}
		accumulator = c.doubleAddMontgomery(accumulator, signed)
	}
	return c.toEdwards(accumulator)
}

// coefficients returns A = 2(a+d)/(a-d) and B = 4/(a-d).
func (c curve) coefficients() (a, b fr.Element) {
	var divisor fr.Element
	divisor.Sub(&c.params.A, &c.params.D).Inverse(&divisor)
	a.Add(&c.params.A, &c.params.D).Double(&a).Mul(&a, &divisor)
	b.SetUint64(4).Mul(&b, &divisor)
	return a, b
}

// toMontgomery cannot be satisfied by the identity: 1 - y is zero there, 1 + y is not.
func (c curve) toMontgomery(p curvePoint) montgomery {
	u := c.api.DivUnchecked(c.api.Add(1, p.Y), c.api.Sub(1, p.Y))
	return montgomery{u: u, v: c.api.DivUnchecked(u, p.X)}
}

// montgomeryOf is the same for a known point.
func (c curve) montgomeryOf(p twistededwards.PointAffine) (u, v fr.Element) {
	one := fr.One()
	var divisor fr.Element
	divisor.Sub(&one, &p.Y).Inverse(&divisor)
	u.Add(&one, &p.Y).Mul(&u, &divisor)
	divisor.Inverse(&p.X)
	v.Mul(&u, &divisor)
	return u, v
}

// toEdwards needs v ≠ 0, which holds for all points of odd order; u ≠ -1 holds for all images of Edwards points.
func (c curve) toEdwards(p montgomery) curvePoint {
	return curvePoint{
		X: c.api.DivUnchecked(p.u, p.v),
		Y: c.api.DivUnchecked(c.api.Sub(p.u, 1), c.api.Add(p.u, 1)),
	}
}

// addMontgomery needs p ≠ ±q.
func (c curve) addMontgomery(p, q montgomery) montgomery {
	slope := c.api.DivUnchecked(c.api.Sub(q.v, p.v), c.api.Sub(q.u, p.u))
	return c.chord(p, q.u, slope)
}

// doubleMontgomery needs v ≠ 0.
func (c curve) doubleMontgomery(p montgomery) montgomery {
	a, b := c.coefficients()
	numerator := c.api.Add(c.api.Mul(3, c.api.Mul(p.u, p.u)), c.api.Mul(2, a, p.u), 1)
	slope := c.api.DivUnchecked(numerator, c.api.Mul(2, b, p.v))
	return c.chord(p, p.u, slope)
}

// doubleAddMontgomery computes (p+q)+p without the v of p+q. It needs p ≠ ±q, q not the identity and p+q ≠ -p.
func (c curve) doubleAddMontgomery(p, q montgomery) montgomery {
	slope := c.api.DivUnchecked(c.api.Sub(q.v, p.v), c.api.Sub(q.u, p.u))
	between := c.third(slope, p.u, q.u)
	second := c.api.Neg(c.api.Add(slope, c.api.DivUnchecked(c.api.Mul(2, p.v), c.api.Sub(between, p.u))))
	return c.chord(p, between, second)
}

// chord is the third point, mirrored, of the line through p and a point with u = other.
func (c curve) chord(p montgomery, other, slope frontend.Variable) montgomery {
	u := c.third(slope, p.u, other)
	return montgomery{u: u, v: c.api.Sub(c.api.Mul(slope, c.api.Sub(p.u, u)), p.v)}
}

func (c curve) third(slope, u1, u2 frontend.Variable) frontend.Variable {
	a, b := c.coefficients()
	return c.api.Sub(c.api.Mul(b, c.api.Mul(slope, slope)), a, u1, u2)
}
