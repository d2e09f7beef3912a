package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/ledger"
	"github.com/shale-cloud/shale/kernel/voucher"
)

type method struct {
	call func(params json.RawMessage) (any, error)
	slow bool // holds a core for long: limited apart, so that vouchers never wait for it
}

func (s *server) table() map[string]method {
	return map[string]method{
		"voucher.keygen":    {call: keygen},
		"voucher.check_key": {call: checkKey},
		"voucher.sign":      {call: sign},
		"voucher.verify":    {call: verify},
		"ledger.info":       {call: s.info},
		"ledger.domain":     {call: s.domain},
		"ledger.root":       {call: root, slow: true},
		"ledger.prove":      {call: s.prove, slow: true},
		"ledger.verify":     {call: s.verifyProof},
	}
}

type validity struct {
	Valid bool `json:"valid"`
}

func keygen(params json.RawMessage) (any, error) {
	if err := read(params, &struct{}{}); err != nil {
		return nil, err
	}
	secret, err := voucher.NewSecret()
	if err != nil {
		return nil, err
	}
	key := secret.Key()
	return struct {
		Secret wireSecret `json:"secret"`
		X      wireWord   `json:"x"`
		Y      wireWord   `json:"y"`
	}{wireSecret(secret), wireWord(key.X), wireWord(key.Y)}, nil
}

type wireKey struct {
	X *wireWord `json:"x"`
	Y *wireWord `json:"y"`
}

func (k wireKey) key() (voucher.Key, error) {
	if k.X == nil || k.Y == nil {
		return voucher.Key{}, refused("params: x and y are needed")
	}
	return voucher.Key{X: fr.Element(*k.X), Y: fr.Element(*k.Y)}, nil
}

func checkKey(params json.RawMessage) (any, error) {
	var p wireKey
	if err := read(params, &p); err != nil {
		return nil, err
	}
	key, err := p.key()
	if err != nil {
		return nil, err
	}
	return validity{key.Valid()}, nil
}

type wireVoucher struct {
	Domain  *wireWord    `json:"domain"`
	LeaseID *wireLeaseID `json:"lease_id"`
	Amount  *wireAmount  `json:"amount"`
	Seconds *uint64      `json:"seconds"`
}

func (v wireVoucher) voucher() (voucher.Voucher, error) {
	if v.Domain == nil || v.LeaseID == nil || v.Amount == nil || v.Seconds == nil {
		return voucher.Voucher{}, refused("params: domain, lease_id, amount and seconds are needed")
	}
	return voucher.Voucher{
		Domain: fr.Element(*v.Domain), LeaseID: fr.Element(*v.LeaseID), Amount: (*big.Int)(v.Amount), Seconds: *v.Seconds,
	}, nil
}

func sign(params json.RawMessage) (any, error) {
	var p struct {
		Secret *wireSecret `json:"secret"`
		wireVoucher
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if p.Secret == nil {
		return nil, refused("params: secret is needed")
	}
	v, err := p.voucher()
	if err != nil {
		return nil, err
	}
	signature, err := voucher.Sign(voucher.Secret(*p.Secret), v)
	if err != nil {
		return nil, err
	}
	return struct {
		Signature wireBytes `json:"signature"`
	}{signature}, nil
}

func verify(params json.RawMessage) (any, error) {
	var p struct {
		wireKey
		wireVoucher
		Signature wireBytes `json:"signature"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	key, err := p.key()
	if err != nil {
		return nil, err
	}
	v, err := p.voucher()
	if err != nil {
		return nil, err
	}
	return validity{voucher.Verify(key, v, p.Signature)}, nil
}

// keyring loads keys when they are first needed, and keeps them.
type keyring struct {
	dir string

	mu     sync.Mutex
	vk     *ledger.VerifyingKey
	prover *ledger.Prover
}

func (k *keyring) verifyingKey() (*ledger.VerifyingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.vk == nil {
		vk, err := ledger.LoadVerifyingKey(k.dir)
		if err != nil {
			return nil, k.explain(err)
		}
		k.vk = vk
	}
	return k.vk, nil
}

// proving is called under the server's prover lock, so that loading doesn't hold up who needs the verifying key only.
func (k *keyring) proving() (*ledger.Prover, error) {
	if k.prover == nil {
		prover, err := ledger.LoadProver(k.dir)
		if err != nil {
			return nil, k.explain(err)
		}
		k.prover = prover
	}
	return k.prover, nil
}

func (k *keyring) explain(err error) error {
	if errors.Is(err, ledger.ErrNoKeys) {
		return &failure{"config", noKeys(err, k.dir).Error()}
	}
	return &failure{"config", "cannot read the keys: " + err.Error()}
}

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
