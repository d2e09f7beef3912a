package ledger

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	tedwards "github.com/consensys/gnark-crypto/ecc/twistededwards"
	"github.com/consensys/gnark/frontend"
	gadget "github.com/consensys/gnark/std/algebra/native/twistededwards"
)

// curve verifies EdDSA on the bn254 twisted Edwards curve -x² + y² = 1 + d·x²·y². As -1 is a square and d is not, its
// addition is complete: no divisor below is zero for points on the curve.
type curve struct {
	gadget.Curve
	api    frontend.API
	params twistededwards.CurveParams
}

func newCurve(api frontend.API) (curve, error) {
	edwards, err := gadget.NewEdCurve(api, tedwards.BN254)
	return curve{edwards, api, twistededwards.GetEdwardsCurve()}, err
}

func (c curve) base() gadget.Point {
	return gadget.Point{X: c.params.Base.X, Y: c.params.Base.Y}
}

// assertKey holds key to the prime-order subgroup without the identity. The witness is an eighth of the key: the points
// that are eight times a curve point are exactly those of the subgroup, and there only the identity has x = 0.
func (c curve) assertKey(key, eighth gadget.Point) {
	c.AssertIsOnCurve(eighth)
	whole := c.Double(c.Double(c.Double(eighth)))
	c.api.AssertIsEqual(whole.X, key.X)
	c.api.AssertIsEqual(whole.Y, key.Y)
	c.api.AssertIsDifferent(key.X, 0)
}

// assertSignature holds [S]B - [h]A = R with S below the subgroup's order. Equality without cofactor makes R a point of
// the subgroup, as the native verifier demands. The key must have passed assertKey.
func (c curve) assertSignature(key, r gadget.Point, s, challenge frontend.Variable) {
	sBits := bitsAtMost(c.api, s, new(big.Int).Sub(&c.params.Order, big.NewInt(1)))
	challengeBits := bitsAtMost(c.api, challenge, new(big.Int).Sub(fr.Modulus(), big.NewInt(1)))

	found := c.Add(c.mulBase(sBits), c.Neg(c.mulKey(key, challengeBits)))
	c.api.AssertIsEqual(found.X, r.X)
	c.api.AssertIsEqual(found.Y, r.Y)
}

// mulBase computes [scalar]B in windows of three bits. Each window selects from constants: a polynomial in its bits.
func (c curve) mulBase(scalar []frontend.Variable) gadget.Point {
	var sum gadget.Point
	step := new(big.Int).SetUint64(1)
	for at := 0; at < len(scalar); at += 3 {
		window := scalar[at:min(at+3, len(scalar))]
		point := c.window(window, step)
		if at == 0 {
			sum = point
		} else {
			sum = c.Add(sum, point)
		}
		step = new(big.Int).Lsh(step, 3)
	}
	return sum
}

// window selects [digit·step]B by the bits of digit.
func (c curve) window(digit []frontend.Variable, step *big.Int) gadget.Point {
	size := 1 << len(digit)
	xs, ys := make([]fr.Element, size), make([]fr.Element, size)
	for d := range size {
		var multiple twistededwards.PointAffine
		multiple.ScalarMultiplicationBase(new(big.Int).Mul(step, big.NewInt(int64(d))))
		xs[d], ys[d] = multiple.X, multiple.Y
	}
	products := make([]frontend.Variable, size) // products[set] is the product of the bits in set
	products[0] = 1
	for set := 1; set < size; set++ {
		top := 0
		for set>>(top+1) != 0 {
			top++
		}
		products[set] = digit[top]
		if rest := set &^ (1 << top); rest != 0 {
			products[set] = c.api.Mul(products[rest], digit[top])
		}
	}
	return gadget.Point{X: c.selectConstant(xs, products), Y: c.selectConstant(ys, products)}
}

// selectConstant evaluates the multilinear polynomial that takes values[d] at the bits of d.
func (c curve) selectConstant(values []fr.Element, products []frontend.Variable) frontend.Variable {
	coefficients := append([]fr.Element(nil), values...)
	for bit := 1; bit < len(values); bit <<= 1 {
		for d := range coefficients {
			if d&bit != 0 {
				coefficients[d].Sub(&coefficients[d], &coefficients[d^bit])
			}
		}
	}
	var sum frontend.Variable = 0
	for set, coefficient := range coefficients {
		sum = c.api.Add(sum, c.api.Mul(products[set], coefficient))
	}
	return sum
}
