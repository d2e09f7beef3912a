package fastgroth

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

func TestSumsOfProductsAreThoseOfGnarkCrypto(t *testing.T) {
	if !hasDot {
		t.Skip("this processor has no ADX")
	}
	values := make([]fr.Element, 64)
	for i := range values {
		switch {
		case i < 3:
			values[i].SetInt64(int64(i) - 1)
		case i < 40:
			values[i].MustSetRandom()
		default: // p-1 as a number, which is the largest
			values[i] = fr.Element(order)
			values[i][0]--
		}
	}
	for _, n := range []int{1, 2, 3, 10, 100, 5000, 100_000} {
		for _, from := range []int{0, 3, 40} {
			terms := make([]uint32, 2*n)
			var want fr.Element
			for i := range terms {
				terms[i] = uint32(from + (i*i+i)%(64-from))
			}
			for k := range n {
				var product fr.Element
				want.Add(&want, product.Mul(&values[terms[2*k]], &values[terms[2*k+1]]))
			}
			var sum [9]uint64
			dot(&sum, &terms[0], n, &values[0], &values[0])
			if got := reduce(&sum); got != want {
				t.Errorf("the sum of %d products from %d on is %v, not %v", n, from, got, want)
			}
		}
	}
}
