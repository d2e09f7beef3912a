package ledger

import (
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	gadget "github.com/consensys/gnark/std/algebra/native/twistededwards"
	"golang.org/x/crypto/blake2b"

	"github.com/shale-cloud/shale/kernel/voucher"
)

type hashCircuit struct {
	Words      [5]frontend.Variable
	Hash       frontend.Variable `gnark:",public"`
	Compressed frontend.Variable `gnark:",public"`
}

func (c *hashCircuit) Define(api frontend.API) error {
	hash, err := newHasher(api)
	api.AssertIsEqual(hash.absorb(0, c.Words[:]...), c.Hash)
	api.AssertIsEqual(hash.compress(c.Words[0], c.Words[1]), c.Compressed)
	return err
}

func TestNativeHashEqualsTheCircuits(t *testing.T) {
	words := [5]fr.Element{wordOf(0), wordOf(7), parseWord("-1"), leaseOf(1).LeaseID, leaseOf(1).Key.X}
	assignment := &hashCircuit{Hash: voucher.Hash(words[:]...), Compressed: voucher.Compress(words[0], words[1])}
	for i, w := range words {
		assignment.Words[i] = w
	}
	if err := isSolved(t, compileOther(t, &hashCircuit{}), assignment); err != nil {
		t.Fatal(err)
	}
}

type scalarCircuit struct {
	Scalar       frontend.Variable
	KeyX, KeyY   frontend.Variable
	WantX, WantY frontend.Variable
}

func (c *scalarCircuit) Define(api frontend.API) error {
	points, err := newCurve(api)
	if err != nil {
		return err
	}
	digits := bitsAtMost(api, c.Scalar, new(big.Int).Sub(fr.Modulus(), big.NewInt(1)))
	product := points.mulKey(gadget.Point{X: c.KeyX, Y: c.KeyY}, digits)
	api.AssertIsEqual(product.X, c.WantX)
	api.AssertIsEqual(product.Y, c.WantY)
	return nil
}

// The scalars around the group's order and the field's ends are where an addition with exceptions would meet them.
func TestKeyMultiplicationHoldsAtTheEdges(t *testing.T) {
	system := compileOther(t, &scalarCircuit{})
	order := twistededwards.GetEdwardsCurve().Order
	scalars := []*big.Int{new(big.Int).Sub(fr.Modulus(), big.NewInt(1))}
	for multiple := int64(0); multiple < 8; multiple++ {
		near := new(big.Int).Mul(&order, big.NewInt(multiple))
		for offset := int64(-5); offset <= 5; offset++ {
			scalars = append(scalars, new(big.Int).Add(near, big.NewInt(offset)))
		}
	}
	for bit := uint(0); bit < 254; bit += 11 {
		scalars = append(scalars, new(big.Int).Lsh(big.NewInt(1), bit))
	}
	for _, key := range []voucher.Key{leaseOf(1).Key, baseKey()} {
		point := key.Point()
		for _, scalar := range scalars {
			if scalar.Sign() < 0 || scalar.Cmp(fr.Modulus()) >= 0 {
				continue
			}
			var want twistededwards.PointAffine
			want.ScalarMultiplication(&point, scalar)
			assignment := &scalarCircuit{Scalar: scalar, KeyX: key.X, KeyY: key.Y, WantX: want.X, WantY: want.Y}
			if err := isSolved(t, system, assignment); err != nil {
				t.Errorf("scalar %v: %v", scalar, err)
			}
		}
	}
}

type boundCircuit struct {
	Value frontend.Variable
}

func (c *boundCircuit) Define(api frontend.API) error {
	bitsAtMost(api, c.Value, big.NewInt(0b1011_0010))
	return nil
}

func TestBoundHoldsExactly(t *testing.T) {
	system := compileOther(t, &boundCircuit{})
	for value := range 0b1011_0010 + 100 {
		if solved := isSolved(t, system, &boundCircuit{Value: value}) == nil; solved != (value <= 0b1011_0010) {
			t.Errorf("%d: %t", value, solved)
		}
	}
	if isSolved(t, system, &boundCircuit{Value: -1}) == nil {
		t.Error("a negative value is in bounds")
	}
}

// Complete addition needs a = -1 to be a square and d not to be one.
func TestCurveAdditionIsComplete(t *testing.T) {
	params := twistededwards.GetEdwardsCurve()
	if params.A.Legendre() != 1 || params.D.Legendre() != -1 || params.Order.BitLen() != 251 {
		t.Fatal("the curve is not the one that the circuit's argument is about")
	}
}

func compileOther(t *testing.T, circuit frontend.Circuit) constraint.ConstraintSystem {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, circuit)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

func baseKey() voucher.Key {
	base := twistededwards.GetEdwardsCurve().Base
	return voucher.Key{X: base.X, Y: base.Y}
}

// scalarOf is the secret scalar of lease i's key, derived from the seed as RFC 8032 does.
func scalarOf(i int) *big.Int {
	seed := secretOf(i)
	expanded := blake2b.Sum512(seed[:])
	expanded[0] &= 0xF8
	expanded[31] = expanded[31]&0x7F | 0x40
	var bigEndian [sha256.Size]byte
	for j := range bigEndian {
		bigEndian[j] = expanded[31-j]
	}
	return new(big.Int).SetBytes(bigEndian[:])
}
