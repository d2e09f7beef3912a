package ledger

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// signatureCheats are those that only the rules of a claim's signature refuse.
func signatureCheats() []cheat {
	own := big.NewInt(77) // the cheat's own secret
	return []cheat{
		{"the cheat's own signature, whatever comes out", ruleSignature, forges(func(_ *testing.T, f *forger) {
			f.sign = func(f *forger, message fr.Element) SlotSignature {
				w := signedWith(own, f.key, message, func(voucher.Signature, fr.Element) bool { return true })
				return w
			}
		})},
		{"the mirrored key's signature", ruleKeyX, forges(func(_ *testing.T, f *forger) {
			f.sign = signedBy(mirrored(scalarOf(2)))
		})},
		{"the signature of the point with the same x, for a lease whose key is not in the subgroup", ruleKeyY, forges(func(t *testing.T, f *forger) {
			f.insertedClaim(t)
			f.key.Y.Neg(&f.key.Y)
		})},
		{"the cheat's own signature, with the last digit of the scalar fitted", ruleBaseBits, forges(func(t *testing.T, f *forger) {
			f.sign = fittedScalar
		})},
		{"a challenge known beforehand, the hash in one bit above it", ruleHashBits, forges(func(_ *testing.T, f *forger) {
			f.sign = func(f *forger, message fr.Element) SlotSignature {
				w := chosenChallenge(f.key)
				hash := voucher.Compress(message, w.RX.(fr.Element))
				above := elementOf(new(big.Int).Lsh(big.NewInt(1), voucher.ChallengeBits))
				w.Hash[voucher.ChallengeBits] = *hash.Div(&hash, &above)
				return w
			}
		})},
		{"a challenge known beforehand", ruleHash, forges(func(_ *testing.T, f *forger) {
			f.sign = func(f *forger, _ fr.Element) SlotSignature { return chosenChallenge(f.key) }
		})},
		{"a hash with the modulus added", ruleCanonical, forges(func(_ *testing.T, f *forger) { f.sign = aliasedHash })},
		{"a key off the curve, without its secret", ruleEighth, forges(offCurveEighth)},
	}
}

// mirrored is the secret of the key with the other x.
func mirrored(secret *big.Int) *big.Int {
	order := twistededwards.GetEdwardsCurve().Order
	negative := new(big.Int).Neg(secret)
	return negative.Mod(negative, &order)
}

// insertedClaim turns the slot into an insert of lease 4 with a claim that its key signs.
func (f *forger) insertedClaim(t *testing.T) {
	t.Helper()
	f.inserts(t)
	f.claim = one()
	f.pays(big.NewInt(9), big.NewInt(9))
	f.sign = signedBy(scalarOf(4))
}

// chosenChallenge is a signature for a hash whose low bits are zero, without the key's secret: R is made to fit.
func chosenChallenge(key voucher.Key) SlotSignature {
	zero := make([]fr.Element, fr.Bits)
	point := key.Point()
	challenge := new(big.Int).Lsh(big.NewInt(1), voucher.ChallengeBits+1)
	challenge.SetBit(challenge, 0, 1)
	s := big.NewInt(12345)
	var r, back twistededwards.PointAffine
	r.ScalarMultiplicationBase(s)
	back.ScalarMultiplication(&point, challenge)
	r.Add(&r, back.Neg(&back))
	eighth := eighthOf(key)
	w := SlotSignature{RX: r.X, EighthX: eighth.X, EighthY: eighth.Y}
	set(w.Hash[:], zero)
	setDigits(&w.Scalar, s)
	return w
}

// aliasedHash signs with the hash plus the modulus as challenge, where that has 254 bits.
func aliasedHash(_ *forger, message fr.Element) SlotSignature {
	secret, order := scalarOf(2), twistededwards.GetEdwardsCurve().Order
	for nonce := big.NewInt(1); ; nonce.Add(nonce, big.NewInt(1)) {
		var r twistededwards.PointAffine
		r.ScalarMultiplicationBase(nonce)
		hash := voucher.Compress(message, r.X)
		alias := hash.BigInt(new(big.Int))
		if alias.Add(alias, fr.Modulus()).BitLen() > fr.Bits {
			continue
		}
		digits := digitsOf(alias, fr.Bits)
		challenge := new(big.Int).Lsh(big.NewInt(1), voucher.ChallengeBits)
		challenge.Sub(challenge, big.NewInt(1)).And(challenge, alias).Lsh(challenge, 1)
		challenge.SetBit(challenge, 0, 1).SetBit(challenge, voucher.ChallengeBits+1, 1)
		s := challenge.Mul(challenge, secret)
		s.Add(s, nonce).Mod(s, &order)
		eighth := eighthOf(keyOf(secret))
		w := SlotSignature{RX: r.X, EighthX: eighth.X, EighthY: eighth.Y}
		set(w.Hash[:], digits)
		setDigits(&w.Scalar, s)
		return w
	}
}

