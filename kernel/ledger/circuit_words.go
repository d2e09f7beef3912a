package ledger

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/permutation/poseidon2"

	"github.com/shale-cloud/shale/kernel/voucher"
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

// absorb continues a hash from its first word.
func (h hasher) absorb(state frontend.Variable, words ...frontend.Variable) frontend.Variable {
	for _, w := range words {
		state = h.compress(state, w)
	}
	return state
}

// assertBits holds every digit to zero or one.
func assertBits(api frontend.API, without, r rule, digits []frontend.Variable) {
	if r == without {
		return
	}
	for _, digit := range digits {
		api.AssertIsBoolean(digit)
	}
}

// number is what digits stand for, least significant first: no constraint, a sum of as many terms.
func number(api frontend.API, digits []frontend.Variable) frontend.Variable {
	terms := []frontend.Variable{0, 0}
	for i, digit := range digits {
		terms = append(terms, api.Mul(digit, new(big.Int).Lsh(big.NewInt(1), uint(i))))
	}
	return api.Add(terms[0], terms[1], terms[2:]...)
}

// shifted sums terms, each moved up by its number of bits. The caller has held every term inside its own field.
func shifted(api frontend.API, terms []frontend.Variable, by []uint) frontend.Variable {
	var sum frontend.Variable = 0
	for i, term := range terms {
		sum = api.Add(sum, api.Mul(term, new(big.Int).Lsh(big.NewInt(1), by[i])))
	}
	return sum
}

// paidWord is the word that a leaf has for what was paid.
func paidWord(api frontend.API, amount, seconds frontend.Variable) frontend.Variable {
	return shifted(api, []frontend.Variable{amount, seconds}, []uint{0, voucher.SecondsShift})
}

// packedFlags packs the flags of all slots, three bits each, into as few words as hold them.
func packedFlags(api frontend.API, flags []frontend.Variable) (words []frontend.Variable) {
	for len(flags) > 0 {
		n := min(len(flags), flagsPerWord)
		places := make([]uint, n)
		for i := range places {
			places[i] = uint(flagBits * i)
		}
		words = append(words, shifted(api, flags[:n], places))
		flags = flags[n:]
	}
	return words
}
