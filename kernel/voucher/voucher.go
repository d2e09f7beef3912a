// Package voucher signs and verifies vouchers: a client's word on the total that it has paid in one lease
// (docs/protocol.md, section 3).
package voucher

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
)

// Bit widths of what a voucher carries.
const (
	AmountBits  = 96
	LeaseIDBits = 248
)

// SignatureSize is the size of a signature in bytes: R compressed, then S big endian.
const SignatureSize = 64

// Voucher states the total amount (attoFIL, below 2^96) and seconds paid since the lease's start.
type Voucher struct {
	Domain  fr.Element
	LeaseID fr.Element
	Amount  *big.Int
	Seconds uint64
}

// Signature is what Parse made of 64 bytes: R in the prime-order subgroup, S below its order.
type Signature struct {
	R twistededwards.PointAffine
	S *big.Int
}

// Message is the word that is signed.
func (v Voucher) Message() fr.Element {
	var amount, seconds fr.Element
	amount.SetBigInt(v.Amount)
	seconds.SetUint64(v.Seconds)
	return Hash(v.Domain, v.LeaseID, amount, seconds)
}

// Sign is deterministic: the nonce is derived from the secret and the message.
func Sign(secret Secret, v Voucher) ([]byte, error) {
	message := v.Message()
	return secret.private().Sign(message.Marshal(), poseidon2.NewMerkleDamgardHasher())
}

// Parse reads a signature and accepts only its one canonical form: the circuit and every other verifier must agree
// on which bytes are a signature.
func Parse(signature []byte) (Signature, bool) {
	var parsed eddsa.Signature
	if _, err := parsed.SetBytes(signature); err != nil {
		return Signature{}, false
	}
	if !parsed.R.IsOnCurve() {
		return Signature{}, false
	}
	if [SignatureSize]byte(parsed.Bytes()) != [SignatureSize]byte(signature) {
		return Signature{}, false // a second encoding of the same R
	}
	return Signature{R: parsed.R, S: new(big.Int).SetBytes(parsed.S[:])}, true
}

// Verify tells whether the signature over the voucher holds under a valid key. It never panics on hostile bytes.
func Verify(key Key, v Voucher, signature []byte) bool {
	if !key.Valid() {
		return false
	}
	if _, ok := Parse(signature); !ok {
		return false
	}
	public := eddsa.PublicKey{A: key.Point()}
	message := v.Message()
	valid, err := public.Verify(signature, message.Marshal(), poseidon2.NewMerkleDamgardHasher())
	return err == nil && valid
}

// Challenge is the scalar H(R, A, M) of EdDSA, as a word.
func Challenge(r twistededwards.PointAffine, key Key, message fr.Element) fr.Element {
	return Hash(r.X, r.Y, key.X, key.Y, message)
}
