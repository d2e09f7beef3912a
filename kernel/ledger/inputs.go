package ledger

import (
	"fmt"
	"runtime"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/lanes"
	"github.com/shale-cloud/shale/kernel/voucher"
)

// slotInputs is the number of a slot's variables.
const slotInputs = 9 + voucher.AmountBits + voucher.SecondsBits + voucher.LeaseIDBits + 3 + fr.Bits + baseBits

// inputs are the values of an assignment in the circuit's order, public variables first: what frontend.NewWitness finds by
// reflection, one after the other, and so takes half as long as solving the circuit.
func (c *Circuit) inputs() fr.Vector {
	head := [][]frontend.Variable{{c.C, c.R, c.E, c.Domain, c.Window}, c.WindowBits, c.Path, {c.Earned}}
	length := 0
	for _, part := range head {
		length += len(part)
	}
	all := make(fr.Vector, length+len(c.Slots)*slotInputs)
	to := all
	for _, part := range head {
		to = put(to, part...)
	}
	lanes.InParallel(len(c.Slots), runtime.GOMAXPROCS(0), func(first, last int) {
		for i := first; i < last; i++ {
			c.Slots[i].put(to[i*slotInputs:][:slotInputs])
		}
	})
	return all
}

func (s *Slot) put(to fr.Vector) {
	to = put(to, s.Insert, s.Claim, s.Close, s.LeaseID, s.KeyX, s.KeyY, s.Amount, s.Seconds, s.Kept)
	to = put(to, s.AmountBits[:]...)
	to = put(to, s.SecondsBits[:]...)
	to = put(to, s.Checked[:]...)
	to = put(to, s.Signature.RX, s.Signature.EighthX, s.Signature.EighthY)
	to = put(to, s.Signature.Hash[:]...)
	put(to, s.Signature.Scalar[:]...)
}

// put writes the values and gives what is left. Its kinds of values are those that assignment gives.
func put(to fr.Vector, values ...frontend.Variable) fr.Vector {
	for i, value := range values {
		switch v := value.(type) {
		case uint:
			to[i].SetUint64(uint64(v))
		case int:
			to[i].SetInt64(int64(v))
		case uint64:
			to[i].SetUint64(v)
		case fr.Element:
			to[i] = v
		default:
			panic(fmt.Sprintf("a value of type %T in an assignment", v))
		}
	}
	return to[len(values):]
}
