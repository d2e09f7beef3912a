package ledger

import (
	"bytes"
	"fmt"
	"math/big"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/frontend"
)

// ProofWords is the number of words of a proof.
const ProofWords = 8

// Proof is a Groth16 proof in the order of the generated Solidity verifier: A.x, A.y, B.x1, B.x0, B.y1, B.y0, C.x, C.y.
// Each word is a coordinate, below the base field's modulus.
type Proof [ProofWords]*big.Int

// Prove proves the transition and verifies its own proof. It keeps all cores busy for a second or so.
func (p *Prover) Prove(t *Transition) (Proof, time.Duration, error) {
	start := time.Now()
	witness, err := frontend.NewWitness(t.assignment(), ecc.BN254.ScalarField())
	if err != nil {
		return Proof{}, 0, err
	}
	raw, err := groth16.Prove(p.system, p.key, witness)
	if err != nil {
		return Proof{}, 0, fmt.Errorf("the circuit refused a batch that the native check took: %w", err)
	}
	proof := wordsOf(raw.(*groth16bn254.Proof))
	elapsed := time.Since(start)
	if !p.Verify(t.Inputs, proof) {
		return Proof{}, 0, fmt.Errorf("the proof doesn't verify: the proving and the verifying key differ")
	}
	return proof, elapsed, nil
}

// Verify tells whether the proof holds. It takes hostile words.
func (vk *VerifyingKey) Verify(inputs Inputs, proof Proof) bool {
	parsed, ok := proof.parse()
	if !ok {
		return false
	}
	public := &Circuit{C: inputs.C, R: inputs.R, E: inputs.E}
	witness, err := frontend.NewWitness(public, ecc.BN254.ScalarField(), frontend.PublicOnly())
	if err != nil {
		return false
	}
	return groth16.Verify(parsed, vk.key, witness) == nil
}

func wordsOf(raw *groth16bn254.Proof) (proof Proof) {
	serialized := raw.MarshalSolidity()
	for i := range proof {
		proof[i] = new(big.Int).SetBytes(serialized[i*fp.Bytes : (i+1)*fp.Bytes])
	}
	return proof
}

// parse reads the words through gnark's own decoder, which checks curve and subgroup. After the eight words its format has
// the number of commitments, four bytes, and one point: both zero here.
func (p Proof) parse() (groth16.Proof, bool) {
	var serialized bytes.Buffer
	var coordinate [fp.Bytes]byte
	for _, w := range p {
		if w == nil || w.Sign() < 0 || w.Cmp(fp.Modulus()) >= 0 {
			return nil, false
		}
		serialized.Write(w.FillBytes(coordinate[:]))
	}
	serialized.Write(make([]byte, 4+2*fp.Bytes))

	proof := groth16.NewProof(ecc.BN254)
	if _, err := proof.ReadFrom(&serialized); err != nil {
		return nil, false
	}
	return proof, true
}
