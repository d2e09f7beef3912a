package ledger

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	gadget "github.com/consensys/gnark/std/algebra/native/twistededwards"
)

// A montgomery point is on B·v² = u³ + A·u² + u, birational to the Edwards curve by u = (1+y)/(1-y), v = u/x. Its addition
// takes half the constraints, but has exceptions; mulKey says why none is met.
type montgomery struct {
	u, v frontend.Variable
}

// mulKey computes [h]key for h of 254 bits below the field's modulus, least significant bit first. The key must be in the
// prime-order subgroup and not the identity.
//
// An odd h is 2^253 + Σ s_i·2^i over i < 253, with s_i = 2·bit_{i+1} - 1. So from k = 1 each pair of signs takes k to
// 4k + d, d ∈ {±1, ±3}, and k = (h >> i) | 1 at every step. While k stays below 2^250 < ℓ, all of 2k ± d (odd, so not
// zero), d and 4k + d lie strictly between -ℓ and ℓ and are not zero: no two points that are added are equal, opposite or
// the identity. The last two pairs, where k may pass ℓ, are added on the Edwards curve, which has no exceptions. For an
// even h the same is done for h + 1 and the key taken off at the end.
func (c curve) mulKey(key gadget.Point, h []frontend.Variable) gadget.Point {
	api := c.api
	const complete = 2 // pairs that are left to the Edwards curve
	top := len(h) - 1
	pairs := (top - 1) / 2

	one := c.toMontgomery(key)
	three := c.addMontgomery(c.doubleMontgomery(one), one)
	accumulator := montgomery{
		u: api.Select(h[top], three.u, one.u),
		v: api.Select(h[top], three.v, one.v),
	}
	for j := pairs - 1; j >= complete; j-- {
		high, low := h[2*j+2], h[2*j+1]
		same := api.Sub(1, high, low, api.Mul(-2, high, low)) // one if the digit is ±3
		digit := montgomery{
			u: api.Select(same, three.u, one.u),
			v: api.Mul(api.Sub(api.Mul(2, high), 1), api.Select(same, three.v, one.v)),
		}
		accumulator = c.doubleAddMontgomery(c.doubleMontgomery(accumulator), digit)
	}

	sum, edwardsThree := c.toEdwards(accumulator), c.toEdwards(three)
	for j := complete - 1; j >= 0; j-- {
		high, low := h[2*j+2], h[2*j+1]
		same := api.Sub(1, high, low, api.Mul(-2, high, low))
		digit := gadget.Point{
			X: api.Mul(api.Sub(api.Mul(2, high), 1), api.Select(same, edwardsThree.X, key.X)),
			Y: api.Select(same, edwardsThree.Y, key.Y),
		}
		sum = c.Add(c.Double(c.Double(sum)), digit)
	}
	even := api.Sub(1, h[0])
	return c.Add(sum, gadget.Point{
		X: api.Neg(api.Mul(even, key.X)),
		Y: api.Add(1, api.Mul(even, api.Sub(key.Y, 1))),
	})
}

// coefficients returns A = 2(a+d)/(a-d) and B = 4/(a-d).
func (c curve) coefficients() (a, b fr.Element) {
	var divisor fr.Element
	divisor.Sub(&c.params.A, &c.params.D).Inverse(&divisor)
	a.Add(&c.params.A, &c.params.D).Double(&a).Mul(&a, &divisor)
	b.SetUint64(4).Mul(&b, &divisor)
	return a, b
}

// toMontgomery needs x ≠ 0, which on the curve makes y ≠ 1.
func (c curve) toMontgomery(p gadget.Point) montgomery {
	u := c.api.DivUnchecked(c.api.Add(1, p.Y), c.api.Sub(1, p.Y))
	return montgomery{u: u, v: c.api.DivUnchecked(u, p.X)}
}

// toEdwards needs v ≠ 0, which holds for all points of odd order; u ≠ -1 holds for all images of Edwards points.
func (c curve) toEdwards(p montgomery) gadget.Point {
	return gadget.Point{
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
