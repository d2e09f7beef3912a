// Payment keys: secrets, public keys and their validity.

package voucher

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
)

// SecretSize is the size of a secret in bytes: an EdDSA seed, from which the scalar and the nonce key are derived.
const SecretSize = 32

// Secret is the seed of one lease's payment key. Every value is valid.
type Secret [SecretSize]byte

// Key is the public payment key of one lease: a point of the bn254 twisted Edwards curve. It may hold any pair of
// words: Valid tells whether it is a key.
type Key struct {
	X, Y fr.Element
}

// NewSecret draws a secret from the system's randomness.
func NewSecret() (Secret, error) {
	var secret Secret
	if _, err := io.ReadFull(rand.Reader, secret[:]); err != nil {
		return Secret{}, fmt.Errorf("no randomness from the system: %w", err)
	}
	return secret, nil
}

// Key derives the public key.
func (s Secret) Key() Key {
	point := s.private().PublicKey.A
	return Key{X: point.X, Y: point.Y}
}

// expand returns the secret scalar and the prefix that nonces are derived from.
func (s Secret) expand() (scalar *big.Int, prefix [32]byte) {
	serialized := s.private().Bytes() // public key, scalar big endian, prefix
	copy(prefix[:], serialized[2*fr.Bytes:])
	return new(big.Int).SetBytes(serialized[fr.Bytes : 2*fr.Bytes]), prefix
}

func (s Secret) private() *eddsa.PrivateKey {
	private, err := eddsa.GenerateKey(bytes.NewReader(s[:]))
	if err != nil {
		panic(err) // only a short read fails, and the seed is whole
	}
	return private
}

// Valid tells whether the key is on the curve, in the prime-order subgroup and not the identity.
func (k Key) Valid() bool {
	point := k.Point()
	return point.IsOnCurve() && !point.IsZero() && point.IsInSubGroup()
}

// Point is the key as a curve point, unchecked.
func (k Key) Point() twistededwards.PointAffine {
	return twistededwards.NewPointAffine(k.X, k.Y)
}
