package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/fastgroth"
)

// ProofWords is the number of words of a proof.
const ProofWords = 8

// Proof is a Groth16 proof in the order of the generated Solidity verifier: A.x, A.y, B.x1, B.x0, B.y1, B.y0, C.x, C.y.
// Each word is a coordinate, below the base field's modulus.
type Proof [ProofWords]*big.Int

// Stages of a proof, for who watches.
const (
	StageWitness = fastgroth.StageWitness
	StageProof   = fastgroth.StageProof
)

// Proven is a proof and what it took.
type Proven struct {
	Proof          Proof
	Witness, Prove time.Duration
}

// Prove proves the transition and verifies its own proof. It keeps all cores busy. progress, if it is not nil, hears how far
// each stage is, per mille.
func (p *Prover) Prove(t *Transition, progress func(stage string, done int)) (*Proven, error) {
	if t.Size != p.Size {
		return nil, fmt.Errorf("a batch of size %d for the keys of size %d", t.Size, p.Size)
	}
	start := time.Now()
	inputs := t.assignment().inputs()
	built := time.Since(start)
	raw, timing, err := p.prover.Prove(inputs, progress)
	if err != nil {
		return nil, fmt.Errorf("the circuit refused a batch that the native check took: %w", err)
	}
	proof := wordsOf(raw)
	if !p.Verify(t.Inputs, proof) {
		return nil, errors.New("the proof doesn't verify: the proving and the verifying key differ")
	}
	return &Proven{Proof: proof, Witness: built + timing.Witness, Prove: timing.Proof()}, nil
}

// Verify tells whether the proof holds. It takes hostile words.
func (vk *VerifyingKey) Verify(inputs Inputs, proof Proof) bool {
	parsed, ok := proof.parse()
	if !ok {
		return false
	}
	public := &Circuit{C: inputs.C, R: inputs.R, E: inputs.E}
	assigned, err := frontend.NewWitness(public, ecc.BN254.ScalarField(), frontend.PublicOnly())
	if err != nil {
		return false
	}
	return groth16.Verify(parsed, vk.key, assigned) == nil
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
