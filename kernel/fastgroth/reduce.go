package fastgroth

import (
	"math/big"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// order is the scalar field's modulus, and orderInverse -1/order mod 2^64.
var order, orderInverse = func() (words [4]uint64, inverse uint64) {
	for i := range words {
		words[i] = new(big.Int).Rsh(fr.Modulus(), uint(64*i)).Uint64()
	}
	whole := new(big.Int).Lsh(big.NewInt(1), 64)
	return words, -new(big.Int).ModInverse(fr.Modulus(), whole).Uint64()
}()

// mostTerms is how many products reduce takes the sum of.
const mostTerms = 1 << 20

// reduce gives sum / 2^256 modulo the order, which is the element of gnark-crypto's form for a sum of products of such. The
// sum is of at most mostTerms products.
func reduce(sum *[9]uint64) (e fr.Element) {
	t := *sum
	for i := range 4 {
		m := t[i] * orderInverse
		var carry uint64
		for j := range 4 {
			high, low := bits.Mul64(m, order[j])
			var c uint64
			low, c = bits.Add64(low, t[i+j], 0)
			high += c
			t[i+j], c = bits.Add64(low, carry, 0)
			carry = high + c
		}
		for j := i + 4; carry != 0 && j < len(t); j++ {
			t[j], carry = bits.Add64(t[j], carry, 0)
		}
	}
	// The quotient by the order's highest bits, rounded up, is at most the true one, and hardly less.
	q := (t[8]<<16 | t[7]>>48) / (order[3]>>48 + 1)
	v := [5]uint64(t[4:])
	subtract(&v, q)
	for v[4] != 0 || !below(&v) {
		subtract(&v, 1)
	}
	return fr.Element(v[:4])
}

// subtract takes q times the order.
func subtract(v *[5]uint64, q uint64) {
	var carry, borrow uint64
	for i := range order {
		high, low := bits.Mul64(q, order[i])
		var c uint64
		low, c = bits.Add64(low, carry, 0)
		carry = high + c
		v[i], borrow = bits.Sub64(v[i], low, borrow)
	}
	v[4] -= carry + borrow
}

func below(v *[5]uint64) bool {
	for i := 3; i >= 0; i-- {
		if v[i] != order[i] {
			return v[i] < order[i]
		}
	}
	return false
}
