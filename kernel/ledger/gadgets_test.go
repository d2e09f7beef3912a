package ledger

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/voucher"
)

type hashCircuit struct {
	Words      [5]frontend.Variable
	Hash       frontend.Variable `gnark:",public"`
	Compressed frontend.Variable `gnark:",public"`
}

func (c *hashCircuit) Define(api frontend.API) error {
	hash, err := newHasher(api)
	api.AssertIsEqual(hash.absorb(c.Words[0], c.Words[1:]...), c.Hash)
	api.AssertIsEqual(hash.compress(c.Words[0], c.Words[1]), c.Compressed)
	return err
}

func TestNativeHashEqualsTheCircuits(t *testing.T) {
	words := [5]fr.Element{wordOf(0), wordOf(7), parseWord("-1"), leaseOf(1).LeaseID, leaseOf(1).Key.X}
	assignment := &hashCircuit{Hash: voucher.Hash(words[0], words[1:]...), Compressed: voucher.Compress(words[0], words[1])}
	for i, w := range words {
		assignment.Words[i] = w
	}
	if err := isSolved(t, compileOther(t, &hashCircuit{}), assignment); err != nil {
		t.Fatal(err)
	}
}

// scalarCircuit computes the challenge's multiple of a key, and what the digits of a signature's scalar stand for.
type scalarCircuit struct {
	Challenge  [voucher.ChallengeBits]frontend.Variable
	Scalar     [baseBits]frontend.Variable
	KeyX, KeyY frontend.Variable
	WantKey    [2]frontend.Variable
	WantBase   [2]frontend.Variable
}

func (c *scalarCircuit) Define(api frontend.API) error {
	points, err := newCurve(api, "")
	if err != nil {
		return err
	}
	product := points.mulKey(curvePoint{X: c.KeyX, Y: c.KeyY}, c.Challenge[:])
	api.AssertIsEqual(product.X, c.WantKey[0])
	api.AssertIsEqual(product.Y, c.WantKey[1])
	found := points.Add(points.mulBase(c.Scalar[:3*baseDigits]), points.topDigit(c.Scalar[3*baseDigits:]))
	api.AssertIsEqual(found.X, c.WantBase[0])
	api.AssertIsEqual(found.Y, c.WantBase[1])
	return nil
}

// Both ends of every range are where an addition with exceptions would meet them, if one did.
func TestMultiplicationsHoldAtTheEdges(t *testing.T) {
	system := compileOther(t, &scalarCircuit{})
	order := twistededwards.GetEdwardsCurve().Order
	most := new(big.Int).Lsh(big.NewInt(1), voucher.ChallengeBits)
	var challenges, scalars []*big.Int
	for offset := int64(0); offset < 8; offset++ {
		challenges = append(challenges, big.NewInt(offset), new(big.Int).Sub(most, big.NewInt(offset+1)))
		scalars = append(scalars, big.NewInt(offset), new(big.Int).Sub(&order, big.NewInt(offset+1)))
	}
	for at := uint(0); at < 250; at += 15 {
		challenges = append(challenges, new(big.Int).Lsh(big.NewInt(1), at%voucher.ChallengeBits))
		scalars = append(scalars, new(big.Int).Lsh(big.NewInt(1), at))
	}
	for i, challenge := range challenges {
		key := []voucher.Key{leaseOf(1).Key, baseKey()}[i%2]
		point := key.Point()
		multiple := new(big.Int).Lsh(challenge, 1)
		multiple.SetBit(multiple, 0, 1).SetBit(multiple, voucher.ChallengeBits+1, 1)
		var ofKey, ofBase twistededwards.PointAffine
		ofKey.ScalarMultiplication(&point, multiple)
		ofBase.ScalarMultiplicationBase(scalars[i])
		assignment := &scalarCircuit{KeyX: key.X, KeyY: key.Y}
		assignment.WantKey = [2]frontend.Variable{ofKey.X, ofKey.Y}
		assignment.WantBase = [2]frontend.Variable{ofBase.X, ofBase.Y}
		setBits(assignment.Challenge[:], challenge)
		setDigits(&assignment.Scalar, scalars[i])
		if err := isSolved(t, system, assignment); err != nil {
			t.Errorf("challenge %v, scalar %v: %v", challenge, scalars[i], err)
		}
		assignment.WantKey[0] = ofBase.X
		if isSolved(t, system, assignment) == nil {
			t.Errorf("challenge %v: any product will do", challenge)
		}
	}
}

// The ladder's argument needs 2^130 below the order, the base's 8^83, and that 3·2^252 is below the modulus.
func TestCurveHasTheOrderThatTheArgumentsNeed(t *testing.T) {
	order := twistededwards.GetEdwardsCurve().Order
	if order.BitLen() <= 3*baseDigits || order.BitLen() > baseBits || order.Bit(0) != 1 {
		t.Fatal("the digits of the scalar don't fit the order")
	}
	if three := new(big.Int).Lsh(big.NewInt(3), fr.Bits-2); three.Cmp(fr.Modulus()) >= 0 {
		t.Fatal("a hash below 3·2^252 has a second decomposition")
	}
}

// Complete addition needs a = -1 to be a square and d not to be one.
func TestCurveAdditionIsComplete(t *testing.T) {
	params := twistededwards.GetEdwardsCurve()
	if params.A.Legendre() != 1 || params.D.Legendre() != -1 || params.Order.BitLen() != 251 {
		t.Fatal("the curve is not the one that the circuit's argument is about")
	}
}

func baseKey() voucher.Key {
	base := twistededwards.GetEdwardsCurve().Base
	return voucher.Key{X: base.X, Y: base.Y}
}
