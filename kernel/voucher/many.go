package voucher

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Signed is a voucher with what is to be its signature.
type Signed struct {
	Key       Key
	Voucher   Voucher
	Signature []byte
}

// Valid tells whether the signature holds: see Verify.
func (s Signed) Valid() bool { return Verify(s.Key, s.Voucher, s.Signature) }

// VerifyMany tells for each whether its signature holds. It uses all cores.
func VerifyMany(items []Signed) []bool {
	valid := make([]bool, len(items))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(items)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(items); i = int(next.Add(1)) - 1 {
				valid[i] = items[i].Valid()
			}
		})
	}
	workers.Wait()
	return valid
}