// fittedScalar knows no secret: it draws R, and makes the last of the scalar's digits on the Montgomery curve the point
// that is missing.
func fittedScalar(f *forger, message fr.Element) SlotSignature {
	c := curve{params: twistededwards.GetEdwardsCurve()}
	w := signedWith(big.NewInt(1), f.key, message, func(voucher.Signature, fr.Element) bool { return true })
	setDigits(&w.Scalar, big.NewInt(1))
	var r twistededwards.PointAffine
	var challenge *big.Int
	for nonce := int64(1); ; nonce++ {
		r.ScalarMultiplicationBase(big.NewInt(nonce))
		var ok bool
		if challenge, ok = voucher.Challenge(message, r.X); ok {
			break
		}
	}
	w.RX = r.X
	hash := voucher.Compress(message, r.X)
	set(w.Hash[:], digitsOf(hash.BigInt(new(big.Int)), fr.Bits))

	// What the digits but that one stand for, as 2^i with the sign of each bit.
	last := 3 * (baseDigits - 1)
	sum := new(big.Int)
	for at := 0; at < baseBits; at += 3 {
		if at == last {
			continue
		}
		size := int64(1)
		if at+2 < baseBits {
			size += 4*int64(asInt(w.Scalar[at+1])) + 2*int64(asInt(w.Scalar[at+2]))
		} else {
			size += 2 * int64(asInt(w.Scalar[at+1]))
		}
		term := new(big.Int).Lsh(big.NewInt(size), uint(at))
		if asInt(w.Scalar[at]) == 0 {
			term.Neg(term)
		}
		sum.Add(sum, term)
	}
	order := c.params.Order
	var missing, rest twistededwards.PointAffine
	key := f.key.Point()
	missing.ScalarMultiplication(&key, challenge)
	missing.Add(&missing, &r)
	rest.ScalarMultiplicationBase(sum.Mod(sum, &order))
	missing.Add(&missing, rest.Neg(&rest))

	u, v := c.montgomeryOf(missing)
	step := new(big.Int).Lsh(big.NewInt(1), uint(last))
	u1, v1 := c.montgomeryOf(c.baseMultiple(1, step))
	u3, v3 := c.montgomeryOf(c.baseMultiple(3, step))
	// u = u1 + two·(u3 - u1), v = (2·sign - 1)·(v1 + two·(v3 - v1)).
	var two, sign fr.Element
	u3.Sub(&u3, &u1)
	two.Sub(&u, &u1).Div(&two, &u3)
	v3.Sub(&v3, &v1).Mul(&v3, &two).Add(&v3, &v1)
	one := one()
	half := wordOf(2)
	half.Inverse(&half)
	sign.Div(&v, &v3).Add(&sign, &one).Mul(&sign, &half)
	w.Scalar[last], w.Scalar[last+1], w.Scalar[last+2] = sign, 0, two
	return w
}

func asInt(digit any) int {
	switch d := digit.(type) {
	case int:
		return d
	case uint:
		return int(d)
	default:
		panic("a digit that is no bit")
	}
}

