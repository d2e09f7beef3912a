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
	keys, err := s.keys.pinned()
	if err != nil {
		return nil, err
	}
	described := []sizeInfo{}
	for _, size := range ledger.Sizes {
		vk := keys.BySize[size]
		described = append(described, sizeInfo{size, vk.Constraints, vk.Hash[:], keys.Provable(s.keys.dir, size), filesOf(keys, size)})
	}
	return struct {
		Sizes             []sizeInfo `json:"sizes"`
		Depth             int        `json:"depth"`
		KeysHash          wireBytes  `json:"keys_hash"`
		UnsafeDevelopment bool       `json:"unsafe_development"`
		EmptyRoot         wireWord   `json:"empty_root"`
	}{described, ledger.Depth, keys.Hash[:], keys.UnsafeDevelopment, wireWord(ledger.EmptyRoot())}, nil
}

type sizeInfo struct {
	Size        int        `json:"size"`
	Constraints int        `json:"constraints"`
	VKHash      wireBytes  `json:"vk_hash"`
	Provable    bool       `json:"provable"` // the proving key is at hand
	Files       []fileInfo `json:"files"`
}

type fileInfo struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Most   int64  `json:"most"`
}

func filesOf(keys *ledger.Keys, size int) (files []fileInfo) {
	for _, file := range keys.Files(size) {
		files = append(files, fileInfo{file.Name, file.Digest, file.Most})
	}
	return files
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
	keys, err := s.keys.pinned()
	if err != nil {
		return nil, err
	}
	return struct {
		Domain wireWord `json:"domain"`
	}{wireWord(ledger.Domain(*p.ChainID, [20]byte(p.Ledger), keys.Hash))}, nil
}

func root(params json.RawMessage) (any, error) {
	var p wireTree
	if err := read(params, &p); err != nil {
		return nil, err
	}
	leaves, err := leavesOf(p.Leaves)
	if err != nil {
		return nil, err
	}
	root, err := ledger.RootOf(leaves, subtreesOf(p.Subtrees)...)
	if err != nil {
		return nil, asRefused(err)
	}
	return struct {
		Root wireWord `json:"root"`
	}{wireWord(root)}, nil
}

func subtree(params json.RawMessage) (any, error) {
	var p struct {
		Number *uint32    `json:"number"`
		Leaves []wireLeaf `json:"leaves"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if p.Number == nil {
		return nil, refused("params: number is needed")
	}
	leaves, err := leavesOf(p.Leaves)
	if err != nil {
		return nil, err
	}
	hash, err := ledger.SubtreeOf(*p.Number, leaves)
	if err != nil {
		return nil, asRefused(err)
	}
	return struct {
		Hash wireWord `json:"hash"`
	}{wireWord(hash)}, nil
}

func (s *server) prove(params json.RawMessage, report reporter) (any, error) {
	var p struct {
		wireTree
		Domain     *wireWord       `json:"domain"`
		Size       *int            `json:"size"`
		Window     *uint32         `json:"window"`
		Operations []wireOperation `json:"operations"`
		Words      bool            `json:"words"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if p.Domain == nil || p.Size == nil || p.Window == nil {
		return nil, refused("params: domain, size and window are needed")
	}
	leaves, err := leavesOf(p.Leaves)
	if err != nil {
		return nil, err
	}
	operations, err := operationsOf(p.Operations)
	if err != nil {
		return nil, err
	}
	transition, err := ledger.Apply(fr.Element(*p.Domain), *p.Size, *p.Window, leaves, operations, subtreesOf(p.Subtrees)...)
	if err != nil {
		return nil, asRefused(err)
	}
	s.prover.Lock()
	defer s.prover.Unlock()
	prover, err := s.keys.proving(*p.Size)
	if err != nil {
		return nil, err
	}
	made, err := prover.Prove(transition, report)
	if err != nil {
		return nil, err
	}
	answer := proven{
		OldRoot: wireWord(transition.OldRoot), NewRoot: wireWord(transition.NewRoot),
		Earned: transition.Earned.String(),
		C:      wireWord(transition.Inputs.C), R: wireWord(transition.Inputs.R), E: wireWord(transition.Inputs.E),
		Proof: textsOf(made.Proof), Constraints: prover.Constraints,
		WitnessSeconds: made.Witness.Seconds(), ProveSeconds: made.Prove.Seconds(),
	}
	if p.Words {
		answer.Words = wordsOf(transition.Words)
	}
	return answer, nil
}

type proven struct {
	OldRoot        wireWord   `json:"old_root"`
	NewRoot        wireWord   `json:"new_root"`
	Earned         string     `json:"earned"`
	C              wireWord   `json:"c"`
	R              wireWord   `json:"r"`
	E              wireWord   `json:"e"`
	Proof          []string   `json:"proof"`
	Words          []wireWord `json:"words,omitempty"`
	Constraints    int        `json:"constraints"`
	WitnessSeconds float64    `json:"witness_seconds"`
	ProveSeconds   float64    `json:"prove_seconds"`
}

func (s *server) verifyProof(params json.RawMessage) (any, error) {
	var p struct {
		Size  *int              `json:"size"`
		C     *wireWord         `json:"c"`
		R     *wireWord         `json:"r"`
		E     *wireWord         `json:"e"`
		Proof []json.RawMessage `json:"proof"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if p.Size == nil || !ledger.IsSize(*p.Size) {
		return nil, refused("params: size, one of %v, is needed", ledger.Sizes)
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
	keys, err := s.keys.pinned()
	if err != nil {
		return nil, err
	}
	return validity{keys.BySize[*p.Size].Verify(ledger.Inputs{C: fr.Element(*p.C), R: fr.Element(*p.R), E: fr.Element(*p.E)}, proof)}, nil
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
