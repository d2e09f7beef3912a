package ledger

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// A cheat is a witness that one rule alone refuses.
type cheat struct {
	name string
	rule rule
	// make changes the forger, and after that the batch.
	make func(t *testing.T, f *forger) forgedBatch
}

// forges is a cheat that needs no change to the batch after it is computed.
func forges(change func(t *testing.T, f *forger)) func(*testing.T, *forger) forgedBatch {
	return func(t *testing.T, f *forger) forgedBatch {
		change(t, f)
		return f.batch()
	}
}

func cheats() []cheat {
	exponent := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	return []cheat{
		{"a close of two writes the leaf's negative, under flags that no contract reads as a close", ruleFlags, forges(func(_ *testing.T, f *forger) {
			f.close = wordOf(2)
		})},
		{"a claim of minus one makes a close that the contract reads as a claim", ruleFlags, forges(func(_ *testing.T, f *forger) {
			f.claim.SetInt64(-1)
			f.close = one()
			f.pays(big.NewInt(500), big.NewInt(50))
			f.moves(new(big.Int), new(big.Int))
		})},
		{"an insert between zero and one opens a lease that isn't there", ruleFlags, forges(func(_ *testing.T, f *forger) {
			f.leaseID, f.key = leaseOf(5).LeaseID, leaseOf(5).Key
			f.checked = digitsOf(f.leaseID.BigInt(new(big.Int)), voucher.LeaseIDBits)
			amount, seconds := sumOf(f.checked[:voucher.AmountBits]), sumOf(f.checked[voucher.AmountBits:][:voucher.SecondsBits])
			f.pays(amount.BigInt(new(big.Int)), seconds.BigInt(new(big.Int)))
			opened, there, one := f.opened(), leafAt(2), one()
			f.insert.Div(&there, &opened).Sub(&one, &f.insert)
			f.sign = signedBy(scalarOf(5))
		})},
		{"a leaf that isn't in the tree, opened at a place between left and right", ruleWindowBits, forges(func(_ *testing.T, f *forger) {
			f.amount = wordOf(1_000_000) // the leaf would be another lease's
			f.amountBits = digitsOf(big.NewInt(1_000_000), voucher.AmountBits)
			forged := f.opened()
			// Left and right are those of the tree if their sum is and the left one is.
			left, right := leafAt(2), leafAt(3)
			f.path[0].Add(&left, &right).Sub(&f.path[0], &forged)
			var span fr.Element
			span.Sub(&f.path[0], &forged)
			f.windowBits[0].Sub(&left, &forged).Div(&f.windowBits[0], &span)
			window := sumOf(f.windowBits)
			f.windowWord = &window
		})},
		{"another window than that of the path", ruleWindow, forges(func(_ *testing.T, f *forger) {
			other := wordOf(5)
			f.windowWord = &other
		})},
		{"more earned than is paid", ruleEarned, forges(func(_ *testing.T, f *forger) {
			more := wordOf(101)
			f.earned = &more
		})},
		{"an amount that flows over into the seconds, in one bit", ruleAmountBits, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.AmountBits), big.NewInt(400))
			f.pays(wide, big.NewInt(60))
			f.moves(new(big.Int).Sub(wide, big.NewInt(500)), big.NewInt(10))
			f.amountBits = digitsOf(new(big.Int), voucher.AmountBits)
			f.amountBits[0] = elementOf(wide)
		})},
		{"an amount that flows over into the seconds", ruleAmount, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.AmountBits), big.NewInt(400))
			f.pays(wide, big.NewInt(60))
			f.moves(new(big.Int).Sub(wide, big.NewInt(500)), big.NewInt(10))
		})},
		{"seconds above 2^64, in one bit", ruleSecondBits, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.SecondsBits), big.NewInt(40))
			f.pays(big.NewInt(600), wide)
			f.moves(big.NewInt(100), new(big.Int).Sub(wide, big.NewInt(50)))
			f.secondsBits = digitsOf(new(big.Int), voucher.SecondsBits)
			f.secondsBits[0] = elementOf(wide)
		})},
		{"seconds above 2^64", ruleSeconds, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.SecondsBits), big.NewInt(40))
			f.pays(big.NewInt(600), wide)
			f.moves(big.NewInt(100), new(big.Int).Sub(wide, big.NewInt(50)))
		})},
		{"a lower amount", ruleChecked, forges(func(_ *testing.T, f *forger) {
			f.pays(big.NewInt(400), big.NewInt(60))
			f.moves(new(big.Int), big.NewInt(10))
			f.checked[0].SetInt64(-100)
		})},
		{"fewer seconds", ruleChecked, forges(func(_ *testing.T, f *forger) {
			f.pays(big.NewInt(600), big.NewInt(40))
			f.moves(big.NewInt(100), new(big.Int))
			f.checked[voucher.AmountBits].SetInt64(-10)
		})},
		{"an earlier amount below zero, which earns more than was ever paid", ruleChecked, forges(func(_ *testing.T, f *forger) {
			// 500 + 50·2^128 is -2^128 + 500 + 51·2^128 too.
			f.pays(big.NewInt(600), big.NewInt(60))
			f.moves(big.NewInt(100), big.NewInt(9))
			more := elementOf(exponent(voucher.SecondsShift))
			f.checked[0].Add(&f.checked[0], &more)
		})},
		{"a lease id too wide, which takes other flags", ruleLeaseID, forges(func(t *testing.T, f *forger) {
			f.inserts(t)
			more := elementOf(exponent(voucher.LeaseIDBits))
			f.leaseID.Add(&f.leaseID, &more)
		})},
		{"another lease's bits", ruleLeaseID, forges(func(t *testing.T, f *forger) {
			f.inserts(t)
			f.leaseID = leaseOf(5).LeaseID
		})},
		{"more paid without a claim", ruleNoClaim, forges(func(_ *testing.T, f *forger) {
			f.claim, f.close = fr.Element{}, one()
			f.sign = signedBy(big.NewInt(1))
		})},
		{"more seconds without a claim", ruleNoClaim, forges(func(_ *testing.T, f *forger) {
			f.claim, f.close = fr.Element{}, one()
			f.pays(big.NewInt(500), big.NewInt(60))
			f.moves(new(big.Int), big.NewInt(10))
			f.sign = signedBy(big.NewInt(1))
		})},
		{"an insert with an amount that nobody signed", ruleNoClaim, forges(func(t *testing.T, f *forger) {
			f.inserts(t)
			f.pays(big.NewInt(5), new(big.Int))
		})},
		{"an untouched slot that the contract reads as a close", ruleIdleID, forges(func(t *testing.T, f *forger) {
			f.untouched()
			f.leaseID = paidElement(leaseOf(2).LeaseID, wordOf(flagClose), flagsShift)
		})},
		{"an untouched slot with an amount", ruleIdlePaid, forges(func(t *testing.T, f *forger) {
			f.untouched()
			f.pays(big.NewInt(500), big.NewInt(50))
		})},
		{"another key inserted than the contract has, fitted to the same e", ruleC, func(t *testing.T, f *forger) forgedBatch {
			f.inserts(t)
			f.close = one() // so that the new root stays whatever the key is
			honest := f.batch()
			r := honest.R.(fr.Element)
			f.key.X = wordOf(7)
			wanted, got := evaluated(honest.words, r), evaluated(f.batch().words, r)
			var place, missing fr.Element
			place.Exp(r, big.NewInt(7)) // the word of the key's y
			f.key.Y.Add(&f.key.Y, missing.Sub(&wanted, &got).Div(&missing, &place))
			forged := f.batch()
			forged.C, forged.R, forged.E = honest.C, honest.R, honest.E
			return forged
		}},
		{"words that the contract doesn't have", ruleE, func(_ *testing.T, f *forger) forgedBatch {
			b := f.batch()
			other := b.E.(fr.Element)
			one := one()
			b.E = *other.Add(&other, &one)
			return b
		}},
		{"another r than that of the words and c", ruleE, func(_ *testing.T, f *forger) forgedBatch {
			b := f.batch()
			b.R = wordOf(3)
			return b
		}},
	}
}

