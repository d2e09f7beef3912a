// Package voucher signs and verifies vouchers: a client's word on the total that it has paid in one lease
// (docs/protocol.md, section 3).
package voucher

import (
	"encoding/binary"
	"errors"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"golang.org/x/crypto/blake2b"
)

// Bit widths of what a voucher carries.
const (
	AmountBits  = 96
	SecondsBits = 64
	LeaseIDBits = 248

	// SecondsShift is where the seconds stand in the word that a leaf has for what was paid. The gap above the amount is
	// what lets the circuit take the two apart without a range check (docs/decisions/0011).
	SecondsShift = 128
)

// SignatureSize is the size of a signature in bytes: the x of R, then S, both big endian.
const SignatureSize = 64

// ChallengeBits is the length of the challenge that is taken from the hash.
const ChallengeBits = 128

// Voucher states the total amount (attoFIL, below 2^96) and seconds paid since the lease's start.
type Voucher struct {
	Domain  fr.Element
	LeaseID fr.Element
	Amount  *big.Int
	Seconds uint64
}

// Signature is what Parse made of 64 bytes. In the prime-order subgroup x alone tells a point; S is below its order.
type Signature struct {
	RX fr.Element
	S  *big.Int
}

// fits tells whether the fields have their widths: wider ones would run into each other in the leaf's word, so that one
// signature were of two vouchers.
func (v Voucher) fits() bool {
	return v.Amount != nil && v.Amount.Sign() >= 0 && v.Amount.BitLen() <= AmountBits && v.LeaseID.BigInt(new(big.Int)).BitLen() <= LeaseIDBits
}

// Leaf is the leaf of the ledger's tree that redeeming the voucher leads to.
func (v Voucher) Leaf(key Key) fr.Element {
	var paid, seconds, shift fr.Element
	paid.SetBigInt(v.Amount)
	seconds.SetUint64(v.Seconds)
	shift.SetBigInt(new(big.Int).Lsh(big.NewInt(1), SecondsShift))
	paid.Add(&paid, seconds.Mul(&seconds, &shift))
	return Hash(v.LeaseID, key.X, key.Y, paid)
}

// Message is the word that is signed.
func (v Voucher) Message(key Key) fr.Element { return Compress(v.Domain, v.Leaf(key)) }

// Sign is deterministic: the nonce is derived from the secret, the message and the number of tries, of which one in 120
// needs a second one (see Challenge).
func Sign(secret Secret, v Voucher) ([]byte, error) {
	if !v.fits() {
		return nil, errors.New("a voucher's amount is below 2^96 and its lease id below 2^248")
	}
	scalar, prefix := secret.expand()
	message := v.Message(secret.Key())
	order := twistededwards.GetEdwardsCurve().Order
	for try := uint32(0); ; try++ {
		seed := append(append([]byte{}, prefix[:]...), message.Marshal()...)
		digest := blake2b.Sum512(binary.BigEndian.AppendUint32(seed, try))
		nonce := new(big.Int).SetBytes(digest[:])
		nonce.Mod(nonce, &order)
		var r twistededwards.PointAffine
		r.ScalarMultiplicationBase(nonce)
		challenge, ok := Challenge(message, r.X)
		if !ok {
			continue
		}
		s := new(big.Int).Mul(challenge, scalar)
		s.Add(s, nonce).Mod(s, &order)
		return append(r.X.Marshal(), s.FillBytes(make([]byte, fr.Bytes))...), nil
	}
}

// Parse reads a signature and accepts only its one canonical form: two words, the first below the field's modulus, the
// second below the subgroup's order.
func Parse(signature []byte) (Signature, bool) {
	if len(signature) != SignatureSize {
		return Signature{}, false
	}
	var parsed Signature
	if err := parsed.RX.SetBytesCanonical(signature[:fr.Bytes]); err != nil {
		return Signature{}, false
	}
	parsed.S = new(big.Int).SetBytes(signature[fr.Bytes:])
	order := twistededwards.GetEdwardsCurve().Order
	return parsed, parsed.S.Cmp(&order) < 0
}

// Verify tells whether the signature over the voucher holds under a valid key: whether [S]B - [challenge]A has the x of R.
// It never panics on hostile bytes.
func Verify(key Key, v Voucher, signature []byte) bool {
	parsed, ok := Parse(signature)
	if !ok || !v.fits() || !key.Valid() {
		return false
	}
	challenge, ok := Challenge(v.Message(key), parsed.RX)
	if !ok {
		return false
	}
	var found, challenged twistededwards.PointExtended
	point := key.Point()
	challenged.FromAffine(&point)
	challenged.ScalarMultiplication(&challenged, challenge)
	challenged.Neg(&challenged)
	found = timesBase(parsed.S)
	found.Add(&found, &challenged)
	// X/Z is the x of R.
	var x fr.Element
	return found.X.Equal(x.Mul(&parsed.RX, &found.Z))
}

// Challenge is the scalar 2^129 + 1 + 2·(hash mod 2^128), which a ladder of 128 steps computes, or false if the hash of
// message and R isn't below 3·2^252: so that two bits tell the circuit that its decomposition is the one below the modulus.
func Challenge(message, rx fr.Element) (*big.Int, bool) {
	hash := Compress(message, rx)
	value := hash.BigInt(new(big.Int))
	if value.Bit(fr.Bits-1) == 1 && value.Bit(fr.Bits-2) == 1 {
		return nil, false
	}
	mask := new(big.Int).Lsh(big.NewInt(1), ChallengeBits)
	value.And(value, mask.Sub(mask, big.NewInt(1)))
	value.Lsh(value, 1).SetBit(value, 0, 1)
	return value.SetBit(value, ChallengeBits+1, 1), true
}
