// Package ledger is Shale's layer 2: the tree of lease balances of one provider, the circuit that moves its root,
// and the Groth16 proofs of that (docs/protocol.md, section 4).
package ledger

import (
	"fmt"
	"math/big"
	"math/bits"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/voucher"
)

const (
	// Depth of the tree: a provider holds at most 2^Depth leases at a time.
	Depth = 20
)

// Sizes are the numbers of slots that a batch may have, each with its own circuit and keys.
var Sizes = [...]int{1, 8, 64, 256}

// heightOf is the height of the subtree that a window of the size is.
func heightOf(size int) int { return bits.TrailingZeros(uint(size)) }

// IsSize tells whether there are batches of the size.
func IsSize(size int) bool { return slices.Contains(Sizes[:], size) }

// Refused is the reason why an input was not taken: one line, for the person who made it.
type Refused string

func (r Refused) Error() string { return string(r) }

func refusef(format string, args ...any) error { return Refused(fmt.Sprintf(format, args...)) }

// Leaf is the balance of one lease. Amounts are attoFIL; nil counts as zero.
type Leaf struct {
	Index   uint32
	LeaseID fr.Element
	Key     voucher.Key
	Amount  *big.Int
	Seconds uint64
}

// Hash is P2(leaseId, payKeyX, payKeyY, amount + seconds·2^128).
func (l Leaf) Hash() fr.Element { return l.voucher(fr.Element{}).Leaf(l.Key) }

// voucher is the one that leads to the leaf.
func (l Leaf) voucher(domain fr.Element) voucher.Voucher {
	return voucher.Voucher{Domain: domain, LeaseID: l.LeaseID, Amount: amountOf(l.Amount), Seconds: l.Seconds}
}

// check tells whether the leaf could stand in a ledger at all.
func (l Leaf) check() error {
	switch {
	case l.Index >= 1<<Depth:
		return refusef("index %d is not below 2^%d", l.Index, Depth)
	case bitLen(l.LeaseID) > voucher.LeaseIDBits:
		return refusef("the lease id is not below 2^%d", voucher.LeaseIDBits)
	case !isAmount(l.Amount):
		return refusef("the amount is not below 2^%d", voucher.AmountBits)
	}
	return nil
}

func isAmount(amount *big.Int) bool {
	return amount == nil || (amount.Sign() >= 0 && amount.BitLen() <= voucher.AmountBits)
}

func amountOf(amount *big.Int) *big.Int {
	if amount == nil {
		return new(big.Int)
	}
	return amount
}

func word(amount *big.Int) (w fr.Element) {
	w.SetBigInt(amountOf(amount))
	return w
}

func wordOf(n uint64) fr.Element {
	var w fr.Element
	w.SetUint64(n)
	return w
}

func bitLen(w fr.Element) int {
	return w.BigInt(new(big.Int)).BitLen()
}
