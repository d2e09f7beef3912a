// Package msm multiplies many points of bn254 with many scalars and sums them up, eight additions at a time where the
// processor has AVX-512 IFMA.
package msm

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

const (
	lanes     = 8
	limbs     = 5
	limbBits  = 52
	limbMask  = 1<<limbBits - 1
	blockSize = lanes * limbs // words of a block: limb by limb, each of eight elements
)

// field is what the kernels know of a prime field.
type field struct {
	modulus  [limbs]uint64
	negative uint64 // -1/p mod 2^52
	one      uint64 // 1
}

var (
	baseField   = newField(fp.Modulus())
	scalarField = newField(fr.Modulus())
)

func newField(modulus *big.Int) *field {
	f := &field{modulus: limbsOf(modulus), one: 1}
	inverse := new(big.Int).ModInverse(modulus, new(big.Int).Lsh(big.NewInt(1), limbBits))
	f.negative = (1<<limbBits - inverse.Uint64()) & limbMask
	return f
}

func limbsOf(v *big.Int) (l [limbs]uint64) {
	rest, mask := new(big.Int).Set(v), big.NewInt(limbMask)
	for i := range l {
		l[i] = new(big.Int).And(rest, mask).Uint64()
		rest.Rsh(rest, limbBits)
	}
	return l
}

// splitWords turns four words into limbs.
func splitWords(w *[4]uint64) [limbs]uint64 {
	return [limbs]uint64{
		w[0] & limbMask,
		(w[0]>>52 | w[1]<<12) & limbMask,
		(w[1]>>40 | w[2]<<24) & limbMask,
		(w[2]>>28 | w[3]<<36) & limbMask,
		w[3] >> 16,
	}
}

// joinLimbs is splitWords' inverse, for values below 2^256.
func joinLimbs(l *[limbs]uint64) [4]uint64 {
	return [4]uint64{
		l[0] | l[1]<<52,
		l[1]>>12 | l[2]<<40,
		l[2]>>24 | l[3]<<28,
		l[3]>>36 | l[4]<<16,
	}
}