func evaluated(words []fr.Element, r fr.Element) (sum fr.Element) {
	for i := len(words) - 1; i >= 0; i-- {
		sum.Mul(&sum, &r).Add(&sum, &words[i])
	}
	return sum
}

// untouched makes the slot one that stays as it is.
func (f *forger) untouched() {
	f.claim = fr.Element{}
	f.leaseID, f.key = fr.Element{}, voucher.Key{}
	f.pays(new(big.Int), new(big.Int))
	f.moves(new(big.Int), new(big.Int))
	f.kept = leafAt(f.window)
	f.sign = signedBy(big.NewInt(1))
}

// opened is the leaf that the slot says was there before.
func (f *forger) opened() fr.Element {
	amount := f.before(f.amount, f.checked[:voucher.AmountBits])
	seconds := f.before(f.seconds, f.checked[voucher.AmountBits:voucher.AmountBits+voucher.SecondsBits])
	return voucher.Hash(f.leaseID, f.key.X, f.key.Y, paidElement(amount, seconds, voucher.SecondsShift))
}

func leafAt(index uint32) fr.Element {
	_, tree, err := plant(forgedLeaves())
	if err != nil {
		panic(err)
	}
	return tree.Leaf(index)
}

func TestEachRuleIsNeeded(t *testing.T) {
	whole := compiledWithout(t, "")
	if err := isSolved(t, whole, &broken{*newForger().batch().Circuit, ""}); err != nil {
		t.Fatalf("the forger cannot even make an honest batch: %v", err)
	}
	honest, err := RootOf(forgedLeaves())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(cheats(), signatureCheats()...) {
		t.Run(string(c.rule)+"/"+c.name, func(t *testing.T) {
			batch := c.make(t, newForger())
			if batch.oldRoot != honest {
				t.Fatal("the cheat starts from another tree")
			}
			witness := &broken{*batch.Circuit, ""}
			if err := isSolved(t, compiledWithout(t, c.rule), witness); err != nil {
				t.Fatalf("refused without the rule: %v", err)
			}
			if isSolved(t, whole, witness) == nil {
				t.Fatal("taken with the rule")
			}
		})
	}
}

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
