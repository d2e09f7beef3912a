package fastgroth

import (
	"math/big"
	"math/bits"
	"runtime"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/shale-cloud/shale/kernel/lanes"
	"github.com/shale-cloud/shale/kernel/msm"
)

// Setup makes keys as gnark's Setup does, the same from the same randomness. Whoever knows that randomness can forge proofs:
// these keys are for development, a ceremony makes others.
func Setup(system *cs.R1CS) (*groth16.ProvingKey, *groth16.VerifyingKey, error) {
	if hasCommitments(system) {
		return nil, nil, ErrCommitments
	}
	domain := fft.NewDomain(uint64(system.GetNbConstraints()))
	waste, err := sampleWaste()
	if err != nil {
		return nil, nil, err
	}
	a, b, c := waste.evaluate(system, domain)
	public := system.GetNbPublicVariables()

	// The wires' parts of the verifying key and of the proving key: (beta a + alpha b + c), over gamma or delta.
	k := make([]fr.Element, len(a))
	tasks := runtime.GOMAXPROCS(0)
	lanes.InParallel(len(k), tasks, func(from, to int) {
		for i := from; i < to; i++ {
			var t fr.Element
			k[i].Mul(&a[i], &waste.beta)
			t.Mul(&b[i], &waste.alpha)
			k[i].Add(&k[i], &t).Add(&k[i], &c[i])
			if i < public {
				k[i].Mul(&k[i], &waste.gammaInverse)
			} else {
				k[i].Mul(&k[i], &waste.deltaInverse)
			}
		}
	})

	pk, vk := new(groth16.ProvingKey), new(groth16.VerifyingKey)
	a, pk.InfinityA = nonzero(a)
	b, pk.InfinityB = nonzero(b)
	pk.NbInfinityA, pk.NbInfinityB = uint64(len(k)-len(a)), uint64(len(k)-len(b))
	_, _, g1, g2 := curve.Generators()

	scalars := []fr.Element{waste.alpha, waste.beta, waste.delta}
	scalars = append(scalars, a...)
	scalars = append(scalars, b...)
	scalars = append(scalars, waste.powers(domain)...)
	scalars = append(scalars, k...)
	points := msm.Multiples1(&g1, scalars, tasks)
	next := func(n int) []curve.G1Affine {
		part := points[:n:n]
		points = points[n:]
		return part
	}
	pk.G1.Alpha, pk.G1.Beta, pk.G1.Delta = next(1)[0], next(1)[0], next(1)[0]
	pk.G1.A, pk.G1.B = next(len(a)), next(len(b))
	z := next(int(domain.Cardinality))
	reverseBits(z)
	pk.G1.Z = z[:len(z)-1]
	vk.G1.K = next(public)
	pk.G1.K = next(len(k) - public)
	vk.G1.Alpha, vk.G1.Beta, vk.G1.Delta = pk.G1.Alpha, pk.G1.Beta, pk.G1.Delta

	points2 := msm.Multiples2(&g2, append(b, waste.beta, waste.delta, waste.gamma), tasks)
	pk.G2.B = points2[:len(b):len(b)]
	pk.G2.Beta, pk.G2.Delta = points2[len(b)], points2[len(b)+1]
	vk.G2.Beta, vk.G2.Delta, vk.G2.Gamma = pk.G2.Beta, pk.G2.Delta, points2[len(b)+2]

	vk.PublicAndCommitmentCommitted = constraint.Groth16Commitments{}.GetPublicAndCommitmentCommitted(nil, public)
	if err := vk.Precompute(); err != nil {
		return nil, nil, err
	}
	pk.Domain = *domain
	return pk, vk, nil
}

// waste is what has to be forgotten.
type waste struct {
	t, alpha, beta, gamma, delta fr.Element
	gammaInverse, deltaInverse   fr.Element
}

// sampleWaste draws in gnark's order.
func sampleWaste() (w waste, err error) {
	for _, v := range []*fr.Element{&w.t, &w.alpha, &w.beta, &w.gamma, &w.delta} {
		for v.IsZero() {
			if _, err := v.SetRandom(); err != nil {
				return w, err
			}
		}
	}
	w.gammaInverse.Inverse(&w.gamma)
	w.deltaInverse.Inverse(&w.delta)
	return w, nil
}

// evaluate gives each wire's polynomials at t.
func (w *waste) evaluate(system *cs.R1CS, domain *fft.Domain) (a, b, c []fr.Element) {
	lagrange := w.lagrange(system.GetNbConstraints(), domain)
	wires := wiresOf(system)
	a, b, c = make([]fr.Element, wires), make([]fr.Element, wires), make([]fr.Element, wires)
	constraints := system.GetR1CIterator()
	for i := 0; ; i++ {
		r := constraints.Next()
		if r == nil {
			return a, b, c
		}
		accumulate(a, r.L, system.Coefficients, &lagrange[i])
		accumulate(b, r.R, system.Coefficients, &lagrange[i])
		accumulate(c, r.O, system.Coefficients, &lagrange[i])
	}
}

func accumulate(sums []fr.Element, terms constraint.LinearExpression, coefficients []fr.Element, value *fr.Element) {
	for _, t := range terms {
		sum := &sums[t.WireID()]
		switch id := t.CoeffID(); id {
		case constraint.CoeffIdZero:
		case constraint.CoeffIdOne:
			sum.Add(sum, value)
		case constraint.CoeffIdMinusOne:
			sum.Sub(sum, value)
		default:
			var product fr.Element
			sum.Add(sum, product.Mul(&coefficients[id], value))
		}
	}
}

// lagrange gives the first n Lagrange polynomials of the domain at t: w^i (t^N - 1) / (N (t - w^i)).
func (w *waste) lagrange(n int, domain *fft.Domain) []fr.Element {
	power, one := fr.One(), fr.One()
	powers, differences := make([]fr.Element, n), make([]fr.Element, n)
	for i := range powers {
		powers[i] = power
		differences[i].Sub(&w.t, &power)
		power.Mul(&power, &domain.Generator)
	}
	inverses := fr.BatchInvert(differences)
	var scale fr.Element
	scale.Exp(w.t, new(big.Int).SetUint64(domain.Cardinality))
	scale.Sub(&scale, &one).Mul(&scale, &domain.CardinalityInv)
	for i := range powers {
		powers[i].Mul(&powers[i], &inverses[i]).Mul(&powers[i], &scale)
	}
	return powers
}

// powers gives t^i (t^N - 1) / delta.
func (w *waste) powers(domain *fft.Domain) []fr.Element {
	one := fr.One()
	z := make([]fr.Element, domain.Cardinality)
	var v fr.Element
	v.Exp(w.t, new(big.Int).SetUint64(domain.Cardinality))
	v.Sub(&v, &one).Mul(&v, &w.deltaInverse)
	for i := range z {
		z[i] = v
		v.Mul(&v, &w.t)
	}
	return z
}

// nonzero gives the values that aren't zero, and where the zeros were.
func nonzero(values []fr.Element) (rest []fr.Element, zero []bool) {
	zero = make([]bool, len(values))
	rest = make([]fr.Element, 0, len(values)+3)
	for i := range values {
		if values[i].IsZero() {
			zero[i] = true
		} else {
			rest = append(rest, values[i])
		}
	}
	return rest, zero
}

func reverseBits(points []curve.G1Affine) {
	unused := bits.LeadingZeros(uint(len(points) - 1))
	if len(points) < 2 {
		return
	}
	for i := range points {
		if j := int(bits.Reverse(uint(i)) >> unused); j > i {
			points[i], points[j] = points[j], points[i]
		}
	}
}
