package main

import (
	"encoding/json"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// The methods voucher.*: they need no key files and answer at once.

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
