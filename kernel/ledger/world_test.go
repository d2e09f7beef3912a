package ledger

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// A world has leases with known secrets, for tests to pay in.

const (
	testChain  = 31415926
	testLedger = "0x5ba1e0000000000000000000000000000005ba1e"
)

var testDomain = wordOf(0xd0)

func secretOf(i int) voucher.Secret { return sha256.Sum256(fmt.Appendf(nil, "vector secret %d", i)) }

// leaseOf is lease i, at index i.
func leaseOf(i int) Leaf {
	digest := sha256.Sum256(fmt.Appendf(nil, "vector lease %d", i))
	var id fr.Element
	id.SetBytes(digest[:31])
	return Leaf{Index: uint32(i), LeaseID: id, Key: secretOf(i).Key(), Amount: new(big.Int)}
}

// paid is the leaf with amount and seconds moved.
func (l Leaf) paid(amount int64, seconds uint64) Leaf {
	l.Amount, l.Seconds = big.NewInt(amount), seconds
	return l
}

func inserted(leaf Leaf) Operation { return Operation{Leaf: leaf, Insert: true} }

func closed(leaf Leaf) Operation { return Operation{Leaf: leaf, Close: true} }

// claimed redeems a voucher that lease i's own secret signed.
func claimed(t *testing.T, domain fr.Element, i int, leaf Leaf) Operation {
	t.Helper()
	v := voucher.Voucher{Domain: domain, LeaseID: leaf.LeaseID, Amount: leaf.Amount, Seconds: leaf.Seconds}
	signature, err := voucher.Sign(secretOf(i), v)
	if err != nil {
		t.Fatal(err)
	}
	return Operation{Leaf: leaf, Claim: true, Signature: signature}
}

func with(operation Operation, change func(*Operation)) Operation {
	change(&operation)
	return operation
}

// applied is the transition of a window of 8 that starts the tree.
func applied(t *testing.T, leaves []Leaf, operations ...Operation) *Transition {
	t.Helper()
	transition, err := Apply(testDomain, 8, 0, leaves, operations)
	if err != nil {
		t.Fatal(err)
	}
	return transition
}
