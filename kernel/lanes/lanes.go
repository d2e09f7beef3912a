// Package lanes holds what the kernels that work on eight elements of a prime field at once have in common: the form of
// their numbers, and whether this processor runs them.
//
// A block is eight elements, each in five limbs of 52 bits: limb by limb, each of all eight. Products are those of
// Montgomery with the factor 2^260: Mul(a, b) is a*b/2^260.
package lanes

import (
	"math/big"
	"sync"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Lanes, limbs, and words of a block.
const (
	Lanes = 8
	Limbs = 5
	Block = Lanes * Limbs

	limbBits = 52
	limbMask = 1<<limbBits - 1
)

// Field is what the kernels know of a prime field. Their assembly knows its offsets.
type Field struct {
	modulus  [Limbs]uint64
	negative uint64        // -1/p mod 2^52
	one      uint64        // 1
	ratio    uint64        // 2^260/p, rounded down
	minus    [Limbs]uint64 // 2^260 - p
	four     [Limbs]uint64 // 4p
	eight    [Limbs]uint64 // 8p
}

// The fields of bn254.
var (
	BaseField   = newField(fp.Modulus())
	ScalarField = newField(fr.Modulus())
)

func newField(modulus *big.Int) *Field {
	inverse := new(big.Int).ModInverse(modulus, new(big.Int).Lsh(big.NewInt(1), limbBits))
	whole := new(big.Int).Lsh(big.NewInt(1), limbBits*Limbs)
	return &Field{
		modulus:  limbsOf(modulus),
		negative: (1<<limbBits - inverse.Uint64()) & limbMask,
		one:      1,
		ratio:    new(big.Int).Div(whole, modulus).Uint64(),
		minus:    limbsOf(new(big.Int).Sub(whole, modulus)),
		four:     limbsOf(new(big.Int).Lsh(modulus, 2)),
		eight:    limbsOf(new(big.Int).Lsh(modulus, 3)),
	}
}

func limbsOf(v *big.Int) (l [Limbs]uint64) {
	rest, mask := new(big.Int).Set(v), big.NewInt(limbMask)
	for i := range l {
		l[i] = new(big.Int).And(rest, mask).Uint64()
		rest.Rsh(rest, limbBits)
	}
	return l
}

// Put sets one element of a block from its four 64-bit words, as they are.
func Put(block []uint64, lane int, words *[4]uint64) {
	block = block[lane : lane+Lanes*(Limbs-1)+1]
	block[0] = words[0] & limbMask
	block[Lanes] = (words[0]>>52 | words[1]<<12) & limbMask
	block[2*Lanes] = (words[1]>>40 | words[2]<<24) & limbMask
	block[3*Lanes] = (words[2]>>28 | words[3]<<36) & limbMask
	block[4*Lanes] = words[3] >> 16
}

// Take gives one element of a block, which is below 2^256.
func Take(block []uint64, lane int) [4]uint64 {
	block = block[lane : lane+Lanes*(Limbs-1)+1]
	return [4]uint64{
		block[0] | block[Lanes]<<52,
		block[Lanes]>>12 | block[2*Lanes]<<40,
		block[2*Lanes]>>24 | block[3*Lanes]<<28,
		block[3*Lanes]>>36 | block[4*Lanes]<<16,
	}
}

// Align is the multiple of bytes at which Aligned words begin.
const Align = 1024

// Aligned gives zero words.
func Aligned(words int) []uint64 {
	all := make([]uint64, words+Align/8)
	skip := (Align - int(uintptr(unsafe.Pointer(&all[0]))%Align)) % Align / 8
	return all[skip : skip+words : skip+words]
}

// Mul sets dst to the products of the blocks of a and b, each below p + a*b/2^260. Operands are below 2^260, and need not
// be reduced. dst may be a or b.
func Mul(dst, a, b []uint64, field *Field) {
	if len(b) < len(dst) {
		panic("lanes: the operands are shorter than the products")
	}
	multiply(dst, a, b, 8*Block, field)
}

// Scale is Mul by one block.
func Scale(dst, a, by []uint64, field *Field) {
	_ = by[Block-1]
	multiply(dst, a, by, 0, field)
}

func multiply(dst, a, b []uint64, step int, field *Field) {
	if len(a) < len(dst) || len(dst)%Block != 0 {
		panic("lanes: the operands are shorter than the products, or no blocks")
	}
	if len(dst) > 0 {
		mul(&dst[0], &a[0], &b[0], step, len(dst)/Block, field)
	}
}

// InParallel splits 0 to n among tasks.
func InParallel(n, tasks int, do func(from, to int)) {
	var group sync.WaitGroup
	for t := range tasks {
		if from, to := n*t/tasks, n*(t+1)/tasks; from < to {
			group.Go(func() { do(from, to) })
		}
	}
	group.Wait()
}
