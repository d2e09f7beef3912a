package ledger

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// assignment is the circuit's full witness for the transition.
func (t *Transition) assignment() *Circuit {
	c := &Circuit{
		C: t.Inputs.C, R: t.Inputs.R, E: t.Inputs.E,
		Domain: t.Domain, OldRoot: t.OldRoot,
	}
	for i, s := range t.steps {
		c.Operations[i] = s.update(t.Domain)
	}
	return c
}

func (s step) update(domain fr.Element) Update {
	key, signature := s.Key, s.signature
	if !s.Claim {
		key, signature = s.openSignature(domain)
	}
	eighth := eighthOf(key)
	u := Update{
		Insert: bit(s.Insert), Claim: bit(s.Claim), Close: bit(s.Close),
		Index:   s.Index,
		LeaseID: s.LeaseID,
		KeyX:    s.Key.X, KeyY: s.Key.Y,
		Deposit:    amountOf(s.Deposit),
		PrevAmount: amountOf(s.prevAmount), Amount: amountOf(s.Amount),
		PrevSeconds: s.prevSeconds, Seconds: s.Seconds,
		RX: signature.R.X, RY: signature.R.Y, S: signature.S,
		KeyEighthX: eighth.X, KeyEighthY: eighth.Y,
	}
	for height, sibling := range s.path {
		u.Path[height] = sibling
	}
	return u
}

// openSignature signs under the base point, whose secret is one, with nonce one: R = B, S = 1 + h.
func (s step) openSignature(domain fr.Element) (voucher.Key, voucher.Signature) {
	params := twistededwards.GetEdwardsCurve()
	key := voucher.Key{X: params.Base.X, Y: params.Base.Y}
	message := voucher.Voucher{Domain: domain, LeaseID: s.LeaseID, Amount: amountOf(s.Amount), Seconds: s.Seconds}.Message()
	challenge := voucher.Challenge(params.Base, key, message)
	scalar := challenge.BigInt(new(big.Int))
	scalar.Add(scalar, big.NewInt(1)).Mod(scalar, &params.Order)
	return key, voucher.Signature{R: params.Base, S: scalar}
}

func eighthOf(key voucher.Key) twistededwards.PointAffine {
	params := twistededwards.GetEdwardsCurve()
	inverse := new(big.Int).ModInverse(big.NewInt(8), &params.Order)
	point := key.Point()
	return *point.ScalarMultiplication(&point, inverse)
}

func bit(set bool) int {
	if set {
		return 1
	}
	return 0
}
