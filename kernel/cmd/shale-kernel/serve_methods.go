package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/shale-cloud/shale/kernel/ledger"
)

// The table of methods, and the keys that some of them need.

// reporter tells the caller how far a stage is, per mille.
type reporter func(stage string, done int)

type method struct {
	call func(params json.RawMessage, report reporter) (any, error)
	slow bool // holds a core for long: limited apart, so that vouchers never wait for it
}

// quick is a method that has no progress to report.
func quick(call func(params json.RawMessage) (any, error)) method {
	return method{call: func(params json.RawMessage, _ reporter) (any, error) { return call(params) }}
}

func slow(call func(params json.RawMessage) (any, error)) method {
	m := quick(call)
	m.slow = true
	return m
}

func (s *server) table() map[string]method {
	return map[string]method{
		"voucher.keygen":      quick(keygen),
		"voucher.check_key":   quick(checkKey),
		"voucher.sign":        quick(sign),
		"voucher.verify":      quick(verify),
		"voucher.verify_many": quick(verifyMany),
		"ledger.info":         quick(s.info),
		"ledger.domain":       quick(s.domain),
		"ledger.root":         slow(root),
		"ledger.subtree":      slow(subtree),
		"ledger.prove":        {call: s.prove, slow: true},
		"ledger.verify":       quick(s.verifyProof),
	}
}

// keyring has the verifying keys, which the program brings, and loads proving keys when they are first needed.
type keyring struct {
	dir     string
	provers map[int]*ledger.Prover // by size; used under the server's prover lock
}

func (k *keyring) pinned() (*ledger.Keys, error) { return ledger.Pinned() }

// proving is called under the server's prover lock. Each key is loaded once.
func (k *keyring) proving(size int) (*ledger.Prover, error) {
	if prover, ok := k.provers[size]; ok {
		return prover, nil
	}
	keys, err := k.pinned()
	if err != nil {
		return nil, err
	}
	prover, err := keys.LoadProver(k.dir, size)
	if err != nil {
		return nil, explain(keys, err, size)
	}
	k.provers[size] = prover
	return prover, nil
}

func explain(keys *ledger.Keys, err error, size int) error {
	if errors.Is(err, ledger.ErrNoKeys) {
		way := "fetch SOURCE" // a ceremony's secret is gone: nobody makes its keys again
		if keys.UnsafeDevelopment {
			way = "make"
		}
		return &failure{"config", fmt.Sprintf("cannot prove batches of size %d: %v: run shale provider keys %s --size %d", size, err, way, size)}
	}
	return &failure{"config", "cannot read the keys: " + err.Error()}
}
