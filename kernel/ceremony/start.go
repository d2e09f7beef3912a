package ceremony

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
	"github.com/consensys/gnark/constraint"
	r1cs "github.com/consensys/gnark/constraint/bn254"
)

// start computes what the chain begins with, and what of the keys doesn't depend on it: what gnark's Phase2.Initialize
// does, on all cores and with the sums of each wire taken together. A test holds the two to the same bytes. The circuit has
// no commitments.
func start(system *r1cs.R1CS, commons *mpcsetup.SrsCommons) (*mpcsetup.Phase2, *mpcsetup.Phase2Evaluations) {
	n := len(commons.G1.AlphaTau)
	tau, alpha, beta := lagrangeG1(commons.G1.Tau[:n]), lagrangeG1(commons.G1.AlphaTau), lagrangeG1(commons.G1.BetaTau)
	tau2 := lagrangeG2(commons.G2.Tau)

	scalars := make([]scalar, len(system.Coefficients))
	inParallel(len(scalars), func(i int) { scalars[i] = scalarOf(system.Coefficients[i]) })
	internal, secret, public := system.GetNbVariables()
	wires := internal + secret + public
	left, right, out := termsOf(system, wires)

	evaluations := new(mpcsetup.Phase2Evaluations)
	evaluations.G1.A, evaluations.G1.B = make([]bn254.G1Affine, wires), make([]bn254.G1Affine, wires)
	evaluations.G2.B = make([]bn254.G2Affine, wires)
	keys := make([]bn254.G1Affine, wires)
	inParallel(wires, func(j int) {
		var a, b, k bn254.G1Jac
		var b2 bn254.G2Jac
		sum[bn254.G1Jac, bn254.G1Affine](&a, left[j], scalars, tau)
		sum[bn254.G1Jac, bn254.G1Affine](&b, right[j], scalars, tau)
		sum[bn254.G2Jac, bn254.G2Affine](&b2, right[j], scalars, tau2)
		sum[bn254.G1Jac, bn254.G1Affine](&k, left[j], scalars, beta)
		sum[bn254.G1Jac, bn254.G1Affine](&k, right[j], scalars, alpha)
		sum[bn254.G1Jac, bn254.G1Affine](&k, out[j], scalars, tau)
		evaluations.G1.A[j].FromJacobian(&a)
		evaluations.G1.B[j].FromJacobian(&b)
		evaluations.G2.B[j].FromJacobian(&b2)
		keys[j].FromJacobian(&k)
	})
	evaluations.G1.VKK = keys[:public:public]
	commitments := system.CommitmentInfo.(constraint.Groth16Commitments)
	evaluations.G1.CKK = [][]bn254.G1Affine{}
	evaluations.PublicAndCommitmentCommitted = commitments.GetPublicAndCommitmentCommitted(commitments.CommitmentIndexes(), public)

	p := new(mpcsetup.Phase2)
	_, _, p.Parameters.G1.Delta, p.Parameters.G2.Delta = bn254.Generators()
	p.Parameters.G1.PKK = append([]bn254.G1Affine{}, keys[public:]...) // contributions change them in place
	p.Parameters.G1.Z = quotients(commons.G1.Tau, n)
	return p, evaluations
}

// termsOf lists, for each wire, where it stands in the three sides of the constraints.
func termsOf(system *r1cs.R1CS, wires int) (left, right, out [][]term) {
	left, right, out = make([][]term, wires), make([][]term, wires), make([][]term, wires)
	number := uint32(0)
	iterator := system.GetR1CIterator()
	for c := iterator.Next(); c != nil; c = iterator.Next() {
		for side, expression := range map[*[][]term]constraint.LinearExpression{&left: c.L, &right: c.R, &out: c.O} {
			for _, t := range expression {
				if t.CoeffID() != constraint.CoeffIdZero {
					(*side)[t.WireID()] = append((*side)[t.WireID()], term{uint32(t.CoeffID()), number})
				}
			}
		}
		number++
	}
	return left, right, out
}

// quotients are τ^i·(τ^n - 1) in bit-reversed order, without the last place's.
func quotients(tau []bn254.G1Affine, n int) []bn254.G1Affine {
	z := make([]bn254.G1Affine, n)
	shift := bits.LeadingZeros64(uint64(n - 1))
	inParallel(n-1, func(i int) {
		z[bits.Reverse64(uint64(i))>>shift].Sub(&tau[i+n], &tau[i])
	})
	return z[:n-1]
}