// offCurveEighth claims for a lease whose key is off the curve, knowing no secret. The Montgomery formulas take a point (u, v)
// for one of B·v² = u³ + A·u² + u + E, whatever E: with the E that makes it singular the points are a group like the
// field's units, which has one of 983 elements. There the cheat guesses what the challenge times the key is.
func offCurveEighth(t *testing.T, f *forger) {
	f.insertedClaim(t)
	const order = 983
	c := curve{params: twistededwards.GetEdwardsCurve()}
	a, b := c.coefficients()
	node, w0 := nodeOf(t, a, b)
	cofactor := new(big.Int).Sub(fr.Modulus(), big.NewInt(1))
	cofactor.Div(cofactor, big.NewInt(order))
	base := wordOf(7)
	base.Exp(base, cofactor)

	// at is the point of an element of the group, on the Edwards side.
	at := func(element fr.Element) voucher.Key {
		one := one()
		var w, u, v, divisor fr.Element
		w.Add(&one, &element).Mul(&w, &w0).Div(&w, divisor.Sub(&one, &element))
		u.Square(&w).Mul(&u, &b).Sub(&u, &a).Sub(&u, divisor.Double(&node))
		v.Sub(&u, &node).Mul(&v, &w)
		var key voucher.Key
		key.X.Div(&u, &v)
		key.Y.Sub(&u, &one).Div(&key.Y, u.Add(&u, &one))
		return key
	}
	for power := int64(1); power < order; power++ {
		generator := base
		generator.Exp(generator, big.NewInt(power))
		eighth, ok := halved(at(generator), 3)
		if !ok {
			continue
		}
		f.key = at(generator)
		f.sign = func(_ *forger, message fr.Element) SlotSignature {
			for try := int64(1); ; try++ {
				guess := big.NewInt(2 + try%(order-4))
				s := big.NewInt(try)
				var element fr.Element
				element.Exp(generator, guess)
				multiple := at(element)
				multiple.X.Neg(&multiple.X)
				var found twistededwards.PointAffine
				found.ScalarMultiplicationBase(s)
				var v0, v1, rx, divisor fr.Element
				v0.Mul(&found.X, &multiple.Y)
				v1.Mul(&multiple.X, &found.Y)
				divisor.Mul(&v0, &v1).Mul(&divisor, &c.params.D)
				one := one()
				rx.Add(&v0, &v1).Div(&rx, divisor.Add(&divisor, &one))
				challenge, ok := voucher.Challenge(message, rx)
				if !ok || new(big.Int).Mod(challenge, big.NewInt(order)).Cmp(guess) != 0 || meetsException(challenge, order) {
					continue
				}
				w := SlotSignature{RX: rx, EighthX: eighth.X, EighthY: eighth.Y}
				hash := voucher.Compress(message, rx)
				set(w.Hash[:], digitsOf(hash.BigInt(new(big.Int)), fr.Bits))
				setDigits(&w.Scalar, s)
				return w
			}
		}
		return
	}
	t.Fatal("no point of the singular curve can be halved three times")
}

// meetsException tells whether the ladder to the challenge adds equal or opposite points in a group of the order.
func meetsException(challenge *big.Int, order int64) bool {
	for shift := uint(1); shift <= voucher.ChallengeBits; shift++ {
		k := new(big.Int).Rsh(challenge, shift)
		k.SetBit(k, 0, 1).Mod(k, big.NewInt(order))
		if n := k.Int64(); n <= 2 || n >= order-2 {
			return true
		}
	}
	return false
}

// nodeOf returns the u of the double root of u³ + A·u² + u + E, for the E that gives it one, and the slope in it.
func nodeOf(t *testing.T, a, b fr.Element) (node, slope fr.Element) {
	t.Helper()
	three := wordOf(3)
	var root fr.Element
	root.Square(&a).Sub(&root, &three)
	if root.Sqrt(&root) == nil {
		t.Fatal("no node")
	}
	for range 2 {
		root.Neg(&root)
		node.Sub(&root, &a).Div(&node, &three)
		slope.Mul(&node, &three).Add(&slope, &a).Div(&slope, &b) // (node - other root)/B
		if slope.Sqrt(&slope) != nil {
			return node, slope
		}
	}
	t.Fatal("the slopes in the node are not of the field")
	return node, slope
}

// halved finds a pair of field elements, not on the curve, that the formulas double to the point, so many times over.
func halved(point voucher.Key, times int) (voucher.Key, bool) {
	if times == 0 {
		return point, true
	}
	one, half := one(), wordOf(2)
	half.Inverse(&half)
	// With s = y² - x² and t = y² + x²: X = 2xy/s, Y = t/(2 - s), and X²s² = t² - s².
	var root fr.Element
	root.Square(&point.X).Add(&root, &one)
	if root.Sqrt(&root) == nil {
		return voucher.Key{}, false
	}
	for range 2 {
		root.Neg(&root)
		var s, t, p, q fr.Element
		s.Add(&root, &point.Y)
		t.Double(&point.Y)
		s.Div(&t, &s)
		t.Mul(&root, &s)
		q.Add(&s, &t).Mul(&q, &half)
		p.Sub(&t, &s).Mul(&p, &half)
		if p.Sqrt(&p) == nil || q.Sqrt(&q) == nil {
			continue
		}
		var product fr.Element
		if product.Mul(&p, &q).Double(&product).Div(&product, &s); product != point.X {
			p.Neg(&p)
		}
		if found, ok := halved(voucher.Key{X: p, Y: q}, times-1); ok {
			return found, true
		}
	}
	return voucher.Key{}, false
}
