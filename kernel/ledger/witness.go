package ledger

import (
	"math/big"
	"runtime"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/lanes"
	"github.com/shale-cloud/shale/kernel/voucher"
)

// assignment is the circuit's full witness for the transition.
func (t *Transition) assignment() *Circuit {
	c := NewCircuit(t.Size)
	c.C, c.R, c.E = t.Inputs.C, t.Inputs.R, t.Inputs.E
	c.Domain, c.Window, c.Earned = t.Domain, uint64(t.Window), word(t.Earned)
	setBits(c.WindowBits, big.NewInt(int64(t.Window)))
	for i, sibling := range t.path {
		c.Path[i] = sibling
	}
	lanes.InParallel(len(t.steps), runtime.GOMAXPROCS(0), func(from, to int) {
		for i := from; i < to; i++ {
			c.Slots[i] = t.steps[i].slot(t.Domain)
		}
	})
	return c
}

func (s step) slot(domain fr.Element) Slot {
	w := Slot{
		Insert: bit(s.Insert), Claim: bit(s.Claim), Close: bit(s.Close),
		LeaseID: s.LeaseID,
		KeyX:    s.Key.X, KeyY: s.Key.Y,
		Amount: word(s.Amount), Seconds: s.Seconds,
		Kept: s.kept,
	}
	setBits(w.AmountBits[:], amountOf(s.Amount))
	setBits(w.SecondsBits[:], new(big.Int).SetUint64(s.Seconds))
	setBits(w.Checked[:], s.checked())

	key, signature := s.Key, s.signature
	message := s.voucher(domain).Message(s.Key)
	if !s.Claim {
		key, signature = openSignature(message)
	}
	w.Signature = signatureWitness(key, signature, message)
	return w
}

// checked is what the slot's checked bits stand for.
func (s step) checked() *big.Int {
	if s.Insert {
		return s.LeaseID.BigInt(new(big.Int))
	}
	served := new(big.Int).SetUint64(s.Seconds - s.prevSeconds)
	paid := new(big.Int).Sub(amountOf(s.Amount), amountOf(s.prevAmount))
	return paid.Add(paid, served.Lsh(served, voucher.AmountBits))
}

func signatureWitness(key voucher.Key, signature voucher.Signature, message fr.Element) SlotSignature {
	eighth := eighthOf(key)
	w := SlotSignature{RX: signature.RX, EighthX: eighth.X, EighthY: eighth.Y}
	hash := voucher.Compress(message, signature.RX)
	setBits(w.Hash[:], hash.BigInt(new(big.Int)))
	setDigits(&w.Scalar, signature.S)
	return w
}

// setDigits writes the odd one of s and s less the order, which is -2^251 + 1 + 2·b: bit i of b is one where 2^i has a plus.
func setDigits(digits *[baseBits]frontend.Variable, s *big.Int) {
	odd := new(big.Int).Set(s)
	if odd.Bit(0) == 0 {
		order := twistededwards.GetEdwardsCurve().Order
		odd.Sub(odd, &order)
	}
	most := new(big.Int).Lsh(big.NewInt(1), baseBits)
	plus := odd.Add(odd, most.Sub(most, big.NewInt(1)))
	plus.Rsh(plus, 1)
	for at := 0; at < baseBits; at += 3 {
		size := min(3, baseBits-at)
		sign := plus.Bit(at + size - 1)
		digits[at] = sign
		for i := 1; i < size; i++ {
			digits[at+i] = 1 ^ sign ^ plus.Bit(at+size-1-i)
		}
	}
}

// openSignature signs under the base point, whose secret is one, with the first nonce that the challenge takes.
func openSignature(message fr.Element) (voucher.Key, voucher.Signature) {
	params := twistededwards.GetEdwardsCurve()
	key := voucher.Key{X: params.Base.X, Y: params.Base.Y}
	for nonce := big.NewInt(1); ; nonce.Add(nonce, big.NewInt(1)) {
		var r twistededwards.PointAffine
		r.ScalarMultiplicationBase(nonce)
		if challenge, ok := voucher.Challenge(message, r.X); ok {
			s := challenge.Add(challenge, nonce)
			return key, voucher.Signature{RX: r.X, S: s.Mod(s, &params.Order)}
		}
	}
}

func eighthOf(key voucher.Key) twistededwards.PointAffine {
	params := twistededwards.GetEdwardsCurve()
	inverse := new(big.Int).ModInverse(big.NewInt(8), &params.Order)
	point := key.Point()
	return *point.ScalarMultiplication(&point, inverse)
}

func setBits(digits []frontend.Variable, value *big.Int) {
	for i := range digits {
		digits[i] = value.Bit(i)
	}
}

func bit(set bool) int {
	if set {
		return 1
	}
	return 0
}
