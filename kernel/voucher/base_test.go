package voucher

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
)

func TestTimesBaseIsTheLibrarysProduct(t *testing.T) {
	order := twistededwards.GetEdwardsCurve().Order
	scalars := []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(15), big.NewInt(16), new(big.Int).Sub(&order, big.NewInt(1))}
	for at := uint(0); at < 250; at += 13 {
		scalars = append(scalars, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), at), big.NewInt(1)))
	}
	for _, scalar := range scalars {
		var want, got twistededwards.PointAffine
		want.ScalarMultiplicationBase(scalar)
		product := timesBase(scalar)
		if got.FromExtended(&product); !got.Equal(&want) {
			t.Errorf("%v: the product differs", scalar)
		}
	}
}
