package voucher

import (
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
)

const (
	digitBits = 4
	digits    = 63 // of four bits, for scalars below the order's 251 bits
)

// multiplesOfBase has, for each digit of a scalar, the base point times 1 to 15 at that place.
var multiplesOfBase = sync.OnceValue(func() (table [digits][1<<digitBits - 1]twistededwards.PointAffine) {
	step := twistededwards.GetEdwardsCurve().Base
	for i := range table {
		table[i][0] = step
		for j := 1; j < len(table[i]); j++ {
			table[i][j].Add(&table[i][j-1], &step)
		}
		step.Add(&table[i][len(table[i])-1], &step)
	}
	return table
})

// timesBase is the scalar, below the order, times the base point.
func timesBase(scalar *big.Int) (sum twistededwards.PointExtended) {
	table := multiplesOfBase()
	identity := twistededwards.PointAffine{}
	identity.Y.SetOne()
	sum.FromAffine(&identity)
	for i, value := 0, new(big.Int).Set(scalar); value.Sign() != 0; i++ {
		if digit := value.Bits()[0] & (1<<digitBits - 1); digit != 0 {
			sum.MixedAdd(&sum, &table[i][digit-1])
		}
		value.Rsh(value, digitBits)
	}
	return sum
}
