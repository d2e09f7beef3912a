package msm

import (
	curve "github.com/consensys/gnark-crypto/ecc/bn254"
)

// group is what the summation needs of G1 or G2: affine points P, Jacobian points J.
type group[P, J any] struct {
	forward, backward func(*batch)
	coordinates       int // base field elements of a coordinate

	infinite func(*P) bool
	negate   func(*P)
	sum      func(out, a, b *P) // of any two points
	mixed    func(*J, *P)
	add      func(*J, *J)
	double   func(*J)
}

var g1 = &group[curve.G1Affine, curve.G1Jac]{
	forward:     g1Forward,
	backward:    g1Backward,
	coordinates: 1,
	infinite:    (*curve.G1Affine).IsInfinity,
	negate:      func(p *curve.G1Affine) { p.Neg(p) },
	sum: func(out, a, b *curve.G1Affine) {
		var j curve.G1Jac
		j.FromAffine(a)
		j.AddMixed(b)
		out.FromJacobian(&j)
	},
	mixed:  func(j *curve.G1Jac, p *curve.G1Affine) { j.AddMixed(p) },
	add:    func(j, k *curve.G1Jac) { j.AddAssign(k) },
	double: func(j *curve.G1Jac) { j.DoubleAssign() },
}

var g2 = &group[curve.G2Affine, curve.G2Jac]{
	forward:     g2Forward,
	backward:    g2Backward,
	coordinates: 2,
	infinite:    (*curve.G2Affine).IsInfinity,
	negate:      func(p *curve.G2Affine) { p.Neg(p) },
	sum: func(out, a, b *curve.G2Affine) {
		var j curve.G2Jac
		j.FromAffine(a)
		j.AddMixed(b)
		out.FromJacobian(&j)
	},
	mixed:  func(j *curve.G2Jac, p *curve.G2Affine) { j.AddMixed(p) },
	add:    func(j, k *curve.G2Jac) { j.AddAssign(k) },
	double: func(j *curve.G2Jac) { j.DoubleAssign() },
}
