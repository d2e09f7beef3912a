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

type wireSigned struct {
	wireKey
	wireVoucher
	Signature wireBytes `json:"signature"`
}

func (w wireSigned) signed() (voucher.Signed, error) {
	key, err := w.key()
	if err != nil {
		return voucher.Signed{}, err
	}
	v, err := w.voucher()
	if err != nil {
		return voucher.Signed{}, err
	}
	return voucher.Signed{Key: key, Voucher: v, Signature: w.Signature}, nil
}

func verify(params json.RawMessage) (any, error) {
	var p wireSigned
	if err := read(params, &p); err != nil {
		return nil, err
	}
	given, err := p.signed()
	if err != nil {
		return nil, err
	}
	return validity{given.Valid()}, nil
}

// maxMany is how many vouchers one request may have.
const maxMany = 1024

func verifyMany(params json.RawMessage) (any, error) {
	var p struct {
		Items []wireSigned `json:"items"`
	}
	if err := read(params, &p); err != nil {
		return nil, err
	}
	if len(p.Items) == 0 || len(p.Items) > maxMany {
		return nil, refused("params: items must be 1 to %d vouchers", maxMany)
	}
	items := make([]voucher.Signed, len(p.Items))
	for i, item := range p.Items {
		given, err := item.signed()
		if err != nil {
			return nil, refused("item %d: %v", i, err)
		}
		items[i] = given
	}
	return struct {
		Valid []bool `json:"valid"`
	}{voucher.VerifyMany(items)}, nil
}
