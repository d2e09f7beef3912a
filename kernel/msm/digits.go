package msm

import (
	"math/big"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// scalars are the scalars of one sum or several, cut into signed digits once.
//
// A scalar above half of the group's order counts as its negative, so that small negative numbers have small digits too.
type scalars struct {
	bits    int        // of a digit
	n       int        // scalars
	windows [][]uint16 // a digit: its magnitude less one, doubled, and its sign in bit 0; zero has a mark of its own
}

// digitBits is the most bits of a digit: one more would not fit in noDigit's type.
const digitBits = 16

// noDigit stands for zero. It would be the digit -2^15, which does not occur.
const noDigit = 0xffff

var halfOrder = func() [4]uint64 {
	var half fr.Element
	half.SetBigInt(new(big.Int).Rsh(fr.Modulus(), 1))
	return half.Bits()
}()

var order = func() (w [4]uint64) {
	for i := range w {
		w[i] = new(big.Int).Rsh(fr.Modulus(), uint(64*i)).Uint64()
	}
	return w
}()

// bitsFor balances additions to buckets with those of buckets.
func bitsFor(n int) int {
	best, least := 0, 0
	for width := 4; width <= digitBits; width++ {
		cost := windowsOf(width) * (n + 2<<(width-1))
		if best == 0 || cost < least {
			best, least = width, cost
		}
	}
	return best
}

// windowsOf leaves room for the last carry: a scalar has 253 bits, once its sign is apart.
func windowsOf(bits int) int { return fr.Bits/bits + 1 }

// cut prepares scalars for sums, on so many tasks.
func cut(values []fr.Element, width, tasks int) *scalars {
	count := windowsOf(width)
	s := &scalars{bits: width, n: len(values), windows: make([][]uint16, count)}
	all := make([]uint16, len(s.windows)*s.n)
	for w := range s.windows {
		s.windows[w] = all[w*s.n : (w+1)*s.n]
	}
	lanes.InParallel(s.n, tasks, func(from, to int) {
		for i := from; i < to; i++ {
			s.cutOne(i, &values[i])
		}
	})
	return s
}

func (s *scalars) cutOne(i int, scalar *fr.Element) {
	if scalar.IsZero() {
		for _, w := range s.windows {
			w[i] = noDigit
		}
		return
	}
	v := scalar.Bits()
	var sign uint64
	if above(&v, &halfOrder) {
		v, sign = minus(&order, &v), 1
	}
	limbs := [5]uint64{v[0], v[1], v[2], v[3], 0}
	var carry uint64
	full, half := uint64(1)<<s.bits, uint64(1)<<(s.bits-1)
	for w, digits := range s.windows {
		at := uint(w * s.bits)
		digit := (limbs[at/64]>>(at%64)|limbs[at/64+1]<<1<<(63-at%64))&(full-1) + carry
		carry = 0
		negative := sign
		// Half is taken for the positive one: its negative would look like noDigit.
		if digit > half || (digit == half && sign == 1) {
			digit, carry, negative = full-digit, 1, sign^1
		}
		if digit == 0 {
			digits[i] = noDigit
		} else {
			digits[i] = uint16((digit-1)<<1 | negative)
		}
	}
}

func above(a, b *[4]uint64) bool {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return false
}

func minus(a, b *[4]uint64) (c [4]uint64) {
	var borrow uint64
	for i := range c {
		c[i], borrow = bits.Sub64(a[i], b[i], borrow)
	}
	return c
}
