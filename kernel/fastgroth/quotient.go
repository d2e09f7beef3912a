package fastgroth

import (
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
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
	inParallel(n, tasks, func(from, to int) {
		for i := from; i < to; i++ {
			a[i].Mul(&a[i], &b[i]).Sub(&a[i], &c[i]).Mul(&a[i], &scale)
		}
	})
	step()
	domain.FFTInverse(a, fft.DIF, fft.OnCoset())
	step()
	return a
}

// inParallel splits 0 to n among tasks.
func inParallel(n, tasks int, do func(from, to int)) {
	var group sync.WaitGroup
	for t := range tasks {
		if from, to := n*t/tasks, n*(t+1)/tasks; from < to {
			group.Go(func() { do(from, to) })
		}
	}
	group.Wait()
}
