package main

import (
	"encoding/json"
	"errors"
	"sync"

	"github.com/shale-cloud/shale/kernel/ledger"
)

// The table of methods, and the keys that some of them need.

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
