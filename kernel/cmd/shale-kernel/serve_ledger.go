package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/ledger"
)

// The methods ledger.*: roots, proofs and what the circuit is.

func (s *server) info(params json.RawMessage) (any, error) {
	if err := read(params, &struct{}{}); err != nil {
		return nil, err
	}
	vk, err := s.keys.verifyingKey()
	if err != nil {
		return nil, err
	}
	return struct {
		Batch             int       `json:"batch"`
		Depth             int       `json:"depth"`
		Constraints       int       `json:"constraints"`
		VKHash            wireBytes `json:"vk_hash"`
		UnsafeDevelopment bool      `json:"unsafe_development"`
		EmptyRoot         wireWord  `json:"empty_root"`
	}{ledger.Batch, ledger.Depth, vk.Manifest.Constraints, vk.Hash[:], vk.Manifest.UnsafeDevelopment, wireWord(ledger.EmptyRoot())}, nil
}

func (s *server) domain(params json.RawMessage) (any, error) {
	var p struct {
		ChainID *uint64   `json:"chain_id"`
		Ledger  wireBytes `json:"ledger"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if p.ChainID == nil || len(p.Ledger) != 20 {
		return nil, refused("params: chain_id and ledger, an address of 20 bytes, are needed")
	}
	vk, err := s.keys.verifyingKey()
	if err != nil {
		return nil, err
	}
	return struct {
		Domain wireWord `json:"domain"`
	}{wireWord(ledger.Domain(*p.ChainID, [20]byte(p.Ledger), vk.Hash))}, nil
}

func root(params json.RawMessage) (any, error) {
	var p struct {
		Leaves []wireLeaf `json:"leaves"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	leaves, err := leavesOf(p.Leaves)
	if err != nil {
		return nil, err
	}
	root, err := ledger.RootOf(leaves)
	if err != nil {
		return nil, asRefused(err)
	}
	return struct {
		Root wireWord `json:"root"`
	}{wireWord(root)}, nil
}

func (s *server) prove(params json.RawMessage) (any, error) {
	var p struct {
		Domain     *wireWord       `json:"domain"`
		Leaves     []wireLeaf      `json:"leaves"`
		Operations []wireOperation `json:"operations"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if p.Domain == nil {
		return nil, refused("params: domain is needed")
	}
	leaves, err := leavesOf(p.Leaves)
	if err != nil {
		return nil, err
	}
	operations, err := operationsOf(p.Operations)
	if err != nil {
		return nil, err
	}
	transition, err := ledger.Apply(fr.Element(*p.Domain), leaves, operations)
	if err != nil {
		return nil, asRefused(err)
	}
	s.prover.Lock()
	defer s.prover.Unlock()
	prover, err := s.keys.proving()
	if err != nil {
		return nil, err
	}
	proof, elapsed, err := prover.Prove(transition)
	if err != nil {
		return nil, err
	}
	return proven{
		OldRoot: wireWord(transition.OldRoot), NewRoot: wireWord(transition.NewRoot),
		C: wireWord(transition.Inputs.C), R: wireWord(transition.Inputs.R), E: wireWord(transition.Inputs.E),
		Proof: textsOf(proof), Words: wordsOf(transition.Words[:]),
		Constraints: prover.Manifest.Constraints, ProveSeconds: elapsed.Seconds(),
	}, nil
}

type proven struct {
	OldRoot      wireWord   `json:"old_root"`
	NewRoot      wireWord   `json:"new_root"`
	C            wireWord   `json:"c"`
	R            wireWord   `json:"r"`
	E            wireWord   `json:"e"`
	Proof        []string   `json:"proof"`
	Words        []wireWord `json:"words"`
	Constraints  int        `json:"constraints"`
	ProveSeconds float64    `json:"prove_seconds"`
}

func (s *server) verifyProof(params json.RawMessage) (any, error) {
	var p struct {
		C     *wireWord         `json:"c"`
		R     *wireWord         `json:"r"`
		E     *wireWord         `json:"e"`
		Proof []json.RawMessage `json:"proof"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if p.C == nil || p.R == nil || p.E == nil || len(p.Proof) != ledger.ProofWords {
		return nil, refused("params: c, r, e and a proof of %d words are needed", ledger.ProofWords)
	}
	var proof ledger.Proof
	for i, raw := range p.Proof {
		word, err := readHex(raw)
		if err != nil {
			return nil, refused("params: proof: %v", err)
		}
		proof[i] = word
	}
	vk, err := s.keys.verifyingKey()
	if err != nil {
		return nil, err
	}
	return validity{vk.Verify(ledger.Inputs{C: fr.Element(*p.C), R: fr.Element(*p.R), E: fr.Element(*p.E)}, proof)}, nil
}

// asRefused keeps what the ledger refuses apart from what is our own fault.
func asRefused(err error) error {
	var reason ledger.Refused
	if errors.As(err, &reason) {
		return refused("%v", reason)
	}
	return err
}

// textsOf writes coordinates, which may exceed the scalar field: they are no words.
func textsOf(proof ledger.Proof) (texts []string) {
	for _, coordinate := range proof {
		texts = append(texts, "0x"+hex.EncodeToString(coordinate.FillBytes(make([]byte, 32))))
	}
	return texts
}

func wordsOf(words []fr.Element) (wire []wireWord) {
	for _, w := range words {
		wire = append(wire, wireWord(w))
	}
	return wire
}
