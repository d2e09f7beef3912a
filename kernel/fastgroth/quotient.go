package fastgroth

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// quotient gives the coefficients of (a*b - c) / (X^n - 1), in bit-reversed order, from a, b and c on the domain. It takes
// the three slices for its work.
func quotient(a, b, c []fr.Element, domain *fft.Domain, tasks int, done func(float64)) []fr.Element {
	n := int(domain.Cardinality)
	steps := 0
	step := func() { steps++; done(float64(steps) / 8) }
	all := []*[]fr.Element{&a, &b, &c}
	for _, v := range all {
		*v = append(*v, make([]fr.Element, n-len(*v))...)
		domain.FFTInverse(*v, fft.DIF)
		domain.FFT(*v, fft.DIT, fft.OnCoset())
		step()
		step()
	}
	// On the coset X^n - 1 is one value.
	var scale, one fr.Element
	one.SetOne()
	scale.Exp(domain.FrMultiplicativeGen, new(big.Int).SetUint64(domain.Cardinality))
	scale.Sub(&scale, &one).Inverse(&scale)
	lanes.InParallel(n, tasks, func(from, to int) {
		for i := from; i < to; i++ {
			a[i].Mul(&a[i], &b[i]).Sub(&a[i], &c[i]).Mul(&a[i], &scale)
		}
	})
	step()
	domain.FFTInverse(a, fft.DIF, fft.OnCoset())
	step()
	return a
}
