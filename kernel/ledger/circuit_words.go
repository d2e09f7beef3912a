package ledger

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/math/bits"
	"github.com/consensys/gnark/std/permutation/poseidon2"
)

// hasher computes in the circuit what voucher.Hash and voucher.Compress compute natively.
type hasher struct {
	permutation *poseidon2.Permutation
}

func newHasher(api frontend.API) (hasher, error) {
	permutation, err := poseidon2.NewPoseidon2(api)
	return hasher{permutation}, err
}

func (h hasher) compress(left, right frontend.Variable) frontend.Variable {
	return h.permutation.Compress(left, right)
}

// absorb continues a hash from a state, which is zero at the start.
func (h hasher) absorb(state frontend.Variable, words ...frontend.Variable) frontend.Variable {
	for _, w := range words {
		state = h.compress(state, w)
	}
	return state
}

// assertBits holds v below 2^n and returns its bits, least significant first.
func assertBits(api frontend.API, v frontend.Variable, n int) []frontend.Variable {
	return bits.ToBinary(api, v, bits.WithNbDigits(n))
}

// bitsAtMost holds v, as an integer, to at most bound, and returns its one decomposition into as many bits
// as bound has, least significant first. With bound below the field's modulus no second decomposition exists.
func bitsAtMost(api frontend.API, v frontend.Variable, bound *big.Int) []frontend.Variable {
	digits := bits.ToBinary(api, v, bits.WithNbDigits(bound.BitLen()), bits.WithUnconstrainedOutputs(), bits.OmitModulusCheck())
	// Holds each digit to a boolean as well.
	api.Compiler().(comparator).MustBeLessOrEqCst(digits, bound, v)
	return digits
}

// comparator is what gnark's builders and its test engine offer for comparing digits with a constant; std/math/bits uses it.
type comparator interface {
	MustBeLessOrEqCst(digits []frontend.Variable, bound *big.Int, forDebug frontend.Variable)
}

// shifted sums terms, each moved up by its number of bits. The caller has held every term inside its own field.
func shifted(api frontend.API, terms []frontend.Variable, by []uint) frontend.Variable {
	var sum frontend.Variable = 0
	for i, term := range terms {
		sum = api.Add(sum, api.Mul(term, new(big.Int).Lsh(big.NewInt(1), by[i])))
	}
	return sum
}
