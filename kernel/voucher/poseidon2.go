// Poseidon2 over bn254, natively: the same function as the circuit computes.

package voucher

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
)

// permutation is stateless after construction: safe for concurrent use.
var permutation = poseidon2.NewDefaultPermutation()

// Compress is the two-to-one Poseidon2 compression that the ledger's tree is made of.
func Compress(left, right fr.Element) fr.Element {
	state := [2]fr.Element{left, right}
	if err := permutation.Permutation(state[:]); err != nil {
		panic(err) // only a state of the wrong width fails
	}
	state[1].Add(&state[1], &right)
	return state[1]
}

// Hash is P2 in docs/protocol.md, section 3: the first word compressed with the second, the result with the third and so
// on. It has no length padding, so every use fixes the number of its words.
func Hash(first fr.Element, rest ...fr.Element) fr.Element {
	state := first
	for _, word := range rest {
		state = Compress(state, word)
	}
	return state
}
