package ledger

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	tedwards "github.com/consensys/gnark-crypto/ecc/twistededwards"
	"github.com/consensys/gnark/frontend"
	gadget "github.com/consensys/gnark/std/algebra/native/twistededwards"

	"github.com/shale-cloud/shale/kernel/voucher"
)

const (
	baseDigits = 83 // of three signed bits, and one of two above them: every residue of the order has such an odd form
	baseBits   = 3*baseDigits + 2

	ruleBaseBits  rule = "the scalar's digits are bits"
	ruleEighth    rule = "an eighth of the key is on the curve"
	ruleKeyX      rule = "the key that signs is the lease's, x"
	ruleKeyY      rule = "the key that signs is the lease's, y"
	ruleHashBits  rule = "the hash's bits are bits"
	ruleHash      rule = "the hash's bits are the hash's"
	ruleCanonical rule = "the hash's bits are those below the modulus"
	ruleSignature rule = "the signature holds"
)

// SlotSignature is the witness of one signature. Without a claim any key's will do.
type SlotSignature struct {
	RX               frontend.Variable
	EighthX, EighthY frontend.Variable // an eighth of the key that signs: see curve.key
	Hash             [fr.Bits]frontend.Variable
	// The scalar as digits, least significant first: three bits each are the sign (one is plus), then 4 and 2 of the odd
	// size 1 + 4·b + 2·c. The last one lacks the 4.
	Scalar [baseBits]frontend.Variable
}

type curvePoint = gadget.Point

// curve verifies vouchers on the bn254 twisted Edwards curve -x² + y² = 1 + d·x²·y². As -1 is a square and d is not, its
// addition is complete: no divisor below is zero for points on the curve.
type curve struct {
	gadget.Curve
	api     frontend.API
	params  twistededwards.CurveParams
	without rule
}

func newCurve(api frontend.API, without rule) (curve, error) {
	edwards, err := gadget.NewEdCurve(api, tedwards.BN254)
	return curve{edwards, api, twistededwards.GetEdwardsCurve(), without}, err
}

// assertVoucher holds, on a claim, the signature over the message under the lease's key: [s]B - [e]A has the x of R, with e
// of the hash of message and R. Without a claim the key is the prover's to choose, and everybody can sign: so the same
// constraints hold in every slot.
//
// That s is below the order is for the native verifier to see, which has to refuse a second form of a signature. Here s
// is known to nobody but the prover: what is proven is that one exists, and then there is one below the order.
func (c curve) assertVoucher(s *Slot, message frontend.Variable, hash hasher) {
	api, signature := c.api, &s.Signature
	key := c.key(curvePoint{X: signature.EighthX, Y: signature.EighthY})
	c.zero(ruleKeyX, s.Claim, api.Sub(key.X, s.KeyX))
	c.zero(ruleKeyY, s.Claim, api.Sub(key.Y, s.KeyY))

	// 3·2^252 is below the modulus: without both of the highest bits the decomposition is the only one.
	assertBits(api, c.without, ruleHashBits, signature.Hash[:])
	if c.without != ruleHash {
		api.AssertIsEqual(number(api, signature.Hash[:]), hash.compress(message, signature.RX))
	}
	c.zero(ruleCanonical, signature.Hash[fr.Bits-1], signature.Hash[fr.Bits-2])

	assertBits(api, c.without, ruleBaseBits, signature.Scalar[:])
	found := c.Add(c.mulBase(signature.Scalar[:3*baseDigits]), c.topDigit(signature.Scalar[3*baseDigits:]))
	x := c.addX(found, c.Neg(c.mulKey(key, signature.Hash[:voucher.ChallengeBits])))
	// Both sides are in the prime-order subgroup, where x tells the point: (x, -y) is not in it.
	if c.without != ruleSignature {
		api.AssertIsEqual(x, signature.RX)
	}
}

// key returns eight times a point of the curve: those are exactly the points of the prime-order subgroup. The identity has
// no image on the Montgomery curve, so that no signature under it can satisfy mulKey.
func (c curve) key(eighth curvePoint) curvePoint {
	if c.without != ruleEighth {
		c.AssertIsOnCurve(eighth)
	}
	return c.Double(c.Double(c.Double(eighth)))
}

// addX is the x of p + q.
func (c curve) addX(p, q curvePoint) frontend.Variable {
	v0, v1 := c.api.Mul(p.X, q.Y), c.api.Mul(q.X, p.Y)
	return c.api.DivUnchecked(c.api.Add(v0, v1), c.api.Add(1, c.api.Mul(c.params.D, v0, v1)))
}

func (c curve) zero(r rule, a, b frontend.Variable) {
	if r != c.without {
		c.api.AssertIsEqual(c.api.Mul(a, b), 0)
	}
}

// mulBase computes [Σ d_j·8^j]B for digits d_j of ±1, ±3, ±5 or ±7, three bits each.
//
// Partial sums are odd, so not zero, and below 8^j in size, the next term is at least 8^j and the two together are below
// 8^83 < ℓ: the points that are added are never equal, opposite or the identity.
func (c curve) mulBase(digits []frontend.Variable) curvePoint {
	var sum montgomery
	step := big.NewInt(1)
	for at := 0; at < len(digits); at += 3 {
		term := c.baseDigit(digits[at:at+3], step)
		if at == 0 {
			sum = term
		} else {
			sum = c.addMontgomery(sum, term)
		}
		step = new(big.Int).Lsh(step, 3)
	}
	return c.toEdwards(sum)
}

// baseDigit selects [±size·step]B: the sign changes only v, and the rest are polynomials in two bits.
func (c curve) baseDigit(digit []frontend.Variable, step *big.Int) montgomery {
	api := c.api
	var us, vs [4]fr.Element // by the bits of 4 and 2, the former first
	for i, size := range []int64{1, 3, 5, 7} {
		us[i], vs[i] = c.montgomeryOf(c.baseMultiple(size, step))
	}
	both := api.Mul(digit[1], digit[2])
	pick := func(values [4]fr.Element) frontend.Variable {
		var four, two, rest fr.Element
		four.Sub(&values[2], &values[0])
		two.Sub(&values[1], &values[0])
		rest.Sub(&values[3], &values[2]).Sub(&rest, &two)
		return api.Add(values[0], api.Mul(digit[1], four), api.Mul(digit[2], two), api.Mul(both, rest))
	}
	return montgomery{u: pick(us), v: api.Mul(api.Sub(api.Mul(2, digit[0]), 1), pick(vs))}
}

// topDigit selects [±1·8^83]B or [±3·8^83]B on the Edwards curve, where the sum may pass ℓ.
func (c curve) topDigit(digit []frontend.Variable) curvePoint {
	api := c.api
	step := new(big.Int).Lsh(big.NewInt(1), 3*baseDigits)
	one, three := c.baseMultiple(1, step), c.baseMultiple(3, step)
	pick := func(one, three fr.Element) frontend.Variable {
		three.Sub(&three, &one)
		return api.Add(one, api.Mul(digit[1], three))
	}
	return curvePoint{
		X: api.Mul(api.Sub(api.Mul(2, digit[0]), 1), pick(one.X, three.X)),
		Y: pick(one.Y, three.Y),
	}
}

func (c curve) baseMultiple(size int64, step *big.Int) twistededwards.PointAffine {
	var multiple twistededwards.PointAffine
	return *multiple.ScalarMultiplicationBase(new(big.Int).Mul(step, big.NewInt(size)))
}
